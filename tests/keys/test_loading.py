"""Files of keys and certificates in every form, and in none."""

from __future__ import annotations

import random
from base64 import encodebytes

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from smime.cms.der import integer, octet_string, oid, sequence, tlv
from smime.errors import KeyProblem, LimitExceeded, NotSupported, SmimeError
from smime.keys import Identity, Recipient
from tests.keys.people import authorities, certify, der, key, pem, person, san

ROOT, ISSUING = authorities()
KEY, LEAF = person("alice@example.org", issuer=ISSUING, issuer_key=key("p256", 901))
BOB = person("bob@example.org", number=1)[1]
PASSPHRASE = "Grüße 密码"


def key_bytes(encoding: Encoding, form: PrivateFormat, passphrase: str = "") -> bytes:
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return KEY.private_bytes(encoding, form, lock)


def bag(encoding: Encoding) -> bytes:
    """Return certificates as PKCS#7, root first."""
    return pkcs7.serialize_certificates([ROOT, ISSUING, LEAF], encoding)


def bag_in_ber() -> bytes:
    """Return certificates as PKCS#7 with indefinite lengths, as Windows exports them."""
    inside = b"".join(map(der, (LEAF, ISSUING, ROOT)))
    signed = (
        integer(1)
        + tlv(0x31, b"")
        + sequence(oid("1.2.840.113549.1.7.1"))
        + b"\xa0\x80"
        + inside
        + b"\0\0"
        + tlv(0x31, b"")
    )
    return (
        b"\x30\x80"
        + oid("1.2.840.113549.1.7.2")
        + b"\xa0\x80\x30\x80"
        + signed
        + b"\0\0\0\0"
        + b"\0\0"
    )


def armoured(label: str, data: bytes) -> bytes:
    line = label.encode()
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (line, encodebytes(data), line)


CHAIN = pem(ISSUING, ROOT)
EC_PARAMETERS = armoured("EC PARAMETERS", oid("1.2.840.10045.3.1.7"))
FORMS = {
    "one PEM": [pem(KEY, LEAF, ISSUING, ROOT)],
    "one PEM, upside down": [pem(ROOT, ISSUING, LEAF, KEY)],
    "PEM with text between": [
        b"Bag Attributes\n    friendlyName: Gr\xc3\xbc\xc3\x9fe\n"
        + pem(KEY)
        + b"\nsubject=x\n"
        + pem(LEAF)
        + CHAIN
    ],
    "PEM with CRLF": [pem(KEY, LEAF, ISSUING, ROOT).replace(b"\n", b"\r\n")],
    "PEM with a byte order mark": [b"\xef\xbb\xbf" + pem(KEY, LEAF, ISSUING, ROOT)],
    "PEM with EC PARAMETERS": [
        EC_PARAMETERS
        + key_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL)
        + pem(LEAF)
        + CHAIN
    ],
    "key and certificates apart": [pem(KEY), pem(LEAF, ISSUING, ROOT)],
    "certificates first": [CHAIN, pem(LEAF), pem(KEY)],
    "DER": [der(KEY), der(LEAF), der(ISSUING), der(ROOT)],
    "DER, one behind the other": [der(KEY) + der(LEAF) + b"\r\n" + der(ISSUING) + der(ROOT)],
    "DER of SEC 1": [key_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL), bag(Encoding.DER)],
    "PKCS#7 in PEM": [pem(KEY), bag(Encoding.PEM)],
    "PKCS#7 in BER": [pem(KEY), bag_in_ber()],
    "trusted certificate": [
        pem(KEY) + armoured("TRUSTED CERTIFICATE", der(LEAF) + sequence(b"")) + CHAIN
    ],
}
LOCKED = {
    "PKCS#8 in PEM": key_bytes(Encoding.PEM, PrivateFormat.PKCS8, PASSPHRASE),
    "PKCS#8 in DER": key_bytes(Encoding.DER, PrivateFormat.PKCS8, PASSPHRASE),
    "openssl's old form": key_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, PASSPHRASE),
    "our own": Identity(KEY, LEAF).to_pem(PASSPHRASE),
}


@pytest.mark.parametrize("pieces", FORMS.values(), ids=FORMS.keys())
def test_every_form_gives_the_same_identity(pieces, tmp_path):
    def never() -> str:
        raise AssertionError("nothing is locked")

    paths = [tmp_path / str(number) for number in range(len(pieces))]
    for path, piece in zip(paths, pieces, strict=True):
        path.write_bytes(piece)
    for identity in (
        Identity.parse(*pieces),
        Identity.load(*paths, passphrase=never),
        *Identity.load_all(*map(str, paths)),
    ):
        assert identity.certificate == LEAF
        assert identity.chain == (ISSUING, ROOT)
        assert [one.certificate for one in identity.opening_keys] == [LEAF]


