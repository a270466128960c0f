"""RFC 5280 §6 on finished paths: the one place that knows the validation engine.

The engine is asked about one path at a time. It builds none, fetches nothing,
has no roots of its own, and its exceptions mean "this path fails". Which
algorithms are good enough is not its business but the judge's.

Floor:  trust (uses facts, policy)
Source: RFC 5280 §6.1 and §6.3; RFC 5937 for what an anchor's own extensions mean
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from smime.policy import MODERN

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence
    from datetime import datetime

    from smime.policy import Policy
    from smime.trust.facts import Facts

__all__ = ["PathResult", "RevocationData", "validate"]

_LOG = logging.getLogger(__name__)

# Anchors have no limit of their own for attribute certificates, but the engine
# subtracts from this number whenever there is one for certificates.
_NO_LIMIT = 1000
# What the engine says when names are outside of what a CA may certify. It has
# no exception for it; if the words change, the code is the general one.
_NAMES_WORDS = "namespace"
# Forms of names whose constraints the engine can compare.
_COMPARABLE = {"rfc822_name", "dns_name", "directory_name", "uniform_resource_identifier"}


@dataclass(frozen=True, slots=True)
class PathResult:
    """What the engine said of one path."""

    kind: str
    """``ok``, ``invalid``, ``names``, ``revoked`` or ``unknown`` (revocation status)."""
    reason: str = ""


class RevocationData:
    """CRLs in the engine's own form, and who else may have signed them."""

    def __init__(self, crls: Iterable[bytes], signers: Iterable[Facts] = ()) -> None:
        from asn1crypto.crl import CertificateList

        load: Any = CertificateList.load
        self.crls = [load(crl) for crl in crls]
        self.signers = tuple(signers)


