"""PKCS#12: written by others and by us, with one key and with several."""

from __future__ import annotations

import hashlib
import hmac
import logging
import random

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from smime.cms.ber import definite
from smime.cms.der import NULL, children, integer, octet_string, oid, sequence, tlv, top
from smime.errors import KeyProblem, NotSupported, SmimeError
from smime.keys import Identity, Recipient
from tests.keys.people import authorities, key, pem, person

ROOT, ISSUING = authorities()
KEY, LEAF = person("alice@example.org", issuer=ISSUING, issuer_key=key("p256", 901))
SIGN = person("alice@example.org", "p256", 10, ("digital_signature",))
READ = person("alice@example.org", "x25519", 11, ("key_agreement",))
PASSPHRASE = "Grüße 密码"


def made_by_the_library(encryption: object, *, key_of: object = KEY) -> bytes:
    return pkcs12.serialize_key_and_certificates(
        b"alice", key_of, LEAF, [ROOT, ISSUING], encryption
    )


def builder(pbe: pkcs12.PBES, mac: hashes.HashAlgorithm, passphrase: str = PASSPHRASE):
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(1000)
        .key_cert_algorithm(pbe)
        .hmac_hash(mac)
        .build(passphrase.encode())
    )


MADE = {
    "modern": builder(pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256()),
    "SHA-512 MAC": builder(pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA512()),
    "3DES": builder(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA1()),
    "as it comes": BestAvailableEncryption(PASSPHRASE.encode()),
}


@pytest.mark.parametrize("encryption", MADE.values(), ids=MADE.keys())
def test_made_by_the_library(encryption, tmp_path):
    path = tmp_path / "alice.p12"
    path.write_bytes(made_by_the_library(encryption))

    identity = Identity.load(path, passphrase=PASSPHRASE)

    assert identity.certificate == LEAF
    assert identity.chain == (ISSUING, ROOT)
    with pytest.raises(KeyProblem, match="the passphrase is wrong"):
        Identity.load(path, passphrase="Gruesse")
    with pytest.raises(KeyProblem, match="locked with a passphrase"):
        Identity.load(path)


def test_the_passphrase_is_asked_for_once():
    asked = []

    def ask() -> bytes:
        asked.append(1)
        return PASSPHRASE.encode()

    data = made_by_the_library(MADE["modern"])

    assert Identity.parse(data, pem(ROOT), passphrase=ask).certificate == LEAF
    with pytest.raises(KeyProblem, match="the passphrase is wrong"):
        Identity.parse(data, passphrase=lambda: "x")
    assert asked == [1]


@pytest.fixture(scope="module")
def pair() -> Identity:
    """A key that signs and one that reads."""
    return Identity.parse(pem(SIGN[0], READ[0], READ[1], SIGN[1], ROOT))


@pytest.fixture(scope="module")
def modern(pair) -> bytes:
    return pair.to_p12(PASSPHRASE)


@pytest.fixture(scope="module")
def legacy(pair) -> bytes:
    return pair.to_p12(PASSPHRASE, compat="legacy")


@pytest.mark.parametrize("form", ["modern", "legacy"])
def test_all_keys_come_back(form, pair, request):
    data = request.getfixturevalue(form)
    again = Identity.parse(data, passphrase=PASSPHRASE.encode())

    assert again.certificate == SIGN[1]
    assert again.chain == (ROOT,)
    assert again.recipient == pair.recipient == Recipient(READ[1])
    assert [one.certificate for one in again.opening_keys] == [SIGN[1], READ[1]]
    each = Identity.parse_all(data, passphrase=lambda: PASSPHRASE)
    assert [one.certificate for one in each] == [SIGN[1], READ[1]]


def test_a_wrong_passphrase_is_refused(modern, legacy):
    for data in (modern, legacy):
        with pytest.raises(KeyProblem, match="the passphrase is wrong"):
            Identity.parse(data, passphrase=PASSPHRASE + " ")


def test_modern_parameters(modern):
    """600,000 rounds for the content and for the MAC, and nothing weak anywhere."""
    parts = children(modern, top(modern))
    content = modern[parts[1][1] : parts[1][3]]
    mac_fields = children(modern, parts[2])

    assert content.count(integer(600_000)) == 3  # the certificates and two keys
    assert modern[mac_fields[2][1] : mac_fields[2][3]] == integer(600_000)
    assert oid("2.16.840.1.101.3.4.1.42") in modern  # AES-256-CBC
    assert oid("2.16.840.1.101.3.4.2.1") in modern  # SHA-256
    for weak in ("1.2.840.113549.1.12.1.3", "1.2.840.113549.1.12.1.6", "1.3.14.3.2.26"):
        assert oid(weak) not in modern
    assert b"alice" not in modern.replace("alice@".encode("utf-16-be"), b"")


