"""Every signature algorithm that is written: made, checked here and by the primitive, broken."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from asn1crypto import algos
from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

import smime
from smime import Policy
from smime.cms import SigningKey, signatures, signed
from smime.errors import KeyProblem, NotSupported
from smime.report import Answer
from tests.cms.forge import CONTENT, HASHES, SIGNATURE_OID, algorithm, digest, signed_by
from tests.cms.signers import AT, DIGEST, KEYS, anchors, certificate_of, identity, key_of
from tests.cms.signers import signing_key as key

RSA_PSS = "1.2.840.113549.1.1.10"
MODERN = Policy.modern()
PSS = MODERN.replace(signature="rsa-pss")
LEGACY = Policy.legacy_read()


def made(
    *signers: SigningKey, policy: Policy = MODERN, content: bytes = CONTENT, **more: Any
) -> bytes:
    blob, _ = signed.build(content, signers, detached=False, at=AT, policy=policy, **more)
    return blob


def checked(blob: bytes, policy: Policy = MODERN, content: bytes | None = None) -> Any:
    """The one signature of a message, checked."""
    data = signatures.read(blob)
    over = content if content is not None else data.content
    assert over is not None
    (check,) = signatures.check(data, signatures.Content(over), policy=policy)
    return check


def signer_of(blob: bytes) -> Any:
    """The one SignerInfo, read by another reader of ASN.1."""
    return asn1.ContentInfo.load(blob)["content"]["signer_infos"][0]


@pytest.mark.parametrize("attributes", [True, False])
@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key(kind: str, attributes: bool) -> None:
    """It verifies here, names what its RFC says, and a changed octet anywhere is refused."""
    blob = made(key(kind), attributes=attributes)
    policy = MODERN if attributes else MODERN.replace(weak=["no-attributes"])

    check = checked(blob, policy)

    assert check.holds
    assert check.certificate == certificate_of(kind)
    assert check.digest_algorithm == DIGEST[kind]
    assert check.digest == digest(DIGEST[kind], CONTENT)
    assert not checked(blob, policy, content=CONTENT.replace(b"noon", b"dusk")).holds
    value = signer_of(blob)["signature"].native
    broken = blob.replace(value, value[:-1] + bytes([value[-1] ^ 1]))
    assert checked(broken, policy).genuine.code == "signature-wrong"


@pytest.mark.parametrize(
    ("kind", "digest_oid", "parameters", "signature_oid"),
    [
        ("ed25519", "sha512", None, "1.3.101.112"),
        ("ed448", "2.16.840.1.101.3.4.2.18", 512, "1.3.101.113"),
        ("ml-dsa-44", "sha512", None, "2.16.840.1.101.3.4.3.17"),
        ("ml-dsa-65", "sha512", None, "2.16.840.1.101.3.4.3.18"),
        ("ml-dsa-87", "sha512", None, "2.16.840.1.101.3.4.3.19"),
        ("bp384", "sha384", None, "1.2.840.10045.4.3.3"),
    ],
)
def test_identifiers_of_newer_algorithms(
    kind: str, digest_oid: str, parameters: int | None, signature_oid: str
) -> None:
    """RFC 8419 §3.1 and RFC 9882 §3: which digest, and parameters absent."""
    signer = signer_of(made(key(kind)))
    algorithm = signer["digest_algorithm"]

    assert digest_oid in (algorithm["algorithm"].native, algorithm["algorithm"].dotted)
    if parameters is None:
        assert len(algorithm.contents) == len(algorithm["algorithm"].dump())
    else:
        assert algorithm.contents.endswith(b"\x02\x02\x02\x00")
    assert signer["signature_algorithm"]["algorithm"].dotted == signature_oid
    assert (
        signer["signature_algorithm"].contents == signer["signature_algorithm"]["algorithm"].dump()
    )


# --- RSASSA-PSS ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_pss_by_policy(name: str) -> None:
    """All parameters are written: one digest, MGF1 with it, a salt as long as it."""
    blob = made(key("rsa"), policy=PSS.replace(digest=name))

    signer = signer_of(blob)
    parameters = signer["signature_algorithm"]["parameters"]
    assert signer["signature_algorithm"]["algorithm"].native == "rsassa_pss"
    assert parameters["hash_algorithm"]["algorithm"].native == name
    assert parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native == name
    assert parameters["salt_length"].native == hashlib.new(name).digest_size
    attributes = b"\x31" + signer["signed_attrs"].dump()[1:]
    primitive = {"sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}[name]()
    key_of("rsa").public_key().verify(
        signer["signature"].native,
        attributes,
        padding.PSS(padding.MGF1(primitive), primitive.digest_size),
        primitive,
    )
    assert checked(blob).holds


def pss_message(salt: int, mask: str = "sha256", **parameters: Any) -> bytes:
    """A message signed with a salt and an MGF1 of one's choice, saying so or something else."""
    said = {
        "hash_algorithm": {"algorithm": "sha256"},
        "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": mask}},
        "salt_length": salt,
        **parameters,
    }
    how = padding.PSS(padding.MGF1(HASHES[mask]), salt)
    return signed_by(
        "rsa",
        signature=algorithm(RSA_PSS, algos.RSASSAPSSParams(said).dump()),
        sign=lambda covered: key_of("rsa").sign(covered, how, hashes.SHA256()),
    )


