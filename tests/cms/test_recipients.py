"""Every kind of reader: what is sealed for it opens with its key, and with no other."""

from __future__ import annotations

import io
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from smime import cms
from smime.cms import OpeningKey, Passphrase, RecipientKey, SharedKey, enveloped, recipients
from smime.cms import algorithms as alg
from smime.cms.der import children, octet_string, oid, sequence, set_of, tlv, top
from smime.errors import DecryptionFailed, LimitExceeded, NotSupported
from smime.policy import Policy
from tests.cms.people import KINDS, MAKERS, certify, person

CONTENT = b"We meet at noon.\r\n"
POLICY = Policy.modern()
SHARED = SharedKey(bytes(range(32)), b"july")
SPOKEN = Passphrase("correct horse battery staple")


def seal(*readers: object, transport: str = "rsa-v15", cipher: str = "aes-256-cbc") -> bytes:
    return enveloped.build(CONTENT, readers, cipher=cipher, transport=transport)


def unseal(blob: bytes, *keys: object) -> bytes:
    return enveloped.open_with(enveloped.read(blob), keys, POLICY)[0]


def does_not_open(blob: bytes, *keys: object) -> bool:
    """It is refused, or what comes is another text: CBC shows a wrong key 255 times in 256."""
    try:
        return unseal(blob, *keys) != CONTENT
    except DecryptionFailed as refusal:
        return str(refusal) == enveloped.FAILED


def reader(kind: str, number: int = 0) -> RecipientKey:
    return RecipientKey(person(kind, number)[1])


def opener(kind: str, number: int = 0) -> OpeningKey:
    return OpeningKey(*person(kind, number))