def test_nothing_is_drawn_twice(pair):
    """Salts and vectors are new in every file."""
    one, two = (pair.to_p12("x", compat="legacy") for _ in range(2))

    assert one != two


def test_legacy_is_named_in_the_log(pair, caplog):
    with caplog.at_level(logging.WARNING):
        pair.to_p12("x", compat="legacy")

    assert "3DES" in caplog.text


def test_the_library_reads_what_we_write():
    identity = Identity(KEY, LEAF, [ROOT, ISSUING])
    for compat in ("modern", "legacy"):
        read = pkcs12.load_pkcs12(identity.to_p12(PASSPHRASE, compat=compat), PASSPHRASE.encode())
        assert read.key.private_numbers() == KEY.private_numbers()
        assert read.cert.certificate == LEAF
        assert read.cert.friendly_name == b"alice@example.org"
        assert [one.certificate for one in read.additional_certs] == [ISSUING, ROOT]


def test_keys_of_one_person_have_names_of_their_own(pair, legacy):
    """Java keeps what it reads by that name, and the second would take the place of the first."""
    read = pkcs12.load_pkcs12(legacy, PASSPHRASE.encode())
    names = [read.cert.friendly_name, *(one.friendly_name for one in read.additional_certs)]

    assert sorted(filter(None, names)) == [b"alice@example.org", b"alice@example.org (2)"]


def test_the_salt_of_the_mac_has_eight_octets(modern, legacy):
    """As openssl writes it; macOS was seen to refuse sixteen."""
    for data in (modern, legacy):
        salt = children(data, children(data, top(data))[2])[1]
        assert salt[3] - salt[2] == 8


def test_unknown_compat(pair):
    with pytest.raises(ValueError, match="modern, legacy"):
        pair.to_p12("x", compat="ancient")


@pytest.mark.parametrize("passphrase", [None, ""])
def test_an_empty_passphrase_and_none(pair, passphrase):
    """What was written under an empty passphrase opens with '' and without any."""
    data = pair.to_p12("", compat="legacy")

    assert Identity.parse(data, passphrase=passphrase).certificate == SIGN[1]
    with pytest.raises(KeyProblem, match="the passphrase is wrong"):
        Identity.parse(data, passphrase="x")


def test_without_a_mac():
    """Anybody can have changed it: read only when that is said at the call."""
    data = made_by_the_library(NoEncryption())
    parts = children(data, top(data))
    bare = sequence(*(data[part[1] : part[3]] for part in parts[:2]))

    for form in (bare, bare_of(made_by_the_library(MADE["modern"]))):
        with pytest.raises(KeyProblem, match="without a MAC") as caught:
            Identity.parse(form, passphrase=PASSPHRASE)
        assert "allow_unauthenticated=True" in caught.value.hint
        identity = Identity.parse(form, passphrase=PASSPHRASE, allow_unauthenticated=True)
        assert identity.certificate == LEAF
    assert Identity.parse(bare, allow_unauthenticated=True).certificate == LEAF
    # One time in 256 the padding under a wrong passphrase looks right, and no MAC tells.
    with pytest.raises(KeyProblem, match=r"the passphrase is wrong|the data is damaged"):
        Identity.parse(form, passphrase="x", allow_unauthenticated=True)
    with pytest.raises(KeyProblem, match="locked"):
        Identity.parse(form, allow_unauthenticated=True)


def bare_of(data: bytes) -> bytes:
    """Return a PKCS#12 file without its MAC."""
    parts = children(data, top(data))
    return sequence(*(data[part[1] : part[3]] for part in parts[:2]))


def test_pbmac1():
    """RFC 9879: PBKDF2 and HMAC instead of the derivation of PKCS#12; the library agrees."""
    bare = bare_of(made_by_the_library(MADE["modern"]))
    info = children(bare, children(bare, top(bare))[1])
    inside = children(bare, info[1])[0]
    content = bare[inside[2] : inside[3]]
    hmac_sha256 = sequence(oid("1.2.840.113549.2.9"), NULL)
    salt = octet_string(b"8 octets")

    def with_mac(passphrase: str, *length: bytes) -> bytes:
        derived = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), b"8 octets", 2048, 32)
        parameters = sequence(salt, integer(2048), *length, hmac_sha256)
        derivation = sequence(oid("1.2.840.113549.1.5.12"), parameters)
        algorithm = sequence(oid("1.2.840.113549.1.5.14"), sequence(derivation, hmac_sha256))
        value = octet_string(hmac.digest(derived, content, "sha256"))
        mac_data = sequence(sequence(algorithm, value), octet_string(b"unused"))
        return sequence(bare[top(bare)[2] :], mac_data)

    sound = with_mac(PASSPHRASE, integer(32))
    assert pkcs12.load_pkcs12(sound, PASSPHRASE.encode()).cert.certificate == LEAF
    assert Identity.parse(sound, passphrase=PASSPHRASE).certificate == LEAF
    with pytest.raises(KeyProblem, match="the passphrase is wrong"):
        Identity.parse(sound, passphrase="x")
    with pytest.raises(KeyProblem, match="the passphrase is wrong"):
        Identity.parse(with_mac("x", integer(32)), passphrase=PASSPHRASE)
    with pytest.raises(KeyProblem, match="how long its key is"):
        Identity.parse(with_mac(PASSPHRASE), passphrase=PASSPHRASE)