def validate(
    path: Sequence[Facts],
    *,
    at: datetime,
    revocation: RevocationData | None = None,
    dates: bool = True,
    policy: Policy = MODERN,
) -> PathResult:
    """Ask the engine about a path of at least two certificates, leaf first, anchor last.

    ``at`` has whole seconds and a time zone. With ``revocation`` the leaf needs
    a CRL that speaks for it. ``dates=False`` leaves validity periods out, which
    only explains a path that was refused for them. Of the ``policy`` only the
    certificate policies matter here.
    """
    handler = logging.getLogger("pyhanko_certvalidator")
    if not handler.handlers:
        # Else Python prints the engine's warnings, with tracebacks, to stderr.
        handler.addHandler(logging.NullHandler())
    from pyhanko_certvalidator.errors import InsufficientRevinfoError, RevokedError

    try:
        _run(_ask(path, at, revocation, dates, policy))
    except RevokedError as error:
        if error.is_side_validation:
            # The signer of a CRL was revoked, so that CRL says nothing.
            return PathResult("unknown", _first_line(error))
        return PathResult("revoked", _first_line(error))
    except InsufficientRevinfoError as error:
        return PathResult("unknown", _first_line(error))
    except Exception as error:
        # The engine raises TypeError, KeyError, NotImplementedError and others
        # on certificates made to trouble it: all of it means that this path fails.
        _LOG.debug("path refused", exc_info=True)
        return PathResult(
            "names" if _NAMES_WORDS in str(error) else "invalid",
            _first_line(error),
        )
    return PathResult("ok")


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.removeprefix("The path could not be validated because ").rstrip(".")


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run to the end without an event loop, so that it works inside of one.

    The engine awaits only its own coroutines as long as it fetches nothing.
    """
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("the engine wanted to wait for something")


async def _ask(
    path: Sequence[Facts],
    at: datetime,
    revocation: RevocationData | None,
    dates: bool,
    policy: Policy,
) -> None:
    from pyhanko_certvalidator.context import ValidationContext
    from pyhanko_certvalidator.path import ValidationPath
    from pyhanko_certvalidator.policy_decl import (
        AcceptAllAlgorithms,
        CertRevTrustPolicy,
        RevocationCheckingPolicy,
        RevocationCheckingRule,
    )
    from pyhanko_certvalidator.registry import SimpleTrustManager
    from pyhanko_certvalidator.validate import async_validate_path

    load = _certificate_class().load
    leaf, *middle, top = (load(one.der) for one in path)
    middle.reverse()  # the engine counts from the anchor down
    for certificate in (leaf, *middle):
        # RFC 5280 §4.1.1.2: both must be the same; the engine does not look.
        inner = certificate["tbs_certificate"]["signature"].dump()
        if certificate["signature_algorithm"].dump() != inner:
            raise ValueError("a certificate names two different signature algorithms")
    anchor = _anchor(top, path[-1], dates, policy)
    never = RevocationCheckingRule.NO_CHECK
    # The engine stops at the first certificate without a CRL, though one further
    # down may be known to be revoked. So it is asked about one at a time.
    rules = RevocationCheckingPolicy(
        ee_certificate_rule=RevocationCheckingRule.CRL_REQUIRED if revocation else never,
        intermediate_ca_cert_rule=never,
    )
    signers = [load(one.der) for one in revocation.signers] if revocation else []
    context = ValidationContext(
        # Given explicitly: without it the engine would take the system's TLS roots.
        trust_manager=SimpleTrustManager.build(trust_roots=[anchor]),
        other_certs=[leaf, *middle, *signers],
        moment=at,
        allow_fetching=False,
        crls=revocation.crls if revocation else [],
        ocsps=[],
        revinfo_policy=CertRevTrustPolicy(rules),
        time_tolerance=timedelta(0) if dates else _all_time(at),
        algorithm_usage_policy=AcceptAllAlgorithms(),
    )
    await async_validate_path(context, ValidationPath(anchor, middle, leaf))


def _all_time(at: datetime) -> timedelta:
    """Return the widest tolerance that does not leave the calendar on either side."""
    from datetime import UTC, datetime

    day = timedelta(days=1)
    first = datetime.min.replace(tzinfo=UTC) + day
    last = datetime.max.replace(tzinfo=UTC) - day
    return min(at - first, last - at)


@cache
def _certificate_class() -> Any:
    """Return the engine's certificates, less the name constraints that it cannot judge.

    It fails on the mere sight of some of them. ``constraints`` judges those.
    """
    from asn1crypto.x509 import Certificate, GeneralSubtrees, NameConstraints

    constraints: Any = NameConstraints

    class _Certificate(Certificate):
        @property
        def name_constraints_value(self) -> Any:
            given = super().name_constraints_value
            if given is None:
                return None
            kept = {}
            for side in ("permitted_subtrees", "excluded_subtrees"):
                if isinstance(given[side], GeneralSubtrees):
                    known = [one for one in given[side] if one["base"].name in _COMPARABLE]
                    if known:
                        kept[side] = known
            return constraints(kept)

    return _Certificate


def _anchor(top: Any, facts: Facts, dates: bool, policy: Policy) -> Any:
    """Make a trust anchor that keeps to what its certificate says of itself."""
    from asn1crypto.x509 import GeneralSubtrees
    from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers
    from pyhanko_certvalidator.name_trees import (
        default_excluded_subtrees,
        default_permitted_subtrees,
        process_general_subtrees,
    )
    from pyhanko_certvalidator.policy_decl import PKIXValidationParams

    # The engine's own helper leaves out the name types that are not
    # constrained, and so refuses every one of them.
    permitted, excluded = default_permitted_subtrees(), default_excluded_subtrees()
    if facts.name_constraints is not None:
        given = top.name_constraints_value
        for trees, side in ((permitted, "permitted_subtrees"), (excluded, "excluded_subtrees")):
            if isinstance(given[side], GeneralSubtrees):
                trees.update(process_general_subtrees(given[side]))
    return CertTrustAnchor(
        top,
        TrustQualifiers(
            standard_parameters=PKIXValidationParams(
                user_initial_policy_set=policy.certificate_policies or frozenset({"any_policy"}),
                initial_explicit_policy=policy.explicit_policy,
                initial_policy_mapping_inhibit=policy.inhibit_policy_mapping,
                initial_any_policy_inhibit=policy.inhibit_any_policy,
                initial_permitted_subtrees=permitted,
                initial_excluded_subtrees=excluded,
            ),
            max_path_length=facts.path_length,
            max_aa_path_length=None if facts.path_length is None else _NO_LIMIT,
            valid_from=facts.validity[0] if dates and facts.validity else None,
            valid_until=facts.validity[1] if dates and facts.validity else None,
        ),
    )