@pytest.mark.parametrize("cipher", ["aes-128-cbc", "aes-256-gcm"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_with_its_key_alone(kind, cipher):
    blob = seal(reader(kind), cipher=cipher)

    assert unseal(blob, opener(kind)) == CONTENT
    with pytest.raises(DecryptionFailed, match="not sealed for any"):
        unseal(blob, opener(kind, 1))
    other = OpeningKey(person(kind, 1)[0], person(kind)[1])  # the name of one, the key of another
    assert does_not_open(blob, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_without_certificate_opens(kind):
    """It is tried on what fits; the certificate's name for it is not known."""
    key, _ = person(kind)
    blob = seal(reader(kind), reader(kind, 1), reader("rsa", 2), cipher="aes-256-gcm")

    assert unseal(blob, OpeningKey(key)) == CONTENT
    with pytest.raises(DecryptionFailed):
        unseal(blob, OpeningKey(person(kind, 3)[0]))


def test_all_kinds_in_one_message():
    """Everybody opens the same message: one ephemeral key for each curve."""
    kinds = [*KINDS, "p256", "x25519"]
    readers = [reader(kind, 1 if n >= len(KINDS) else 0) for n, kind in enumerate(kinds)]
    blob = seal(*readers, SHARED, SPOKEN)

    for n, kind in enumerate(kinds):
        assert unseal(blob, opener(kind, 1 if n >= len(KINDS) else 0)) == CONTENT
    assert unseal(blob, SHARED) == CONTENT
    assert unseal(blob, SPOKEN) == CONTENT
    found = list(enveloped.read(blob).sealed)
    assert len(found) == len(kinds) + 2
    assert not any(one.why_not for one in found)


@pytest.mark.parametrize(
    ("readers", "version"),
    [
        (("rsa",), 0),
        (("rsa", "p256"), 2),
        (("x25519",), 2),
        (("ml-kem-768", "rsa"), 3),
    ],
)
def test_version_of_enveloped_data(readers, version):
    """RFC 5652 §6.1."""
    blob = seal(*(reader(kind) for kind in readers))
    assert version_of(blob) == version


def test_version_with_shared_secrets():
    assert version_of(seal(SHARED)) == 2
    assert version_of(seal(SPOKEN)) == 3


def version_of(blob: bytes) -> int:
    from asn1crypto import cms

    return int(cms.ContentInfo.load(blob)["content"]["version"])


# --- secrets that are shared ---------------------------------------------------


@pytest.mark.parametrize("octets", [16, 24, 32])
def test_shared_keys(octets):
    key = os.urandom(octets)
    blob = seal(SharedKey(key, b"\x01\x02"), cipher="aes-256-gcm")

    assert unseal(blob, SharedKey(key, b"\x01\x02")) == CONTENT
    with pytest.raises(DecryptionFailed, match="sealed for any"):
        unseal(blob, SharedKey(key, b"\x01\x03"))
    with pytest.raises(DecryptionFailed, match=enveloped.FAILED):
        unseal(blob, SharedKey(os.urandom(octets), b"\x01\x02"))
    with pytest.raises(DecryptionFailed, match=enveloped.FAILED):
        unseal(blob, SharedKey(os.urandom(24 if octets != 24 else 32), b"\x01\x02"))


def test_passphrases():
    blob = seal(Passphrase("Grüße"), cipher="aes-128-gcm")

    assert unseal(blob, Passphrase("Grüße".encode())) == CONTENT
    assert unseal(blob, Passphrase("wrong"), Passphrase("Grüße")) == CONTENT
    with pytest.raises(DecryptionFailed, match=enveloped.FAILED):
        unseal(blob, Passphrase("Grusse"))


def test_what_a_passphrase_is_written_with():
    """PBKDF2 with HMAC-SHA-256 and 600,000 rounds, a salt of 16 octets, AES-256."""
    from asn1crypto import cms

    info = cms.ContentInfo.load(seal(SPOKEN))["content"]["recipient_infos"][0].chosen
    derivation = info["key_derivation_algorithm"]
    parameters = derivation["parameters"]

    assert derivation["algorithm"].native == "pbkdf2"
    assert parameters["iteration_count"].native == 600_000
    assert len(parameters["salt"].native) == 16
    assert parameters["prf"]["algorithm"].native == "sha256"


def pwri(rounds: int, *, salt: bytes = b"12345678", prf: bytes = b"", length: bytes = b"") -> bytes:
    from smime.cms import algorithms as alg
    from smime.cms.der import integer

    derivation = alg.PBKDF2 + sequence(octet_string(salt), integer(rounds), length, prf)
    wrap = sequence(alg.PWRI_KEK, sequence(alg.CIPHERS["aes-128-cbc"][0], octet_string(bytes(16))))
    return tlv(0xA3, integer(0) + tlv(0xA0, derivation) + wrap + octet_string(bytes(48)))


def found_for(info: bytes, *keys: object) -> list[object]:
    data = set_of(info)
    return recipients.find(recipients.read(data, top(data)), keys)


def test_rounds_of_a_passphrase_have_a_limit():
    """Ten million rounds are worked through, one more is refused before the first."""
    assert found_for(pwri(10_000_000), SPOKEN)
    with pytest.raises(LimitExceeded):
        found_for(pwri(10_000_001), SPOKEN)
    with pytest.raises(LimitExceeded):
        found_for(pwri(2**63), SPOKEN)
    with pytest.raises(LimitExceeded):  # half of it each, three times
        found_for(pwri(5_000_000), SPOKEN, Passphrase("a"), Passphrase("b"))
    with pytest.raises(LimitExceeded):
        found_for(pwri(1, salt=bytes(1025)), SPOKEN)


@pytest.mark.parametrize("secret", [SHARED, SPOKEN])
def test_secrets_stay_where_they_are(secret):
    import pickle

    assert "staple" not in repr(secret)
    assert bytes(range(32)).hex() not in repr(secret)
    with pytest.raises(TypeError, match="does not leave its process"):
        pickle.dumps(secret)


def test_secrets_that_protect_nothing():
    with pytest.raises(ValueError, match="16, 24 or 32"):
        SharedKey(bytes(8), b"x")
    with pytest.raises(ValueError, match="empty passphrase"):
        Passphrase("")


# --- X25519 and X448 ------------------------------------------------------------


def agreed(kind: str, digest: str, ukm: bytes, salt: bytes) -> bytes:
    """A KeyAgreeRecipientInfo by the words of RFC 8418 §2.2, for a key of 16 octets."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from cryptography.hazmat.primitives.keywrap import aes_key_wrap

    arcs = {"sha256": 0x13, "sha384": 0x14, "sha512": 0x15}
    key, certificate = person(kind)
    mine = MAKERS[kind]()
    wrap = bytes.fromhex("300b0609608648016503040105")
    entity = tlv(0xA0, octet_string(ukm)) if ukm else b""
    info = sequence(wrap, entity, tlv(0xA2, octet_string(b"\0\0\0\x80")))
    made = HKDF(getattr(hashes, digest.upper())(), 16, salt, info)
    wrapped = aes_key_wrap(made.derive(mine.exchange(key.public_key())), bytes(range(16)))
    algorithm = sequence(bytes.fromhex("06032b65" + ("6e" if kind == "x25519" else "6f")))
    public = tlv(0x03, b"\0" + mine.public_key().public_bytes_raw())
    scheme = bytes.fromhex("060b2a864886f70d01091003") + bytes((arcs[digest],))
    return tlv(
        0xA1,
        b"\x02\x01\x03"
        + tlv(0xA0, tlv(0xA1, algorithm + public))
        + (tlv(0xA1, octet_string(ukm)) if ukm else b"")
        + sequence(scheme, wrap)
        + sequence(sequence(OpeningKey(key, certificate).identifier, octet_string(wrapped))),
    )


@pytest.mark.parametrize("kind", ["x25519", "x448"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize(
    ("ukm", "salt"), [(b"", b""), (b"material", b"material"), (b"material", b"")]
)
def test_hkdf_takes_keying_material_as_salt_too(kind, digest, ukm, salt):
    """RFC 8418 §2.2; one well-known sender leaves the salt out, and is read."""
    key = OpeningKey(*person(kind))
    ((found, way),) = found_for(agreed(kind, digest, ukm, salt), key)

    assert way.unwrap_with(found)(16) == bytes(range(16))


def test_a_secret_of_zeros_is_a_wrong_key_like_any_other():
    """A point of small order (RFC 7748 §6.1) gives no error of its own."""
    key = OpeningKey(*person("x25519"))
    info = agreed("x25519", "sha256", b"", b"")
    at = info.index(bytes.fromhex("06032b656e")) + 8
    ((found, way),) = found_for(info[:at] + bytes(32) + info[at + 32 :], key)
    value = way.unwrap_with(found)(16)

    assert len(value) == 16
    assert value == way.unwrap_with(found)(16)


# --- names ---------------------------------------------------------------------


def test_a_subject_key_identifier_is_enough():
    """Another program names the reader by key identifier; ours by issuer and serial."""
    key, certificate = person("rsa")
    opening = OpeningKey(key, certificate)
    blob = seal(reader("rsa"))
    by_key = tlv(0x80, opening.computed)
    changed = renamed(blob, opening.identifier, by_key)

    assert unseal(changed, opening) == CONTENT
    with pytest.raises(DecryptionFailed, match="sealed for any"):
        unseal(changed, opener("rsa", 1))


def renamed(blob: bytes, old: bytes, new: bytes) -> bytes:
    """Put another name for the one reader into a sealed message, with all lengths mended."""
    from asn1crypto import cms

    info = cms.ContentInfo.load(blob)
    envelope = info["content"]
    one = envelope["recipient_infos"][0].dump()
    node = top(one)
    changed = sequence(one[node[2] : node[3]].replace(old, new))
    assert changed != one
    envelope["recipient_infos"] = cms.RecipientInfos.load(set_of(changed))
    return info.dump(force=True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # Instead of what is written: of the key wrap, the scheme, the sender's key.
        (alg.KEY_WRAP[32], "1.2.840.113549.1.9.16.3.7", "key wrap RC2 "),
        (alg.AGREEMENT_WRITTEN["sha256"], "1.2.840.113549.1.9.16.3.5", "ESDH, ephemeral "),
        (alg.AGREEMENT_WRITTEN["sha256"], "1.2.840.113549.1.9.16.3.10", "SSDH, static "),
        (alg.EC_PUBLIC_KEY, "1.2.840.10046.2.1", "key agreement Diffie-Hellman "),
        (None, "", "a sender's static key "),
    ],
)
def test_old_ways_to_agree_are_refused_by_name(old: bytes | None, new: str, said: str):
    """What old software wrote and nobody reads here: by its name, and others still open it."""
    blob = seal(reader("p256"), reader("rsa"), cipher="aes-256-gcm")
    assert unseal(blob, opener("p256")) == CONTENT
    kind, explicit = _inner(blob)
    version, infos, *rest = _inner(_inner(explicit)[0])
    rsa_info, agreed = sorted(_inner(infos), key=lambda one: one[0])

    def with_infos(*those: bytes) -> bytes:
        return sequence(kind, tlv(0xA0, sequence(version, set_of(*those), *rest)))

    changed = _rewritten(agreed, old, new)
    assert changed != agreed
    if old != alg.EC_PUBLIC_KEY:  # an EC key is no reader of Diffie-Hellman at all
        with pytest.raises(NotSupported, match=said):
            unseal(with_infos(changed, rsa_info), opener("p256"))
    assert unseal(with_infos(changed, rsa_info), opener("rsa")) == CONTENT
    with pytest.raises(NotSupported, match=said):
        unseal(with_infos(changed), opener("rsa"))


def _inner(element: bytes) -> list[bytes]:
    return [element[one[1] : one[3]] for one in children(element, top(element))]


def _rewritten(element: bytes, old: bytes | None, new: str) -> bytes:
    """Return it with another identifier in it, or the sender's key named by a certificate."""
    if old is None and element[:1] == b"\xa0":  # RFC 5652 §6.2.2: originator
        return tlv(0xA0, reader("p256", 1).identifier)
    if not element[0] & 0x20:
        return oid(new) if element == old else element
    return tlv(element[0], b"".join([_rewritten(one, old, new) for one in _inner(element)]))


def test_the_same_name_in_another_string_type():
    """The issuer as PrintableString in the certificate, as UTF8String in the message."""
    key, certificate = person("rsa")
    opening = OpeningKey(key, certificate)
    name = b"\x0c\x0bTest Issuer"
    assert name in opening.identifier
    changed = renamed(seal(reader("rsa")), name, b"\x13" + name[1:])

    assert unseal(changed, opening) == CONTENT


def test_a_thousand_identities_are_matched_by_name():
    """Years of keys are given; the one that is meant is found without trying any."""
    keys = [opener("rsa", 0)]
    shared = person("rsa", 1)[0]
    for serial in range(1, 1000):
        keys.append(OpeningKey(shared, certify(shared.public_key(), "old", serial=serial)))
    blob = seal(RecipientKey(keys[777].certificate), reader("p256"))
    ways = recipients.find(enveloped.read(blob).sealed, keys)

    assert [key for key, _ in ways] == [keys[777]]
    assert unseal(blob, *keys) == CONTENT


def test_ten_thousand_recipients():
    """The last of them opens, by key with certificate and by key identifier alone."""
    first = reader("rsa")
    key, certificate = person("rsa", 1)
    others = [Renamed(first, n) for n in range(10_000, 19_999)]
    blob = seal(*others, RecipientKey(certificate))

    assert unseal(blob, OpeningKey(key, certificate)) == CONTENT
    assert len(list(enveloped.read(blob).sealed)) == 10_000
    with pytest.raises(DecryptionFailed):
        unseal(blob, opener("rsa", 2))
    with pytest.raises(LimitExceeded):
        unseal(blob, OpeningKey(key))


class Renamed:
    """Bob under many names: to seal for ten thousand takes one RSA operation here."""

    kind, curve, version = "rsa", "", 0

    def __init__(self, key: RecipientKey, number: int) -> None:
        self.key, self.number = key, number

    def info(self, content_key: bytes, how: str) -> bytes:
        made = _ONCE.get(content_key)
        if made is None:
            made = _ONCE[content_key] = self.key.info(content_key, how)
        # The serial number ends the name: other octets there are another certificate.
        at = made.index(self.key.identifier) + len(self.key.identifier) - 4
        return made[:at] + self.number.to_bytes(4, "big") + made[at + 4 :]


_ONCE: dict[bytes, bytes] = {}


def test_more_recipients_than_any_message_has():
    class Many(list):
        def __len__(self) -> int:
            return recipients.MAX_RECIPIENTS + 1

    with pytest.raises(LimitExceeded):
        recipients.seal(bytes(16), Many(), "rsa-v15")


# --- a key without certificate -------------------------------------------------


def test_a_bare_key_tries_sixteen_recipients():
    """The seventeenth of its length is one too many; those of other lengths are not tried."""
    key, certificate = person("rsa")
    other = rsa.generate_private_key(65537, 1024)
    short = RecipientKey(certify(other.public_key(), "short", serial=5))
    hidden = x509.load_der_x509_certificate(certificate.public_bytes(Encoding.DER))
    fitting = [Renamed(reader("rsa", 1), n) for n in range(100_000, 100_015)]
    blob = seal(*fitting, short, short, short, RecipientKey(hidden), cipher="aes-256-gcm")

    _ONCE.clear()
    assert unseal(blob, OpeningKey(key)) == CONTENT
    more = seal(
        *[Renamed(reader("rsa", 1), n) for n in range(100_000, 100_016)], RecipientKey(hidden)
    )
    with pytest.raises(LimitExceeded, match="16"):
        unseal(more, OpeningKey(key))


def test_a_bare_key_never_believes_the_first_that_unwraps():
    """Under CBC a wrong recipient "opens" once in 256 times; then none is believed."""
    key, certificate = person("rsa")
    other = RecipientKey(person("rsa", 1)[1])
    opened = 0
    for _ in range(20):
        try:
            blob = seal(other, RecipientKey(certificate), other)
            assert unseal(blob, OpeningKey(key)) == CONTENT
            opened += 1
        except DecryptionFailed as refusal:
            assert str(refusal) == enveloped.FAILED  # noqa: PT017  # either outcome is right, this refusal alone
    assert opened > 10


@pytest.mark.parametrize("kind", ["rsa", "p256"])
@pytest.mark.parametrize("form", ["bytes", "file", "code"])
def test_several_bare_keys_of_several_readers(kind: str, form: str):
    """Each gives the same content key, which then is the one that opens it."""
    keys = [person(kind, n)[0] for n in range(3)]
    to = [person(kind, n)[1] for n in range(3)]
    gcm = Policy.modern().replace(cipher="aes-256-gcm")
    if form == "code":
        blob = cms.authenticate(CONTENT, to=to)
        assert cms.open(blob, keys=keys).content == CONTENT
        blob = blob[:-1] + bytes([blob[-1] ^ 1])
    else:
        blob = cms.encrypt(CONTENT, to=to, policy=gcm)
        given = io.BytesIO(blob) if form == "file" else blob
        assert cms.decrypt(given, keys=keys) == CONTENT
        assert cms.decrypt(blob, keys=[person(kind, 3)[0], *keys]) == CONTENT
        blob = blob[:-1] + bytes([blob[-1] ^ 1])
    with pytest.raises(DecryptionFailed):
        cms.open(blob, keys=keys)


def test_sender_names_what_nobody_knows():
    """A kind of recipient of the future does not stand in the way of the others."""
    from asn1crypto import cms as asn1

    strange = tlv(0xA4, bytes.fromhex("06032a0304") + sequence())
    info = asn1.ContentInfo.load(seal(reader("rsa")))
    one = info["content"]["recipient_infos"][0].dump()
    for infos, opens in ((set_of(one, strange), True), (set_of(strange), False)):
        info["content"]["recipient_infos"] = asn1.RecipientInfos.load(infos)
        blob = info.dump(force=True)
        if opens:
            assert unseal(blob, opener("rsa")) == CONTENT
        else:
            with pytest.raises(NotSupported, match=r"1\.2\.3\.4"):
                unseal(blob, opener("rsa"))