@pytest.mark.parametrize("salt", [0, 20, 32, 222])
@pytest.mark.parametrize("mask", ["sha1", "sha256", "sha512"])
def test_pss_of_others(salt: int, mask: str) -> None:
    """Any salt, and another digest in MGF1, as openssl and old libraries write them."""
    assert checked(pss_message(salt, mask)).holds


MGF1_SHA512 = {"algorithm": "mgf1", "parameters": {"algorithm": "sha512"}}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"hash_algorithm": {"algorithm": "sha512"}}, "algorithms-differ"),
        ({"mask_gen_algorithm": MGF1_SHA512}, "signature-wrong"),
        ({"salt_length": 31}, "signature-wrong"),
        ({"salt_length": 3000}, "parameters-invalid"),
        ({"salt_length": -1}, "parameters-invalid"),
        ({"salt_length": 2**70}, "parameters-invalid"),
        ({"trailer_field": 2}, "parameters-invalid"),
    ],
    ids=str,
)
def test_pss_parameters_that_are_wrong(said: dict[str, Any], code: str) -> None:
    assert checked(pss_message(32)).holds

    assert checked(pss_message(32, **said)).genuine.code == code


@pytest.mark.parametrize(
    "parameters",
    [b"", b"\x05\x00", b"\x30\x02\xa0\x00", b"\x30\x05\xa4\x03\x02\x01\x01"],
    ids=["none", "null", "empty", "unknown"],
)
def test_pss_without_proper_parameters(parameters: bytes) -> None:
    """RFC 4056 §3: they must be there; SHA-1 by default would be another algorithm."""
    blob = signed_by(
        "rsa",
        signature=algorithm(RSA_PSS, parameters),
        sign=lambda covered: key_of("rsa").sign(
            covered, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
        ),
    )

    assert checked(blob).genuine.code == "parameters-invalid"


def test_pss_by_default_parameters_is_sha1() -> None:
    """An empty SEQUENCE is SHA-1 in both places and 20 octets (RFC 4055 §3.1)."""
    blob = signed_by(
        "rsa",
        name="sha1",
        signature=algorithm(RSA_PSS, b"\x30\x00"),
        sign=lambda covered: key_of("rsa").sign(
            covered, padding.PSS(padding.MGF1(hashes.SHA1()), 20), hashes.SHA1()
        ),
    )

    assert checked(blob, LEGACY).holds
    assert checked(blob).intact.code == "weak-algorithm"


def pss_certificate(parameters: algos.RSASSAPSSParams | None) -> x509.Certificate:
    """The RSA certificate with its key named id-RSASSA-PSS, restricted or not."""
    from asn1crypto import x509 as asn1_x509

    found = asn1_x509.Certificate.load(certificate_of("rsa").public_bytes(Encoding.DER))
    algorithm: dict[str, Any] = {"algorithm": "rsassa_pss"}
    if parameters is not None:
        algorithm["parameters"] = parameters
    found["tbs_certificate"]["subject_public_key_info"]["algorithm"] = algorithm
    return x509.load_der_x509_certificate(found.dump(force=True))


