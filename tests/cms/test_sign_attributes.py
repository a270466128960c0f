"""Attributes that bind algorithms and certificates, attributes of one's own, and none at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import cms as asn1
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from smime import Policy
from smime.cms import attribute, attributes, signatures, signed
from smime.cms.algorithms import digest
from smime.cms.der import NULL, octet_string, oid, sequence, tlv
from smime.errors import KeyProblem, LimitExceeded, SignatureRejected
from tests.cms import forge
from tests.cms.forge import CONTENT, algorithm, signed_by
from tests.cms.signers import AT, KEYS, certificate_of, signing_key

MODERN = Policy.modern()
BARE = MODERN.replace(weak={"no-attributes"})
SHA256 = "2.16.840.1.101.3.4.2.1"
RSA, RSA_SHA256 = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11"
PROTECTION = "1.2.840.113549.1.9.52"
CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
CERTIFICATE_V1 = "1.2.840.113549.1.9.16.2.12"
SCEP_TYPE = "2.16.840.1.113733.1.9.2"


def made(kind: str = "p256", policy: Policy = MODERN, **more: Any) -> bytes:
    blob, _ = signed.build(
        CONTENT, [signing_key(kind)], detached=False, at=AT, policy=policy, **more
    )
    return blob


def checked(blob: bytes, policy: Policy = MODERN) -> signatures.CheckedSignature:
    data = signatures.read(blob)
    assert data.content is not None
    (check,) = signatures.check(data, signatures.Content(data.content), policy=policy)
    return check


def attributes_of(blob: bytes) -> dict[str, Any]:
    signer = asn1.ContentInfo.load(blob)["content"]["signer_infos"][0]
    return {one["type"].dotted: one["values"] for one in signer["signed_attrs"]}


@given(
    content=st.binary(max_size=40),
    at=st.datetimes(datetime(1950, 1, 2), datetime(2060, 1, 1), timezones=st.just(UTC)),
)
@pytest.mark.parametrize("kind", ["rsa", "p256", "p521", "ed25519"])
def test_detached_signatures_are_written_alike_each_time(
    kind: str, content: bytes, at: datetime
) -> None:
    """What is kept of a first message for the next ones changes nothing of what they are."""
    key = signing_key(kind)

    blob, _ = signed.build(content, [key], detached=True, at=at, policy=MODERN)

    assert asn1.ContentInfo.load(blob, strict=True).copy().dump(force=True) == blob
    (check,) = signatures.check(signatures.read(blob), signatures.Content(content), policy=MODERN)
    assert check.holds
    if kind not in ("p256", "p521"):  # whose values differ from one to the next
        pieces = signed.frame([key], detached=True, at=at, policy=MODERN)
        assert blob == pieces.after({key.digest: digest(key.digest, content)})


# --- cmsAlgorithmProtection (RFC 6211) ----------------------------------------


@pytest.mark.parametrize("policy", [MODERN, MODERN.replace(signature="rsa-pss")])
@pytest.mark.parametrize("kind", ["rsa", "p384", "ed25519"])
def test_algorithms_are_protected_by_default(kind: str, policy: Policy) -> None:
    blob = made(kind, policy)

    signer = asn1.ContentInfo.load(blob)["content"]["signer_infos"][0]
    protected = attributes_of(blob)[PROTECTION][0]
    assert protected["digest_algorithm"].contents == signer["digest_algorithm"].contents
    assert protected["signature_algorithm"].contents == signer["signature_algorithm"].contents
    assert checked(blob).holds


def protection(digest: bytes, signature: bytes) -> bytes:
    return forge.attribute(PROTECTION, sequence(digest, b"\xa1" + signature[1:]))


@pytest.mark.parametrize(
    ("digest", "signature", "good"),
    [
        (algorithm(SHA256), algorithm(RSA), True),
        (algorithm(SHA256, NULL), algorithm(RSA), True),  # absent equals NULL for hashes
        (algorithm(SHA256), algorithm(RSA, NULL), False),  # and for nothing else
        (algorithm(SHA256, b"\x04\x00"), algorithm(RSA), False),
        (algorithm("2.16.840.1.101.3.4.2.3"), algorithm(RSA), False),
        (algorithm(SHA256), algorithm(RSA_SHA256), False),
    ],
)
def test_protection_is_compared_part_by_part(digest: bytes, signature: bytes, good: bool) -> None:
    check = checked(signed_by("rsa", more=[protection(digest, signature)]))

    assert check.holds is good
    assert good or check.intact.code == "algorithms-differ"


@pytest.mark.parametrize(
    "broken",
    [
        forge.attribute(PROTECTION),
        forge.attribute(PROTECTION, NULL),
        forge.attribute(PROTECTION, sequence(algorithm(SHA256))),
        forge.attribute(PROTECTION, *[sequence(algorithm(SHA256), b"\xa1\x00")] * 2),
    ],
)
def test_protection_that_protects_nothing(broken: bytes) -> None:
    assert checked(signed_by("rsa", more=[broken])).intact.code == "algorithms-differ"


# --- signingCertificate, signingCertificateV2 (RFC 2634, RFC 5035) ---------------


def test_cades_baseline() -> None:
    """CAdES-B-B: type, time, digest and the signer's certificate are signed."""
    blob = made("p256", MODERN.replace(cades=True))

    found = attributes_of(blob)
    names = {"1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5"}
    assert {*names, CERTIFICATE_V2} <= set(found)
    certs = tsp.SigningCertificateV2.load(found[CERTIFICATE_V2][0].dump())["certs"]
    assert certs[0]["cert_hash"].native == forge.digest("sha256", _der(certificate_of("p256")))
    assert certs[0]["issuer_serial"]["serial_number"].native == 1010
    assert checked(blob).holds
    assert CERTIFICATE_V2 not in attributes_of(made())


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def named(certificate: x509.Certificate, v2: bool, name: str = "") -> bytes:
    name = name or ("sha256" if v2 else "sha1")
    hashing = algorithm(forge.DIGEST_OID[name]) if name not in ("sha1", "sha256") else b""
    one = sequence(hashing, octet_string(forge.digest(name, _der(certificate))))
    return forge.attribute(CERTIFICATE_V2 if v2 else CERTIFICATE_V1, sequence(sequence(one)))


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ([named(certificate_of("p256"), v2=True)], True),
        ([named(certificate_of("p256"), v2=True, name="sha512")], True),
        ([named(certificate_of("p256"), v2=False)], True),
        ([named(certificate_of("p256"), v2=v2) for v2 in (True, False)], True),
        ([named(certificate_of("p384"), v2=True)], False),
        ([named(certificate_of("p384"), v2=False)], False),
        ([named(certificate_of("p256"), v2=True), named(certificate_of("p384"), v2=False)], False),
        ([forge.attribute(CERTIFICATE_V2, NULL)], False),
        ([forge.attribute(CERTIFICATE_V2)], False),
    ],
)
def test_the_named_certificate_must_be_the_one_used(more: list[bytes], good: bool) -> None:
    check = checked(signed_by("p256", more=more))

    assert check.holds is good
    assert good or check.genuine.code == "certificate-differs"


