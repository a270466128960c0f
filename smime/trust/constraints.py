"""Name constraints that the engine does not judge, or judges too mildly.

The engine looks at rfc822Name only, and at the subject's emailAddress only if
there is no other name. A mailbox hides in a SmtpUTF8Mailbox or in the subject
just as well, so all three are held against every constraint above. IP
addresses, otherName and registeredID the engine does not know at all.

Floor:  trust (uses facts, keys.address)
Source: RFC 5280 §4.2.1.10, RFC 9598 §6
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

from cryptography import x509

from smime.cms.fitness import unreadable
from smime.keys.address import same_address, split_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smime.trust.facts import Facts

__all__ = ["constraint_problem"]

# Constraints times names; what OpenSSL allows is 2^20, and no CA comes near.
MAX_COMPARISONS = 65_536
_SMTP_UTF8_MAILBOX = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9")


def constraint_problem(path: Sequence[Facts]) -> str:
    """Say which name of a path, leaf first, an issuer above may not certify; else empty."""
    if not any(one.name_constraints for one in path):
        return ""
    if _comparisons(path) > MAX_COMPARISONS:
        return "there are too many names and name constraints to compare"
    for above, issuer in enumerate(path):
        if issuer.name_constraints is None:
            continue
        permitted = issuer.name_constraints.permitted_subtrees or []
        excluded = issuer.name_constraints.excluded_subtrees or []
        mailboxes = _mailbox_bases(permitted), _mailbox_bases(excluded)
        for place, one in enumerate(path[:above]):
            # Self-issued certificates in the middle are exempt (RFC 5280 §6.1.3 b).
            if place and one.self_issued:
                continue
            if any(mailboxes):
                try:
                    names = _mailboxes(one)
                except unreadable():
                    return f"{issuer.label} constrains names, and one of {one.label} is damaged"
                for name in names:
                    if not _allowed(name, *mailboxes):
                        return f"{issuer.label} may not certify the address {name}"
            for other in one.alternative_names or ():
                if not _other_allowed(other, permitted, excluded):
                    return f"{issuer.label} may not certify the name {_shown(other)}"
    return ""


def _other_allowed(
    name: x509.GeneralName,
    permitted: Sequence[x509.GeneralName],
    excluded: Sequence[x509.GeneralName],
) -> bool:
    """Judge a name of a form that the engine does not; true for the others."""
    if isinstance(name, x509.IPAddress):
        if any(_holds_address(base, name) for base in excluded):
            return False
        inside = [base for base in permitted if isinstance(base, x509.IPAddress)]
        return not inside or any(_holds_address(base, name) for base in inside)
    # What nobody can compare is refused (RFC 5280 §4.2.1.10).
    if isinstance(name, x509.OtherName):
        return not any(
            isinstance(base, x509.OtherName) and base.type_id == name.type_id
            for base in (*permitted, *excluded)
        )
    if isinstance(name, x509.RegisteredID):
        return not any(isinstance(base, x509.RegisteredID) for base in (*permitted, *excluded))
    return True


def _holds_address(base: x509.GeneralName, name: x509.IPAddress) -> bool:
    if not isinstance(base, x509.IPAddress):
        return False
    network = base.value
    return isinstance(network, IPv4Network | IPv6Network) and name.value in network


def _shown(name: x509.GeneralName) -> str:
    if isinstance(name, x509.OtherName | x509.RegisteredID):
        dotted = name.type_id if isinstance(name, x509.OtherName) else name.value
        return f"of the kind {dotted.dotted_string}"
    return str(name.value)


def _comparisons(path: Sequence[Facts]) -> int:
    """Count names of every kind against constraints of every kind, as the engine will."""
    bases = names = 0
    for one in path:
        if one.name_constraints is not None:
            bases += len(one.name_constraints.permitted_subtrees or ())
            bases += len(one.name_constraints.excluded_subtrees or ())
        names += len(one.subject)
        if one.alternative_names is not None:
            names += len(list(one.alternative_names))
    return bases * names


def _allowed(name: str, permitted: Sequence[str], excluded: Sequence[str]) -> bool:
    if split_address(name) is None:
        return False  # what cannot be read cannot be shown to be within
    if any(_within(name, base) for base in excluded):
        return False
    return not permitted or any(_within(name, base) for base in permitted)


def _within(name: str, base: str) -> bool:
    """RFC 5280 §4.2.1.10: a mailbox, a host, or with a leading dot all below a domain."""
    if "@" in base:
        return same_address(name, base)
    domain = name.rpartition("@")[2]
    if base.startswith("."):
        labels = domain.split(".")
        wanted = base.count(".")
        return len(labels) > wanted and _same_domain(".".join(labels[-wanted:]), base[1:])
    # An empty base stands for every mailbox, as for the other forms of names.
    return not base or _same_domain(domain, base)


def _same_domain(a: str, b: str) -> bool:
    return same_address(f"x@{a}", f"x@{b}")


def _mailbox_bases(subtrees: Sequence[x509.GeneralName] | None) -> list[str]:
    return [base.value for base in subtrees or () if isinstance(base, x509.RFC822Name)]


def _mailboxes(one: Facts) -> list[str]:
    names = [
        str(attribute.value)
        for attribute in one.certificate.subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS)
    ]
    if one.alternative_names is not None:
        names += one.alternative_names.get_values_for_type(x509.RFC822Name)
        names += [
            _utf8_mailbox(other.value)
            for other in one.alternative_names.get_values_for_type(x509.OtherName)
            if other.type_id == _SMTP_UTF8_MAILBOX
        ]
    return names


def _utf8_mailbox(value_der: bytes) -> str:
    from asn1crypto.core import UTF8String

    try:
        return str(UTF8String.load(value_der, strict=True).native)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):
        return ""  # no address, so allowed by no constraint
