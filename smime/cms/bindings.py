"""What signed attributes say of the algorithms and the certificate of their signer.

Both attributes are optional; one that is there must be right, for it was put
there so that nobody can exchange what it names.

Floor:  cms (uses errors, report)
Source: RFC 6211 §4 for cmsAlgorithmProtection; RFC 5035 §5.4.1 and RFC 2634 §5.4
        for the signing certificate
"""

from __future__ import annotations

import hmac

from smime.cms import algorithms as alg
from smime.cms.attributes import (
    ALGORITHM_PROTECTION,
    SIGNING_CERTIFICATE,
    SIGNING_CERTIFICATE_V2,
    Attributes,
)
from smime.cms.der import NULL, OCTET_STRING, SEQUENCE, Indefinite, children, sequence, top
from smime.cms.names import by_value, issuer_and_serial
from smime.cms.schemes import digest_name
from smime.errors import MalformedMail
from smime.report import Finding

__all__ = ["check_protection", "names_certificate", "same_algorithm"]

_PROTECTION_RULE = "RFC 6211 §4"


def check_protection(
    attributes: Attributes, digest_algorithm: bytes, signature_algorithm: bytes
) -> Finding | None:
    """Compare cmsAlgorithmProtection with the signer's own algorithms; None if nothing is wrong.

    Both are AlgorithmIdentifiers as they stand in the message.
    """
    if not attributes.has(ALGORITHM_PROTECTION):
        return None
    value = attributes.single(ALGORITHM_PROTECTION)
    if value == sequence(digest_algorithm, b"\xa1" + signature_algorithm[1:]):
        return None
    digest = signature = b""
    try:
        for one in children(value, top(value)) if value else []:
            assert value is not None
            whole = value[one[1] : one[3]]
            if one[0] == SEQUENCE:
                digest = whole
            elif one[0] == 0xA1:
                signature = b"\x30" + whole[1:]
        same = (
            bool(digest and signature)
            and same_algorithm(digest, digest_algorithm, hashing=True)
            and same_algorithm(signature, signature_algorithm)
        )
    except (MalformedMail, Indefinite):
        same = False
    if same:
        return None
    return Finding.no(
        "algorithms-differ",
        "the signed attributes protect other algorithms than the signer names",
        _PROTECTION_RULE,
    )


def same_algorithm(one: bytes, other: bytes, *, hashing: bool = False) -> bool:
    """Two AlgorithmIdentifiers are the same; for hashes, absent and NULL parameters are too."""
    if one == other:
        return True
    first, second = ([d[n[1] : n[3]] for n in children(d, top(d))] for d in (one, other))
    if not first or not second or first[0] != second[0]:
        return False
    if first[0] == alg.RSA_PSS and len(first) == len(second) == 2:
        return _same_pss(first[1], second[1])
    return hashing and {tuple(first[1:]), tuple(second[1:])} <= {(), (NULL,)}


def _same_pss(one: bytes, other: bytes) -> bool:
    """Compare RSASSA-PSS-params field by field; the hashes inside are hashes."""
    first, second = ({n[0]: d[n[2] : n[3]] for n in children(d, top(d))} for d in (one, other))
    if first.keys() != second.keys():
        return False
    for tag, value in first.items():
        if tag == 0xA0:
            same = same_algorithm(value, second[tag], hashing=True)
        elif tag == 0xA1:
            mine, theirs = (
                [d[n[1] : n[3]] for n in children(d, top(d))] for d in (value, second[tag])
            )
            same = (
                len(mine) == len(theirs) == 2
                and mine[0] == theirs[0]
                and same_algorithm(mine[1], theirs[1], hashing=True)
            )
        else:
            same = value == second[tag]
        if not same:
            return False
    return True


def names_certificate(attributes: Attributes, cert_der: bytes) -> bool:
    """Say whether the signing certificate that is named, if any is, is this one.

    Every form that is there must name it: the first ESSCertID is the signer's,
    those behind it only limit the path. An attribute that cannot be read names nobody.
    """
    for kind, default in ((SIGNING_CERTIFICATE_V2, "sha256"), (SIGNING_CERTIFICATE, "sha1")):
        if not attributes.has(kind):
            continue
        value = attributes.single(kind)
        try:
            if value is None or not _identifies(value, default, cert_der):
                return False
        except (MalformedMail, Indefinite, IndexError):
            return False
    return True


def _identifies(value: bytes, default: str, cert_der: bytes) -> bool:
    """Compare the first ESSCertID(v2) of a SigningCertificate(V2) with a certificate."""
    certificates = children(value, top(value))[0]
    fields = children(value, children(value, certificates)[0])
    name = default
    if fields[0][0] == SEQUENCE and default == "sha256":
        name = digest_name(value, fields[0])
        fields = fields[1:]
    if name not in alg.DIGESTS or fields[0][0] != OCTET_STRING:
        return False
    stated = value[fields[0][2] : fields[0][3]]
    if not hmac.compare_digest(stated, alg.digest(name, cert_der)):
        return False
    if len(fields) < 2:
        return True
    names, serial = children(value, fields[1])[:2]
    own = by_value(issuer_and_serial(cert_der))
    for one in children(value, names):
        if one[0] == 0xA4:
            stated = sequence(value[one[2] : one[3]], value[serial[1] : serial[3]])
            if by_value(stated) == own:
                return True
    return False