def test_naming_the_certificate_settles_which_twin_is_meant() -> None:
    """Two certificates of one key, issuer and serial number: each claims the signature."""
    own, twin = certificate_of("p256"), certificate_of("p256", twin=1)
    both = [_der(own), _der(twin)]

    without = forge.message(forge.signer_info("p256"), certificates=both)
    naming = forge.signer_info("p256", more=[named(own, v2=True)])

    assert checked(without).genuine.code == "certificate-ambiguous"
    check = checked(forge.message(naming, certificates=both))
    assert check.holds
    assert check.certificate == own


# --- attributes of one's own, other content types --------------------------------


def test_attributes_and_content_type_of_ones_own() -> None:
    """As SCEP asks: further signed attributes; as others: a type that is not data."""
    extra = attribute(SCEP_TYPE, tlv(0x13, b"19"))
    beside = attribute("1.2.3.4", NULL)

    blob = made(
        content_type="1.2.840.113549.1.9.16.1.4",
        signed_attributes=[extra],
        unsigned_attributes=[beside],
    )

    info = asn1.ContentInfo.load(blob)["content"]
    assert info["version"].native == "v3"
    assert info["encap_content_info"]["content_type"].native == "tst_info"
    assert attributes_of(blob)[SCEP_TYPE][0].dump() == tlv(0x13, b"19")
    unsigned = info["signer_infos"][0]["unsigned_attrs"]
    assert [one["type"].dotted for one in unsigned] == ["1.2.3.4"]
    assert checked(blob).holds


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\x30\x00",
        sequence(oid("1.2.3")),
        attribute("1.2.840.113549.1.9.4", octet_string(b"x")),
        attribute(CERTIFICATE_V2, NULL),
        attribute("1.2.3", NULL) + b"\x00",
    ],
)
def test_attributes_that_are_none_or_not_the_callers(wrong: bytes) -> None:
    made(signed_attributes=[attribute("1.2.3", NULL)])  # positive control

    with pytest.raises(ValueError, match="attribute"):
        made(signed_attributes=[wrong])