def restricted(name: str, salt: int) -> algos.RSASSAPSSParams:
    return algos.RSASSAPSSParams(
        {
            "hash_algorithm": {"algorithm": name},
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": name}},
            "salt_length": salt,
        }
    )


@pytest.mark.parametrize(
    ("parameters", "name", "salt"),
    [
        (None, "sha256", 32),
        (restricted("sha384", 48), "sha384", 48),
        (restricted("sha512", 20), "sha512", 64),
        (restricted("sha256", 64), "sha256", 64),
    ],
)
def test_a_pss_key_keeps_to_its_parameters(
    parameters: algos.RSASSAPSSParams | None, name: str, salt: int
) -> None:
    """Written under any policy as the key demands (RFC 4055 §3.3)."""
    signer = SigningKey(key_of("rsa"), pss_certificate(parameters))
    policy = MODERN.replace(digest="sha256", signature="rsa-v15")

    blob = made(signer, policy=policy)

    found = signer_of(blob)["signature_algorithm"]
    assert found["algorithm"].native == "rsassa_pss"
    assert found["parameters"]["hash_algorithm"]["algorithm"].native == name
    assert found["parameters"]["salt_length"].native == salt
    assert checked(blob).holds


@pytest.mark.parametrize(
    ("policy", "fits"),
    [
        (PSS.replace(digest="sha384"), True),
        (PSS.replace(digest="sha256"), False),
        (MODERN.replace(digest="sha384"), False),
    ],
)
def test_signatures_beyond_what_a_pss_key_allows(policy: Policy, fits: bool) -> None:
    """The same key as rsaEncryption makes values that the restricted certificate must not bear."""
    blob = made(key("rsa"), policy=policy)
    swapped = asn1.ContentInfo.load(blob)
    other = pss_certificate(restricted("sha384", 48)).public_bytes(Encoding.DER)
    swapped["content"]["certificates"] = [asn1.CertificateChoices.load(other)]

    check = checked(swapped.dump(force=True))

    assert check.holds is fits
    assert fits or check.genuine.code == "signature-wrong"


@pytest.mark.parametrize("name", ["sha1", "md5"])
def test_a_key_that_demands_what_is_weak_does_not_sign(name: str) -> None:
    with pytest.raises(NotSupported, match=name):
        SigningKey(key_of("rsa"), pss_certificate(restricted(name, 20)))


def test_pss_at_the_command() -> None:
    import argparse

    from smime.cli.options import add_digest, policy_of

    parser = argparse.ArgumentParser()
    add_digest(parser)

    assert policy_of(parser.parse_args(["--rsa-pss"])) == PSS
    assert policy_of(parser.parse_args([])) == MODERN


# --- digests and policies -------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "ed448", "ml-dsa-65"])
def test_keys_that_fix_their_digest_ignore_the_policys(kind: str) -> None:
    """One policy serves all signers of a message."""
    blob, names = signed.build(
        CONTENT,
        [key(kind), key("rsa")],
        detached=True,
        at=AT,
        policy=MODERN.replace(digest="sha384"),
    )

    assert names == [DIGEST[kind], "sha384"]
    checks = signatures.check(signatures.read(blob), signatures.Content(CONTENT), policy=MODERN)
    assert all(one.holds for one in checks)


NIST_ARC = "2.16.840.1.101.3.4.3."
DIGEST_ORDER = ("sha3_224", "sha3_256", "sha3_384", "sha3_512")


@pytest.mark.parametrize("name", DIGEST_ORDER)
@pytest.mark.parametrize(("kind", "arc"), [("rsa", 13), ("p256", 9)])
def test_sha3_is_read(kind: str, arc: int, name: str) -> None:
    """NIST's identifiers name key and digest."""
    signature = algorithm(f"{NIST_ARC}{arc + DIGEST_ORDER.index(name)}")

    check = checked(signed_by(kind, name=name, signature=signature))

    assert check.holds
    assert check.digest_algorithm == name.replace("_", "-")


