"""Mail addresses in certificates, and when two of them are the same.

An address here is what stands between the angle brackets: ``local@domain``,
one ``@``, no white space, nothing that does not print.

Floor:  keys
Source: RFC 8550 §3 for where they are, RFC 9598 for those beyond ASCII,
        RFC 5280 §7.5 for comparing them
"""

from __future__ import annotations

from smime.cms.fitness import unreadable

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from cryptography import x509

__all__ = [
    "addresses_in",
    "certificate_addresses",
    "comparable",
    "same_address",
    "split_address",
]

MAX_ADDRESS = 320  # 64 octets, "@" and 255 octets (RFC 5321 §4.5.3.1): no longer one is delivered
MAX_LABEL = 63  # RFC 1035 §2.3.4
_SMTP_UTF8_MAILBOX = "1.3.6.1.5.5.7.8.9"
_UTF8_STRING = 0x0C


def certificate_addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the mail addresses a certificate speaks for, without repeats.

    Those of the subject alternative name: rfc822Name first, then
    SmtpUTF8Mailbox (RFC 9598). Only if it names no mailbox at all, the
    emailAddress of the subject (RFC 8550 §3); never the common name. What is
    not one plain address is left out. Empty if the extensions cannot be read,
    for then nobody knows whom the certificate names. Never raises.
    """
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        found: list[str] = []
    except unreadable():
        return ()
    else:
        mailboxes = addresses_in(names)
        if mailboxes is not None:
            return mailboxes
    try:
        subject = certificate.subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS)
    except unreadable():
        return ()
    values = [attribute.value for attribute in subject]
    found = [value if isinstance(value, str) else "" for value in values]
    return tuple(dict.fromkeys(name for name in found if split_address(name)))


def addresses_in(names: x509.SubjectAlternativeName) -> tuple[str, ...] | None:
    """Return the mail addresses among these names; None if not even a mailbox is there."""
    from cryptography.x509 import OtherName, RFC822Name

    found: list[str] = []
    others: list[str] = []
    for name in names:
        kind = type(name)  # isinstance asks an abstract class, which costs ten times this
        if kind is RFC822Name:
            found.append(name.value)
        elif kind is OtherName and name.type_id.dotted_string == _SMTP_UTF8_MAILBOX:
            others.append(_utf8_mailbox(name.value))
    if not found and not others:
        return None
    found += [other for other in others if other]
    return tuple(dict.fromkeys(name for name in found if split_address(name)))


def same_address(a: str, b: str, *, any_case: bool = False) -> bool:
    """Say whether two addresses are the same mailbox.

    Local parts are compared exactly, or with ``any_case`` without regard to
    case; domains always without, and in either spelling of an
    internationalised label. What is no address equals nothing. Never raises.

    >>> same_address("alice@EXAMPLE.org", "alice@example.org")
    True
    >>> same_address("alice@b\\u00fccher.example", "alice@xn--bcher-kva.example")
    True
    >>> same_address("Alice@example.org", "alice@example.org")
    False
    """
    one, two = split_address(a), split_address(b)
    if one is None or two is None:
        return False
    if one[0] != two[0] and not (any_case and one[0].casefold() == two[0].casefold()):
        return False
    return one[1] == two[1] or _ascii_domain(one[1]) == _ascii_domain(two[1])


def comparable(address: str) -> str:
    """Return a form that is equal for what ``same_address`` calls the same.

    >>> comparable("alice@B\\u00fccher.example")
    'alice@xn--bcher-kva.example'
    """
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{_ascii_domain(domain)}"


def split_address(address: str) -> tuple[str, str] | None:
    """Return local part and domain, or None if it is not one plain address.

    >>> split_address("alice@example.org")
    ('alice', 'example.org')
    >>> split_address("alice@example.org, bob@example.org") is None
    True
    """
    if len(address) > MAX_ADDRESS or not address.isprintable() or " " in address:
        return None
    local, at, domain = address.partition("@")
    if not (local and at and domain) or "@" in domain:
        return None
    return local, domain


def _utf8_mailbox(value_der: bytes) -> str:
    """Read a SmtpUTF8Mailbox: a UTF8String whose local part is not ASCII (RFC 9598 §3)."""
    if len(value_der) < 2 or value_der[0] != _UTF8_STRING:
        return ""
    start = 2 if value_der[1] < 0x80 else 2 + (value_der[1] & 0x7F)
    length = value_der[1] if start == 2 else int.from_bytes(value_der[2:start], "big")
    if start > 4 or len(value_der) != start + length:
        return ""
    try:
        text = value_der[start:].decode()
    except UnicodeDecodeError:
        return ""
    # An ASCII local part belongs into an rfc822Name; here it would slip past
    # the name constraints of its issuer (RFC 9598 §6).
    return "" if text.partition("@")[0].isascii() else text


def _ascii_domain(domain: str) -> str:
    return ".".join(map(_ascii_label, domain.split(".")))


def _ascii_label(label: str) -> str:
    """Return the A-label in lower case (RFC 5890 §2.3.2.1).

    Not the ``idna`` codec: it is IDNA 2003, which maps sharp s to ``ss``, and
    so makes two domains one that two people can own.
    """
    label = label.lower()
    if label.isascii() or len(label) > MAX_LABEL:
        return label
    from unicodedata import normalize

    return "xn--" + normalize("NFC", label).encode("punycode").decode("ascii")