def test_an_attribute_occurs_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        made(signed_attributes=[attribute("1.2.3", NULL), attribute("1.2.3", b"\x01\x01\xff")])


# --- without attributes ------------------------------------------------------------


def test_nothing_that_reads_as_attributes_is_signed_bare() -> None:
    """The signature would fit a message whose attributes these are: nobody could see it."""
    covered = attributes.write(signed.DATA, bytes(32), AT)
    for kind in ("rsa", "ed25519"):
        with pytest.raises(KeyProblem, match="without attributes"):
            signed.build(
                covered,
                [signing_key(kind)],
                detached=False,
                at=AT,
                policy=MODERN,
                attributes=False,
            )
    frame = signed.frame(
        [signing_key("rsa")], detached=True, at=AT, policy=MODERN, attributes=False
    )
    with pytest.raises(KeyProblem, match="without attributes"):
        frame.after({"sha256": bytes(32)}, beginning=covered, octets=len(covered))


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "ml-dsa-44"])
def test_attributes_moved_into_the_content(kind: str) -> None:
    """The forgery: the signed attributes of a good message shown as the content of another."""
    good = made(kind)
    signer = signatures.read(good).signers[0]
    assert signer.attributes is not None
    covered = signer.attributes.as_received()
    forged = forge.message(
        forge.signer_info(
            kind,
            over=covered,
            attributes=(),
            name=signer.digest,
            sign=lambda _: signer.value,
        ),
        content=covered,
        certificates=[_der(certificate_of(kind))],
    )

    check = checked(forged, BARE)

    assert check.intact.code == "attributes-as-content"
    assert not check.holds