@pytest.mark.parametrize("locked", LOCKED.values(), ids=LOCKED.keys())
def test_locked_keys(locked):
    certificate = pem(LEAF)
    asked = []

    def ask() -> str:
        asked.append(1)
        return PASSPHRASE

    for passphrase in (PASSPHRASE, PASSPHRASE.encode(), ask):
        assert Identity.parse(locked, certificate, passphrase=passphrase).certificate == LEAF
    assert asked == [1]
    with pytest.raises(KeyProblem, match="locked with a passphrase") as caught:
        Identity.parse(locked, certificate)
    assert "passphrase=" in caught.value.hint
    for wrong in ("Gruesse", "", b"\xff"):
        with pytest.raises(KeyProblem, match="the passphrase is wrong"):
            Identity.parse(locked, certificate, passphrase=wrong)


def test_input_can_be_the_passphrase(monkeypatch):
    """The builtin takes an optional prompt; it is called without one."""
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(PASSPHRASE + "\n"))

    identity = Identity.parse(LOCKED["PKCS#8 in PEM"], pem(LEAF), passphrase=input)

    assert identity.certificate == LEAF


@pytest.mark.parametrize("passphrase", [7, ["x"], lambda: None])
def test_what_is_no_passphrase(passphrase):
    with pytest.raises(TypeError, match="passphrase"):
        Identity.parse(LOCKED["PKCS#8 in PEM"], pem(LEAF), passphrase=passphrase)


RECIPIENTS = {
    "PEM": pem(LEAF),
    "DER": der(LEAF),
    "chain": pem(ROOT, ISSUING, LEAF),
    "PKCS#7": bag(Encoding.DER),
    "PKCS#7 in PEM": bag(Encoding.PEM),
    "PKCS#7 in BER": bag_in_ber(),
    "beside a locked key": LOCKED["PKCS#8 in PEM"] + pem(LEAF),
    "beside a key": pem(KEY, LEAF),
    "twice the same": pem(LEAF, LEAF),
}


@pytest.mark.parametrize("data", RECIPIENTS.values(), ids=RECIPIENTS.keys())
def test_recipients(data, tmp_path):
    path = tmp_path / "alice"
    path.write_bytes(data)

    assert Recipient.parse(data) == Recipient.load(path) == Recipient(LEAF)


def test_the_certificate_that_reads_is_written_to():
    signing = person("alice@example.org", "p256", 3, ("digital_signature",))[1]
    reading = person("alice@example.org", "p256", 4, ("key_agreement",))[1]

    assert Recipient.parse(pem(signing, reading)).certificate == reading


def test_an_authority_alone_can_be_written_to():
    assert Recipient.parse(pem(ROOT)).certificate == ROOT


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pem(LEAF, BOB), r"2 certificates to choose from: alice@.*; bob@"),
        (pem(ROOT, ISSUING), "authorities only"),
        (pem(KEY), "no certificate"),
        (pem(LEAF)[:200], "damaged"),
        (armoured("CERTIFICATE", b"0\x03abc"), "certificate in the data is damaged"),
        (b"", "empty"),
        (b"-----BEGIN ", "damaged"),
        (b"Subject: hi\r\n\r\nhello\r\n", "neither a key nor a certificate"),
    ],
)
def test_recipients_that_are_none(data, said):
    with pytest.raises(KeyProblem, match=said):
        Recipient.parse(data)


SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
DSA = dsa.generate_private_key(1024)
# A key on a curve that is written out: the field's prime is no known one.
EXPLICIT = sequence(
    integer(0),
    sequence(oid("1.2.840.10045.2.1"), sequence(integer(1), sequence(oid("1.2.840.10045.1.1")))),
    octet_string(sequence(integer(1), octet_string(bytes(32)))),
)
REFUSED = {
    "no key": (pem(LEAF), KeyProblem, "no private key"),
    "no certificate": (pem(KEY), KeyProblem, "a private key and no certificate"),
    "another's certificate": (pem(KEY, BOB), KeyProblem, "no certificate .* belongs"),
    "damaged certificate": (
        pem(KEY) + armoured("CERTIFICATE", der(LEAF)[:-9]),
        KeyProblem,
        "damaged",
    ),
    "damaged key": (armoured("PRIVATE KEY", der(KEY)[:-9]) + pem(LEAF), KeyProblem, "damaged"),
    "a public key": (SPKI, KeyProblem, "a public key alone"),
    "DSA in PKCS#8": (pem(DSA), NotSupported, "DSA keys"),
    "DSA in the old form": (
        DSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        NotSupported,
        "DSA keys",
    ),
    "OpenSSH": (
        KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        NotSupported,
        "OpenSSH",
    ),
    "a curve of its own": (EXPLICIT, NotSupported, "spells out a curve"),
    "nothing": (b" \n", KeyProblem, "empty"),
}


