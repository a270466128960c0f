"""A second opinion on a certificate before it is signed, by pkilint if it is installed.

Floor:  lint (uses errors)
Source: S/MIME Baseline Requirements §4.3.1.2: certificates are linted before signing
"""

from __future__ import annotations

from functools import lru_cache

from pki.errors import ProfileProblem

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Any

__all__ = ["available", "findings"]


@lru_cache(maxsize=1)
def available() -> bool:
    """Say whether the linter is installed (``pip install smimetool[lint]``)."""
    from importlib.util import find_spec

    return find_spec("pkilint") is not None


def findings(cert_der: bytes, kind: str) -> list[str]:
    """Give what the linter finds wrong, a line each: errors, not warnings; empty if nothing.

    ``kind`` is ``pkix``, or a type of the S/MIME Baseline Requirements such as
    ``mailbox-strict``. The signature may be any bits. Takes some milliseconds.

    Raises ``ProfileProblem`` for an unknown kind.
    """
    from pkilint.loader import load_der_certificate
    from pkilint.validation import ValidationFindingSeverity

    certificate = load_der_certificate(cert_der, "the certificate to be")
    return [
        f"{one.finding.code}{f': {one.message}' if one.message else ''}"
        for result in _validator(kind).validate(certificate.root)
        for one in result.finding_descriptions
        if one.finding.severity <= ValidationFindingSeverity.ERROR
    ]


@lru_cache(maxsize=16)
def _validator(kind: str) -> Any:
    from pkilint.cabf import smime
    from pkilint.cabf.smime import smime_constants
    from pkilint.pkix import certificate, extension, name

    if kind == "pkix":
        return certificate.create_pkix_certificate_validator_container(
            certificate.create_decoding_validators(
                name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
            ),
            [
                certificate.create_issuer_validator_container([]),
                certificate.create_validity_validator_container(),
                certificate.create_subject_validator_container([]),
                certificate.create_extensions_validator_container([]),
                certificate.create_spki_validator_container([]),
            ],
        )
    level, _, generation = kind.upper().partition("-")
    try:
        which = smime_constants.ValidationLevel[level], smime_constants.Generation[generation]
    except KeyError:
        raise ProfileProblem(f"profile: the linter knows no {kind!r}") from None
    return certificate.create_pkix_certificate_validator_container(
        smime.create_decoding_validators(), smime.create_subscriber_validators(*which)
    )