def test_eddsa_without_attributes_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes over the content twice, so all of it stands in memory."""
    from smime.cms import schemes

    monkeypatch.setattr(schemes, "MAX_EDDSA_OCTETS", len(CONTENT))
    at_limit = made("ed25519", attributes=False)
    assert checked(at_limit, BARE).holds

    monkeypatch.setattr(schemes, "MAX_EDDSA_OCTETS", len(CONTENT) - 1)
    with pytest.raises(LimitExceeded):
        made("ed25519", attributes=False)
    assert checked(at_limit, BARE).intact.code == "not-supported"
    made("rsa", attributes=False)


def test_bare_signatures_over_other_types_are_not_made() -> None:
    with pytest.raises(ValueError, match="attributes"):
        made(content_type="1.2.3.4", attributes=False)
    with pytest.raises(ValueError, match="attributes"):
        made(attributes=False, signed_attributes=[attribute("1.2.3", NULL)])


# --- content that goes by ----------------------------------------------------------


@pytest.mark.parametrize("attributed", [True, False])
@pytest.mark.parametrize("octets", [None, len(CONTENT)])
@pytest.mark.parametrize("kinds", [["rsa"], ["p256"], ["ed448", "ml-dsa-65"], ["rsa", "p521"]])
def test_frames(kinds: list[str], octets: int | None, attributed: bool) -> None:
    """What is framed reads as what is built; DER where the lengths are known."""
    keys = [signing_key(kind) for kind in kinds]
    frame = signed.frame(
        keys, detached=False, at=AT, policy=MODERN, octets=octets, attributes=attributed
    )
    digests = {name: signed.digest(name, CONTENT) for name in frame.digests}
    middle = b"".join(map(frame.piece, (CONTENT[:7], CONTENT[7:])))
    after = frame.after(digests, beginning=CONTENT, octets=len(CONTENT))
    blob = frame.before + (middle if frame.in_pieces else CONTENT) + after

    data = signatures.read(blob)

    assert data.content == CONTENT
    fixed = octets is not None and not any(kind.startswith("p") for kind in kinds)
    assert frame.in_pieces is not fixed
    checks = signatures.check(data, signatures.Content(CONTENT), policy=BARE)
    assert len(checks) == len(kinds)
    assert all(one.holds for one in checks)
    went_by = signatures.HashedContent(digests, CONTENT, len(CONTENT))
    assert all(one.holds for one in signatures.check(data, went_by, policy=BARE))


@pytest.mark.parametrize("kind", KEYS)
def test_detached_by_digest_alone(kind: str) -> None:
    """The content is never seen by the signer, nor by the checker."""
    frame = signed.frame([signing_key(kind)], detached=True, at=AT, policy=MODERN)
    digests = {name: signed.digest(name, CONTENT) for name in frame.digests}

    blob = frame.after(digests)

    assert frame.before == b""
    content = signatures.HashedContent(digests, b"", len(CONTENT))
    (check,) = signatures.check(signatures.read(blob), content, policy=MODERN)
    assert check.holds
    other = {name: signed.digest(name, b"other") for name in frame.digests}
    changed = signatures.HashedContent(other, b"", 5)
    (check,) = signatures.check(signatures.read(blob), changed, policy=MODERN)
    assert check.intact.code == "digest-differs"


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_bare_signatures_by_digest(kind: str) -> None:
    """RSA and ECDSA need no more than the digest, both ways."""
    frame = signed.frame([signing_key(kind)], detached=True, at=AT, policy=MODERN, attributes=False)
    digests = {"sha256": signed.digest("sha256", CONTENT)}
    blob = frame.after(digests, beginning=CONTENT[:9], octets=len(CONTENT))

    content = signatures.HashedContent(digests, CONTENT[:9], len(CONTENT))

    for over in (content, signatures.Content(CONTENT)):
        (check,) = signatures.check(signatures.read(blob), over, policy=BARE)
        assert check.holds


# --- damage ------------------------------------------------------------------------


@given(st.data())
def test_no_flipped_octet_is_believed(data: st.DataObject) -> None:
    """Whatever octet of the SignerInfo changes: refused, or nothing that counts changed."""
    blob = bytearray(made("ed25519", MODERN.replace(cades=True)))
    start = bytes(blob).rindex(oid("1.2.840.113549.1.9.3")) - 40
    at = data.draw(st.integers(start, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    from smime.errors import SmimeError

    try:
        found = signatures.read(bytes(blob))
        content = signatures.Content(found.content or b"")
        checks = signatures.check(found, content, policy=MODERN)
    except SmimeError:
        return
    assert all(not one.holds or one.digest == signed.digest("sha512", CONTENT) for one in checks)


def test_verify_gives_the_signed_attributes_back() -> None:
    """Of each signer, each value as DER; none of a signature without them."""
    from smime import NoTrust, Pinned, cms
    from tests.cms.signers import certificate_of, identity

    own = attribute("1.2.3", NULL, b"\x01\x01\xff")
    pinned = [Pinned(certificate_of(kind)) for kind in ("rsa", "p256")]
    first = cms.sign(b"data", by=identity("rsa"), signed_attributes=[own], at=AT)
    both = cms.add_signer(first, by=identity("p256"), at=AT)

    opened = cms.verify(both, trust=pinned, at=AT)

    by_certificate = {
        check.certificate: found
        for check, found in zip(opened.signatures, opened.attributes, strict=True)
    }
    found = by_certificate[certificate_of("rsa")]
    assert found["1.2.3"] == (b"\x01\x01\xff", NULL)
    assert found["1.2.840.113549.1.9.3"] == (bytes.fromhex("06092a864886f70d010701"),)
    assert "1.2.3" not in by_certificate[certificate_of("p256")]
    bare = cms.sign(b"data", by=identity("rsa"), attributes=False, at=AT)
    policy = Policy.modern().replace(weak=["no-attributes"])
    assert cms.verify(bare, trust=pinned, policy=policy, at=AT).attributes == ({},)
    with pytest.raises(SignatureRejected):
        cms.verify(both.replace(b"\x01\x01\xff", b"\x01\x01\xfe"), trust=pinned, at=AT)
    with pytest.raises(SignatureRejected):
        cms.verify(both, trust=NoTrust(), at=AT)