def test_indefinite_lengths():
    """Firefox and Windows write BER."""
    data = made_by_the_library(MADE["modern"])
    parts = children(data, top(data))
    info = children(data, parts[1])
    inner = children(data, info[1])[0]
    content = data[inner[2] : inner[3]]
    half = len(content) // 2
    ber = (
        b"\x30\x80"
        + integer(3)
        + b"\x30\x80"
        + oid("1.2.840.113549.1.7.1")
        + b"\xa0\x80\x24\x80"
        + octet_string(content[:half])
        + octet_string(content[half:])
        + bytes(6)
        + data[parts[2][1] : parts[2][3]]
        + bytes(2)
    )

    assert definite(ber) != ber
    assert Identity.parse(ber, passphrase=PASSPHRASE).chain == (ISSUING, ROOT)


def test_in_pem():
    """Some tools wrap it like a certificate (draft-ietf-lamps-samples)."""
    from base64 import encodebytes

    data = made_by_the_library(MADE["modern"])
    block = b"-----BEGIN PKCS12-----\n" + encodebytes(data) + b"-----END PKCS12-----\n"

    assert Identity.parse(block, passphrase=PASSPHRASE).certificate == LEAF


def test_more_certificates_beside_it():
    """Some authorities give out the key alone, and the chain as PEM."""
    data = pkcs12.serialize_key_and_certificates(None, KEY, LEAF, None, MADE["modern"])
    identity = Identity.parse(data, pem(ROOT, ISSUING), passphrase=PASSPHRASE)

    assert identity.chain == (ISSUING, ROOT)


def test_no_recipient_is_read_from_it(modern):
    with pytest.raises(KeyProblem, match="somebody's private key") as caught:
        Recipient.parse(modern)
    assert "Identity.load(path, passphrase=...).recipient" in caught.value.hint


def test_a_file_of_certificates_alone():
    data = pkcs12.serialize_java_truststore(
        [pkcs12.PKCS12Certificate(ROOT, b"root")], MADE["modern"]
    )

    with pytest.raises(KeyProblem, match="no private key"):
        Identity.parse(data, passphrase=PASSPHRASE)


def content_info(kind: str) -> bytes:
    return sequence(oid(kind), tlv(0xA0, octet_string(b"")))


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (sequence(integer(3), content_info("1.2.840.113549.1.7.2")), NotSupported, "signed"),
        (sequence(integer(3), content_info("1.2.840.113549.1.7.5")), KeyProblem, "no content"),
        (sequence(integer(3), content_info("1.2.840.113549.1.7.1")), KeyProblem, "damaged"),
    ],
)
def test_forms_that_are_not_read(data, kind, said):
    with pytest.raises(kind, match=said):
        Identity.parse(data, passphrase="x")


SOUND = [
    made_by_the_library(MADE["modern"]),
    made_by_the_library(MADE["3DES"]),
    bare_of(made_by_the_library(NoEncryption())),
]


@settings(max_examples=300, deadline=1000)
@given(st.sampled_from(SOUND), st.booleans(), st.randoms(use_true_random=False))
def test_damage_gives_our_errors_only(sound: bytes, lenient: bool, chance: random.Random):
    data = bytearray(sound)
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    if chance.random() < 0.2:
        del data[chance.randrange(len(data)) :]
    try:
        for one in Identity.parse_all(
            bytes(data), passphrase=PASSPHRASE, allow_unauthenticated=lenient
        ):
            repr((one, one.recipient, one.fitness.usage))
    except SmimeError:
        return


def test_a_changed_octet_anywhere_in_the_content_is_noticed():
    """The passphrase is right and the MAC disagrees: nothing is loaded."""
    sound = made_by_the_library(MADE["modern"])
    inside = children(sound, top(sound))[1]

    assert Identity.parse(sound, passphrase=PASSPHRASE).certificate == LEAF
    for at in range(inside[3] - 900, inside[3], 30):
        changed = sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :]
        with pytest.raises(SmimeError):
            Identity.parse(changed, passphrase=PASSPHRASE)
