"""Names in certificates: mail addresses, hosts, and what a subject says; checked, then DER.

Floor:  names (uses errors)
Source: RFC 5280 §4.1.2.6 and §4.2.1.6; RFC 5321 §4.1.2 and RFC 6531 §3.3 for addresses;
        RFC 9598 for those beyond ASCII; RFC 5890 §2.3.2.1 for domains
"""

from __future__ import annotations

import re
from unicodedata import category, normalize

from pki.errors import RequestRefused
from smime.cms.der import oid, sequence, set_of, tlv

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "ATTRIBUTES",
    "MAX_NAME",
    "alternative_names",
    "checked_address",
    "checked_attribute",
    "checked_domain",
    "checked_host",
    "checked_name",
    "checked_url",
    "subject_name",
]

MAX_NAME = 64  # ub-common-name (RFC 5280 appendix A.1)
MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
MAX_HOST = 253  # characters of a domain (RFC 1035 §2.3.4)
MAX_ADDRESS_OCTETS = 254  # RFC 5321 §4.5.3.1.3 without the angle brackets

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_URL = re.compile(r"https?://[!-~]{1,2000}")
_COUNTRY = re.compile(r"[A-Z]{2}")

_UTF8, _PRINTABLE = 0x0C, 0x13
_SMTP_UTF8_MAILBOX = oid("1.3.6.1.5.5.7.8.9")

ATTRIBUTES: dict[str, tuple[str, int]] = {
    "country": ("2.5.4.6", 2),
    "state": ("2.5.4.8", 128),
    "locality": ("2.5.4.7", 128),
    "organization": ("2.5.4.10", 64),
    "unit": ("2.5.4.11", 64),
    "organization_identifier": ("2.5.4.97", 128),
    "title": ("2.5.4.12", 64),
    "serial_number": ("2.5.4.5", 64),
    "given_name": ("2.5.4.42", 64),
    "surname": ("2.5.4.4", 64),
    "pseudonym": ("2.5.4.65", 128),
    "common_name": ("2.5.4.3", MAX_NAME),
}
"""What a subject can say: OID and most characters (RFC 5280 appendix A.1), in their order."""


_STABLE = "\u00df\u03c2"  # sharp s and final sigma are letters of their own (RFC 5892 §2.6)


def checked_address(address: str) -> str:
    """Give back a mail address as a certificate holds it.

    The domain is in lower case and in its ``xn--`` form, a local part beyond ASCII
    in NFC. Raises ``RequestRefused`` for what is not one plain address.

    >>> checked_address("Alice@Example.ORG")
    'Alice@example.org'
    >>> checked_address("bob@b\\u00fccher.example")
    'bob@xn--bcher-kva.example'
    """
    local, at, domain = address.rpartition("@")
    if not local.isascii():
        local = normalize("NFC", local)
    refused = RequestRefused(
        f"{address!a} is not a mail address", hint="write it like alice@example.org"
    )
    if not at or not _plain_local(local):
        raise refused
    try:
        domain = checked_host(domain)
    except RequestRefused:
        raise refused from None
    made = f"{local}@{domain}"
    if len(made.encode()) > MAX_ADDRESS_OCTETS or len(local.encode()) > MAX_LOCAL_OCTETS:
        raise refused
    return made


def _plain_local(local: str) -> bool:
    """Say whether it is a dot-string, where letters of any script stand beside ASCII's."""
    plain = "".join("x" if _is_letter(one) else one for one in local)
    return _LOCAL.fullmatch(plain) is not None


def _is_letter(character: str) -> bool:
    """Say whether it is a letter, mark or digit beyond ASCII: nothing that does not show."""
    return not character.isascii() and category(character)[0] in "LMN"