@pytest.mark.parametrize(("data", "kind", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(data, kind, said):
    with pytest.raises(kind, match=said):
        Identity.parse(data)


def test_a_post_quantum_key_with_seed_and_expansion():
    """openssl 3.5 writes both; an expansion alone is refused by name."""
    private_key = key("mlkem768")
    certificate = certify(private_key, san("alice@example.org"))
    algorithm = sequence(oid("2.16.840.1.101.3.4.4.2"))
    seed, expanded = octet_string(private_key.private_bytes_raw()), octet_string(bytes(2400))

    both = sequence(integer(0), algorithm, octet_string(sequence(seed, expanded)))
    assert Identity.parse(both, der(certificate)).certificate == certificate
    with pytest.raises(NotSupported, match="without its seed"):
        Identity.parse(sequence(integer(0), algorithm, octet_string(expanded)))


def test_rsa_numbers_are_checked():
    """A private exponent that does not fit is found while loading."""
    numbers = key("rsa2048").private_numbers()
    sound = [
        numbers.public_numbers.n, 65537, numbers.d, numbers.p, numbers.q,
        numbers.dmp1, numbers.dmq1, numbers.iqmp,
    ]  # fmt: skip
    certificate = certify(key("rsa2048"), san("alice@example.org"))

    def rsa_key(values: list[int]) -> bytes:
        return sequence(integer(0), *map(integer, values))

    assert Identity.parse(rsa_key(sound), der(certificate)).certificate == certificate
    with pytest.raises(KeyProblem, match="damaged"):
        Identity.parse(rsa_key([*sound[:2], sound[2] + 2, *sound[3:]]), der(certificate))


def test_arguments_that_are_mixed_up(tmp_path):
    with pytest.raises(TypeError, match=r"Identity.parse\(\) takes bytes, not str: .*load\(path\)"):
        Identity.parse("alice.p12")
    with pytest.raises(TypeError, match=r"Identity.load\(\) takes a path.*parse\(data\)"):
        Identity.load(pem(KEY))
    with pytest.raises(TypeError, match=r"parse\(pem.encode\(\)\)"):
        Recipient.load(pem(LEAF).decode())
    with pytest.raises(FileNotFoundError):
        Identity.load(tmp_path / "missing.p12")


def test_messages_name_the_file(tmp_path):
    path = tmp_path / "a\x1b[2J.pem"
    path.write_bytes(pem(KEY))

    with pytest.raises(KeyProblem, match=r"a\\x1b\[2J.pem") as caught:
        Identity.load(path)
    assert "\x1b" not in str(caught.value)


SOUND = [
    pem(KEY, LEAF),
    der(KEY),
    der(LEAF),
    bag(Encoding.DER),
    bag_in_ber(),
    LOCKED["PKCS#8 in DER"],
    LOCKED["openssl's old form"],
    key_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL),
]


@settings(max_examples=300, deadline=1000)
@given(st.sampled_from(SOUND), st.randoms(use_true_random=False))
def test_damage_gives_our_errors_only(sound: bytes, chance: random.Random):
    data = bytearray(sound)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = bytes([chance.randrange(256)])
            case 3:
                data[at : at + 1] = b"\x30\x80"
        if not data:
            break
    for read in (Identity.parse_all, Recipient.parse):
        more = {"passphrase": PASSPHRASE} if read == Identity.parse_all else {}
        try:
            repr(read(bytes(data), **more))
        except SmimeError:
            continue


@pytest.mark.parametrize("kind", [Identity, Recipient])
@given(st.binary(max_size=200))
def test_anything_gives_our_errors_only(kind, data):
    for prefix in (b"", b"0", b"0\x80", b"-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(SmimeError):
            kind.parse(prefix + data)


def test_curves_beyond_the_usual():
    private_key = ec.generate_private_key(ec.BrainpoolP256R1())
    certificate = certify(private_key, san("alice@example.org"))

    assert "brainpoolP256r1" in repr(Identity.parse(pem(private_key, certificate)))


def test_too_large_for_a_key_file():
    with pytest.raises(LimitExceeded):
        Recipient.parse(bytes(9 * 1024 * 1024))