@pytest.mark.parametrize(
    ("name", "oid", "weak"),
    [
        ("sha224", "1.2.840.113549.1.1.14", False),
        ("sha1", "1.2.840.113549.1.1.5", True),
        ("md5", "1.2.840.113549.1.1.4", True),
    ],
)
def test_digests_of_old(name: str, oid: str, weak: bool) -> None:
    blob = signed_by("rsa", name=name, signature=algorithm(oid))

    assert checked(blob, LEGACY).holds
    assert checked(blob).holds is not weak
    assert not weak or checked(blob).intact.code == "weak-algorithm"


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        ("ml-dsa-44", "sha256", "ok"),
        ("ml-dsa-65", "sha384", "ok"),
        ("ml-dsa-65", "sha3_512", "ok"),
        ("ml-dsa-87", "shake256", "ok"),
        ("ml-dsa-65", "sha256", "not-supported"),
        ("ml-dsa-87", "sha384", "not-supported"),
        ("ed25519", "sha256", "not-supported"),
        ("ed448", "sha512", "not-supported"),
        ("ed448", "shake256", "ok"),
    ],
)
def test_digests_that_go_with_a_key(kind: str, name: str, code: str) -> None:
    """RFC 9882 §3.3 (as strong as the key) and RFC 8419 §3.1 (the one and no other)."""
    check = checked(signed_by(kind, name=name))

    assert check.genuine.code == code
    assert check.holds is (code == "ok")


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        ("2.16.840.1.101.3.4.3.20", "SLH-DSA-SHA2-128s"),
        ("2.16.840.1.101.3.4.3.31", "SLH-DSA-SHAKE-256f"),
        ("2.16.840.1.101.3.4.3.33", "HashML-DSA-65"),
        ("1.3.6.1.5.5.7.6.31", "RSASSA-PSS with SHAKE256"),
        ("1.2.3.4.5", "1.2.3.4.5"),
    ],
)
def test_what_is_not_built_is_named(oid: str, name: str) -> None:
    check = checked(signed_by("ml-dsa-65", name="sha512", signature=algorithm(oid)))

    assert check.genuine.answer is Answer.NOT_CHECKED
    assert check.genuine.code == "not-supported"
    assert name in check.genuine.reason


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa-65"])
def test_parameters_where_none_may_be(kind: str) -> None:
    assert checked(signed_by(kind, name="sha512")).holds

    with_null = algorithm(SIGNATURE_OID[kind], b"\x05\x00")
    check = checked(signed_by(kind, name="sha512", signature=with_null))

    assert check.genuine.code == "parameters-invalid"


@pytest.mark.parametrize(
    ("name", "oid"), [("sha1", "1.2.840.10040.4.3"), ("sha256", "2.16.840.1.101.3.4.3.2")]
)
def test_dsa_is_read_by_policy_only(name: str, oid: str) -> None:
    """Nobody signs with it any more; old mail has it (RFC 4134)."""
    private = dsa.generate_private_key(2048)
    like = certificate_of("rsa")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(like.issuer)
        .public_key(private.public_key())
        .serial_number(4711)
        .not_valid_before(like.not_valid_before_utc)
        .not_valid_after(like.not_valid_after_utc)
        .sign(key_of("p256", 99), hashes.SHA256())
    )
    blob = signed_by(
        "dsa",
        name=name,
        signature=algorithm(oid),
        sign=lambda covered: private.sign(covered, HASHES[name]),
        cert_der=certificate.public_bytes(Encoding.DER),
    )

    assert checked(blob, LEGACY).holds
    assert checked(blob).intact.code == "weak-algorithm"
    assert not checked(blob, LEGACY.replace(weak={"sha1"})).holds
    with pytest.raises(NotSupported, match="DSA"):
        SigningKey(private, certificate)


def test_a_key_of_another_kind_than_the_algorithm() -> None:
    """A value is never tried with an algorithm that the key is not of."""
    blob = signed_by("rsa", name="sha512", signature=algorithm(SIGNATURE_OID["ed25519"]))

    assert checked(blob).genuine.code == "signature-wrong"


# --- objects that keep the key ----------------------------------------------------