def checked_host(host: str) -> str:
    """Give back a domain in lower case, each label in its ``xn--`` form.

    >>> checked_host("B\\u00fccher.example")
    'xn--bcher-kva.example'
    """
    labels = [_ascii_label(label) for label in host.split(".")]
    made = ".".join(labels)
    if not _DOMAIN.fullmatch(made) or len(made) > MAX_HOST:
        raise RequestRefused(
            f"{host!a} is not the name of a host", hint="write it like mail.example.org"
        )
    return made


def checked_domain(domain: str) -> str:
    """Give back what a CA is limited to: ``example.org``, or ``.example.org`` for all below it."""
    dot = "." if domain.startswith(".") else ""
    return dot + checked_host(domain.removeprefix("."))


def _ascii_label(label: str) -> str:
    label = label.lower()
    if label.isascii():
        return label
    label = normalize("NFC", label)
    if not all(one == "-" or one.isalnum() or _is_letter(one) for one in label):
        return ""  # no domain label holds it (RFC 5892 §2)
    if not all(one in _STABLE or _folded(one) == one for one in label):
        return ""  # a superscript or wide form: another domain looks the same (§2.2)
    # Not the idna codec: it is IDNA 2003, which makes one of two domains (sharp s).
    return "xn--" + label.encode("punycode").decode("ascii")


def _folded(character: str) -> str:
    return normalize("NFKC", normalize("NFKC", character).casefold())


def checked_name(name: str) -> str:
    """Give back a name for a certificate's subject, or raise ``RequestRefused``."""
    return _checked_text(name, MAX_NAME, "a name")


def checked_attribute(field: str, value: str) -> str:
    """Give back one attribute of a subject, its name one of ``ATTRIBUTES``."""
    if field not in ATTRIBUTES:
        raise RequestRefused(
            f"a subject has no {field!r}", hint=f"it can have {', '.join(ATTRIBUTES)}"
        )
    if field == "country" and not _COUNTRY.fullmatch(value):
        raise RequestRefused(f"{value!a} is no country", hint="write its two letters: DE")
    return _checked_text(value, ATTRIBUTES[field][1], f"a {field.replace('_', ' ')}")


def _checked_text(text: str, limit: int, what: str) -> str:
    if len(text) > limit:
        raise RequestRefused(f"{what} of more than {limit} characters")
    # Controls, line ends and bidi marks make a name look like another one.
    if text != text.strip() or not text.isprintable():
        raise RequestRefused(f"{what}, {text!a}, holds characters that do not show")
    return text


def checked_url(url: str) -> str:
    """Give back a URL for a certificate, or raise ``RequestRefused``; empty is none."""
    if url and not _URL.fullmatch(url):
        raise RequestRefused(
            f"{url!a} is no address that mail programs fetch from",
            hint="write it like http://ca.example.org/ca.crl",
        )
    return url


_RDN = {field: oid(dotted) for field, (dotted, _) in ATTRIBUTES.items()}


def subject_name(fields: Mapping[str, str]) -> bytes:
    """Encode a Name: one attribute each, in the order of ``ATTRIBUTES``; empty ones are left out.

    >>> subject_name({"common_name": "A"}).hex()
    '300c310a300806035504030c0141'
    """
    return sequence(
        *(
            set_of(
                sequence(
                    identifier,
                    tlv(
                        _PRINTABLE if field == "country" else _UTF8,
                        fields[field].encode(),
                    ),
                )
            )
            for field, identifier in _RDN.items()
            if fields.get(field)
        )
    )


def alternative_names(addresses: Iterable[str], hosts: Iterable[str] = ()) -> bytes:
    """Encode GeneralNames: rfc822Name for ASCII, SmtpUTF8Mailbox for others (RFC 9598 §3)."""
    names = []
    for address in addresses:
        if address.isascii():
            names.append(tlv(0x81, address.encode()))
        else:
            value = tlv(0xA0, tlv(_UTF8, address.encode()))
            names.append(tlv(0xA0, _SMTP_UTF8_MAILBOX + value))
    names += [tlv(0x82, host.encode()) for host in hosts]
    return sequence(*names)
