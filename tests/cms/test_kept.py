"""Keys that are kept elsewhere open what is sealed for them, and tell nothing of what fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

import smime
from smime import cms
from smime.cms import OpeningKey, enveloped, recipients
from smime.cms.der import integer, octet_string, oid, sequence, set_of, tlv, top
from smime.cms.kept import KeptKey
from smime.errors import DecryptionFailed, KeyProblem, NotSupported
from tests.cms.forge import DIGEST_OID, algorithm
from tests.cms.people import certify, person

CONTENT = b"We meet at noon.\r\n"
GCM = smime.Policy.modern().replace(cipher="aes-256-gcm")
OAEP = GCM.replace(key_transport="rsa-oaep")
AGREEING = ("p256", "p384", "p521", "brainpool256", "x25519", "x448")


class Kept:
    """A key behind a wall: it has the shape of ``smime.Opener`` and nothing else."""

    _key: Any

    def __init__(self, kind: str, number: int = 0) -> None:
        self._key, self.certificate = person(kind, number)
        self.asked: list[str] = []

    def decrypt(self, wrapped: bytes, algorithm: str) -> Any:
        self.asked.append(algorithm)
        if algorithm == "rsa-v15":
            return self._key.decrypt(wrapped, padding.PKCS1v15())
        digest, _, mask = algorithm.removeprefix("rsa-oaep-").partition("-mgf1-")
        made = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384()}
        oaep = padding.OAEP(padding.MGF1(made[mask or digest]), made[digest], None)
        return self._key.decrypt(wrapped, oaep)

    def agree(self, public: bytes) -> bytes:
        self.asked.append("agree")
        other: Any = load_der_public_key(public)
        secret: bytes = (
            self._key.exchange(ec.ECDH(), other)
            if isinstance(other, ec.EllipticCurvePublicKey)
            else self._key.exchange(other)
        )
        return secret


class Failing(Kept):
    """Its way to say no is one of ``Failing.WAYS``."""

    class Odd(Exception):
        """What a client library has of its own."""

    def __init__(self, kind: str, answer: object) -> None:
        super().__init__(kind)
        self.answer = answer

    def decrypt(self, wrapped: bytes, algorithm: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def agree(self, public: bytes) -> Any:
        return self.decrypt(public, "")


def seal(kind: str, number: int = 0, policy: smime.Policy = GCM) -> bytes:
    return cms.encrypt(CONTENT, to=person(kind, number)[1], policy=policy)


@pytest.mark.parametrize("kind", ["rsa", *AGREEING])
def test_it_opens_what_is_sealed_for_it_alone(kind: str) -> None:
    key = Kept(kind)

    assert cms.decrypt(seal(kind), keys=key) == CONTENT
    assert key.asked == ["rsa-v15" if kind == "rsa" else "agree"]
    assert cms.decrypt(seal(kind), keys=[person("rsa", 5)[0], Kept(kind, 1), key]) == CONTENT
    with pytest.raises(DecryptionFailed, match="not sealed for any"):
        cms.decrypt(seal(kind, 1), keys=key)


def oaep_recipient(digest: str, mask: str, label: bytes) -> bytes:
    """A KeyTransRecipientInfo (RFC 5652 §6.2.1) for a key of 16 octets, under OAEP of this form."""
    key, certificate = person("rsa")
    made = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384()}
    pad = padding.OAEP(padding.MGF1(made[mask]), made[digest], label or None)
    mgf1 = algorithm("1.2.840.113549.1.1.8", algorithm(DIGEST_OID[mask]))
    named = oid("1.2.840.113549.1.1.9") + octet_string(label)
    parameters = sequence(
        tlv(0xA0, algorithm(DIGEST_OID[digest])),
        tlv(0xA1, mgf1),
        tlv(0xA2, sequence(named)) if label else b"",
    )
    return sequence(
        integer(0),
        OpeningKey(key, certificate).identifier,
        algorithm("1.2.840.113549.1.1.7", parameters),
        octet_string(key.public_key().encrypt(bytes(range(16)), pad)),
    )


@pytest.mark.parametrize(
    ("digest", "mask", "name"),
    [
        ("sha1", "sha1", "rsa-oaep-sha1"),
        ("sha384", "sha384", "rsa-oaep-sha384"),
        ("sha256", "sha1", "rsa-oaep-sha256-mgf1-sha1"),
    ],
)
def test_the_name_of_each_padding(digest: str, mask: str, name: str) -> None:
    data = set_of(oaep_recipient(digest, mask, b""))
    key = Kept("rsa")
    ((found, way),) = recipients.find(recipients.read(data, top(data)), [KeptKey(key)])

    assert way.unwrap_with(found)(16) == bytes(range(16))
    assert key.asked == [name]


def test_a_label_has_no_name() -> None:
    data = set_of(oaep_recipient("sha256", "sha256", b"label"))
    key = Kept("rsa")
    ((found, way),) = recipients.find(recipients.read(data, top(data)), [KeptKey(key)])

    with pytest.raises(NotSupported, match="label"):
        way.unwrap_with(found)(16)
    assert way.unwrap_with(OpeningKey(*person("rsa")))(16) == bytes(range(16))


@pytest.mark.parametrize("kind", ["rsa", "p256", "x25519"])
@pytest.mark.parametrize(
    "answer",
    [
        ValueError("padding"),
        Failing.Odd("InvalidCiphertext"),
        RuntimeError("HTTP 400"),
        DecryptionFailed("another text"),
        b"",
        bytes(15),
        bytes(1000),
        None,
        "text",
    ],
    ids=repr,
)
def test_whatever_it_says_of_a_message_is_a_wrong_key(kind: str, answer: object) -> None:
    """One error, one text, the same at each repetition."""
    key = Failing(kind, answer)
    blob = seal(kind)
    told = set()
    for _ in range(3):
        with pytest.raises(DecryptionFailed) as failed:
            cms.decrypt(blob, keys=key)
        told.add((str(failed.value), failed.value.hint, repr(failed.value.__cause__)))
    assert told == {(enveloped.FAILED, "", "None")}
    assert cms.decrypt(blob, keys=Kept(kind)) == CONTENT


@pytest.mark.parametrize(
    "answer", [OSError("no route"), KeyProblem("locked"), NotSupported("no OAEP")], ids=repr
)
@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_what_tells_nothing_of_the_message_passes(kind: str, answer: Exception) -> None:
    with pytest.raises(type(answer)) as passed:
        cms.decrypt(seal(kind), keys=Failing(kind, answer))
    assert passed.value is answer


def test_a_point_off_the_curve_is_not_passed_on() -> None:
    key = Kept("p256")
    blob = bytearray(seal("p256"))
    at = blob.index(b"\x03\x42\x00\x04")
    blob[at + 10] ^= 1

    with pytest.raises(DecryptionFailed, match=enveloped.FAILED):
        cms.decrypt(bytes(blob), keys=key)
    assert key.asked == []


def test_an_identity_with_a_kept_key_reads_and_says_whose_it_is() -> None:
    identity = smime.Identity(Kept("rsa"), person("rsa")[1])
    (only,) = identity.opening_keys

    assert only.label == "bob@example.org"
    assert cms.decrypt(seal("rsa"), keys=identity) == CONTENT
    for secret in ("to_p12", "to_pem"):
        with pytest.raises(KeyProblem, match="kept elsewhere"):
            getattr(identity, secret)("passphrase")


def test_a_kept_key_opens_by_a_certificate_of_its_own_too() -> None:
    """A renewed certificate and a former one: the key is the same."""
    key = Kept("p256")
    former = certify(person("p256")[0].public_key(), "former", serial=77)
    blob = cms.encrypt(CONTENT, to=former, policy=GCM)

    assert cms.decrypt(blob, keys=KeptKey(key, former)) == CONTENT


def test_what_is_no_key() -> None:
    class Half:
        certificate = person("rsa")[1]

        def agree(self, public: bytes) -> bytes:
            return public

    class Lattice(Half):
        certificate = person("ml-kem-768")[1]

    with pytest.raises(KeyProblem, match=r"Half cannot open.*RSA") as problem:
        cms.decrypt(seal("rsa"), keys=Half())
    assert ".decrypt()" in problem.value.hint
    with pytest.raises(NotSupported, match="MLKEM768"):
        cms.decrypt(seal("rsa"), keys=Lattice())
    with pytest.raises(TypeError, match="takes an Identity"):
        cms.decrypt(seal("rsa"), keys=object())
    with pytest.raises(TypeError, match="takes an Identity"):
        cms.decrypt(seal("rsa"), keys=[object()])


def test_nothing_of_it_is_shown() -> None:
    import pickle

    key = KeptKey(Kept("rsa"))

    assert repr(key).startswith("<KeptKey rsa ")
    assert OpeningKey(person("rsa")[0]).computed == key.computed
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(key)


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_files_open_with_it_in_pieces(kind: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "plain").write_bytes(content)
    cms.encrypt(tmp_path / "plain", to=person(kind)[1], policy=GCM, out=tmp_path / "sealed")

    cms.decrypt(tmp_path / "sealed", keys=Kept(kind), out=tmp_path / "opened")

    assert (tmp_path / "opened").read_bytes() == content
    with pytest.raises(DecryptionFailed, match=enveloped.FAILED):
        cms.decrypt(tmp_path / "sealed", keys=Failing(kind, RuntimeError()), out=tmp_path / "no")
    assert not (tmp_path / "no").exists()