class Kept:
    """A key kept elsewhere: it signs what it is asked to, or something else."""

    def __init__(self, kind: str, spoil: bool = False) -> None:
        self.certificate = certificate_of(kind)
        self.asked: list[str] = []
        self._kind = kind
        self._spoil = spoil

    def sign(self, data: bytes, algorithm: str) -> bytes:
        self.asked.append(algorithm)
        own = identity(self._kind)
        return own.sign(data + b"!" * self._spoil, algorithm)


@pytest.mark.parametrize(
    ("kind", "policy", "asked"),
    [
        ("rsa", MODERN, "sha256"),
        ("rsa", PSS.replace(digest="sha384"), "rsa-pss-sha384"),
        ("p384", MODERN, "sha384"),
        ("ed25519", MODERN, "sha512"),
        ("ed448", MODERN, "shake256"),
        ("ml-dsa-65", MODERN, "sha512"),
    ],
)
def test_keys_kept_elsewhere_are_told_what_to_do(kind: str, policy: Policy, asked: str) -> None:
    kept = Kept(kind)

    blob = made(SigningKey(kept, kept.certificate), policy=policy)

    assert kept.asked == [asked]
    assert checked(blob).holds


def test_a_value_that_is_no_signature_never_leaves() -> None:
    kept = Kept("rsa", spoil=True)

    with pytest.raises(KeyProblem, match="no signature"):
        made(SigningKey(kept, kept.certificate))


# --- whole mails --------------------------------------------------------------------


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize(
    ("kind", "policy", "micalg"),
    [
        ("rsa", PSS, "sha-256"),
        ("bp512", MODERN, "sha-512"),
        ("ed25519", MODERN, "sha-512"),
        ("ed448", MODERN, "shake256"),
        ("ml-dsa-44", MODERN, "sha-512"),
        ("ml-dsa-65", Policy.as2(micalg="sha256"), "sha-512"),
        ("rsa", Policy.as2(micalg="sha256"), "sha256"),
    ],
)
def test_mail_by_every_kind_of_key(kind: str, policy: Policy, micalg: str, opaque: bool) -> None:
    address = f"{kind}-0@example.org"
    letter = f"From: {address}\r\nTo: b@example.org\r\nSubject: x\r\n\r\nat noon\r\n".encode()

    mail = smime.sign(letter, by=identity(kind), opaque=opaque, policy=policy, at=AT)
    opened = smime.verify(mail, trust=anchors(), at=AT)

    assert opened.signer == address
    assert opaque or f'micalg="{micalg}"'.encode() in bytes(mail)
    changed = bytes(mail).replace(b"at noon", b"at dusk")
    if not opaque:
        with pytest.raises(smime.SignatureRejected):
            smime.verify(changed, trust=anchors(), at=AT)


def test_rsa_pss_certificates_sign_mail() -> None:
    """The whole way with a certificate that says id-RSASSA-PSS."""
    certificate = _signed_pss_certificate()
    who = smime.Identity(key_of("rsa", 5), certificate)
    letter = b"From: pss@example.org\r\nSubject: x\r\n\r\nat noon\r\n"

    opened = smime.verify(smime.sign(letter, by=who, at=AT), trust=anchors(), at=AT)

    assert opened.signer == "pss@example.org"
    assert not who.recipient.fitness.reads


def _signed_pss_certificate() -> x509.Certificate:
    from asn1crypto import x509 as asn1_x509
    from cryptography.hazmat.primitives.asymmetric import ec

    plain = certificate_of("rsa", 5, "pss@example.org").public_bytes(Encoding.DER)
    found = asn1_x509.Certificate.load(plain)
    tbs = found["tbs_certificate"]
    tbs["subject_public_key_info"]["algorithm"] = {
        "algorithm": "rsassa_pss",
        "parameters": restricted("sha256", 32),
    }
    value = key_of("p256", 99).sign(tbs.dump(force=True), ec.ECDSA(hashes.SHA256()))
    found["signature_value"] = value
    return x509.load_der_x509_certificate(found.dump(force=True))


def test_rsa_keys_that_are_no_pss_keys_keep_v15_by_default() -> None:
    assert isinstance(key_of("rsa").public_key(), rsa.RSAPublicKey)
    blob = made(key("rsa"))

    assert signer_of(blob)["signature_algorithm"]["algorithm"].native == "rsassa_pkcs1v15"
