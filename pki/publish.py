"""Certificates and CRLs for those who look them up: directory, DNS, web server.

Each function gives the text or the files; what is published where is the caller's.

Floor:  publish (uses bundle)
Source: RFC 2849 (LDIF), RFC 4523 (attributes), RFC 4514 (names); RFC 8162 (SMIMEA);
        RFC 5280 §4.2.1.13 and §4.2.2.1 for what the addresses in certificates serve
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from unicodedata import normalize

from pki.bundle import to_der, to_p7c
from pki.errors import RequestRefused
from pki.names import checked_address

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from os import PathLike

    from cryptography import x509

    from pki.authority import Authority

__all__ = [
    "entry_name",
    "files_at",
    "ldif",
    "ldif_authority",
    "ldif_pieces",
    "smimea",
    "smimea_owner",
    "smimea_pieces",
    "static_files",
    "write_static",
]

_LDIF_LINE = 76
_ZONE_CHUNK = 120  # characters of a record's data a line; name servers take lines of some thousand
_LABEL_OCTETS = 28  # of SHA-256, so that 56 hexadecimal digits fit into a label (RFC 8162 §3)
_PLACE = re.compile(r"\{([^{}]*)\}")
DEFAULT_TTL = 3600  # seconds; after a revocation the old record is seen no longer


def ldif(entries: Iterable[tuple[str, Sequence[x509.Certificate]]], dn: str) -> bytes:
    """Write changes that set ``userCertificate;binary`` of people: for ``ldapmodify``.

    ``entries`` are addresses with the certificates to be there afterwards: none takes
    them away. ``dn`` is the name of an entry with ``{address}``, ``{local}`` and
    ``{domain}`` in it: ``uid={local},ou=people,dc=example,dc=org``.

    Raises ``RequestRefused`` for what is no address, ``ValueError`` for a ``dn`` that names
    anything else.
    """
    return b"".join(ldif_pieces(entries, dn))


def ldif_pieces(
    entries: Iterable[tuple[str, Sequence[x509.Certificate]]], dn: str
) -> Iterator[bytes]:
    """Write the same piece by piece: as large as one entry."""
    yield b"version: 1\n"
    for given, certificates in entries:
        name = entry_name(dn, given)
        ders = [to_der(one) for one in certificates]
        yield b"\n" + _change(name, {"userCertificate;binary": ders})


def entry_name(dn: str, address: str) -> str:
    """Give the name of a person's entry: ``dn`` with the parts of an address in it, escaped.

    Raises ``RequestRefused``, and ``ValueError`` for a ``dn`` that names anything else.

    >>> entry_name("uid={local},dc=x", "a+b@example.org")
    'uid=a\\\\+b,dc=x'
    """
    whole = checked_address(address)
    local, _, domain = whole.rpartition("@")
    values = {"address": whole, "local": local, "domain": domain}
    unknown = {one[1] for one in _PLACE.finditer(dn)} - set(values)
    if unknown:
        raise ValueError(f"dn {dn!r} names something else than {', '.join(values)}")
    return _PLACE.sub(lambda one: _dn_value(values[one[1]]), dn)


def ldif_authority(dn: str, certificate: x509.Certificate, *crls: bytes) -> bytes:
    """Write the change that sets a CA's certificate, and its CRLs (DER) if any are given."""
    values = {"cACertificate;binary": [to_der(certificate)]}
    if crls:
        values["certificateRevocationList;binary"] = list(crls)
    return b"version: 1\n\n" + _change(dn, values)


def _change(dn: str, attributes: Mapping[str, list[bytes]]) -> bytes:
    lines = [_ldif_line("dn", dn.encode()), b"changetype: modify\n"]
    for attribute, values in attributes.items():
        lines.append(f"replace: {attribute}\n".encode())
        lines += [_ldif_line(attribute, value, binary=True) for value in values]
        lines.append(b"-\n")
    return b"".join(lines)


def _ldif_line(attribute: str, value: bytes, *, binary: bool = False) -> bytes:
    """Write one line, in base64 unless it is plain (RFC 2849 SAFE-STRING), and fold it."""
    plain = not binary and value.isascii() and value.decode().isprintable()
    if plain and value[:1] not in (b" ", b":", b"<") and not value.endswith(b" "):
        line = attribute.encode() + b": " + value
    else:
        line = attribute.encode() + b":: " + base64.b64encode(value)
    rest = line[_LDIF_LINE:]
    step = _LDIF_LINE - 1
    pieces = [line[:_LDIF_LINE], *(rest[n : n + step] for n in range(0, len(rest), step))]
    return b"\n ".join(pieces) + b"\n"


def _dn_value(text: str) -> str:
    """Escape a value for a distinguished name (RFC 4514 §2.4)."""
    made = "".join(f"\\{one}" if one in '\\,+"<>;=' else one for one in text)
    return f"\\{made}" if made[:1] in ("#", " ") else made


def smimea_owner(address: str) -> str:
    """Give the domain name at which an address's certificates are found (RFC 8162 §3).

    >>> smimea_owner("hugh@example.com")
    'c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com.'
    """
    local, _, domain = checked_address(address).rpartition("@")
    digest = hashlib.sha256(normalize("NFC", local).encode()).digest()[:_LABEL_OCTETS]
    return f"{digest.hex()}._smimecert.{domain}."


def smimea(
    entries: Iterable[tuple[str, Sequence[x509.Certificate]]],
    *,
    ttl: int = DEFAULT_TTL,
    generic: bool = False,
) -> str:
    """Write SMIMEA records as a fragment of a zone file: each certificate whole.

    They say DANE-EE (3), full certificate (0), as it is (0), so that who looks up can
    seal to it. The zone must be signed (DNSSEC), or nobody may believe it. ``generic``
    writes them as RFC 3597 does, for name servers that do not know SMIMEA.

    >>> smimea([("hugh@example.com", ())])
    ''
    """
    return "".join(smimea_pieces(entries, ttl=ttl, generic=generic))


def smimea_pieces(
    entries: Iterable[tuple[str, Sequence[x509.Certificate]]],
    *,
    ttl: int = DEFAULT_TTL,
    generic: bool = False,
) -> Iterator[str]:
    """Write the same piece by piece: as large as one record."""
    for address, certificates in entries:
        owner = smimea_owner(address)
        for certificate in certificates:
            der = to_der(certificate)
            text = (b"\3\0\0" + der).hex() if generic else der.hex()
            kind = f"TYPE53 \\# {len(der) + 3}" if generic else "SMIMEA 3 0 0"
            lines = [f"    {text[n : n + _ZONE_CHUNK]}" for n in range(0, len(text), _ZONE_CHUNK)]
            yield "\n".join((f"{owner} {ttl} IN {kind} (", *lines, ")\n"))


def static_files(ca: Authority, crl: bytes = b"") -> dict[str, bytes]:
    """Give what a web server serves at the addresses in this CA's certificates, by file name.

    The names are the last parts of ``ca_url`` and ``crl_url``. A ``ca_url`` that ends in
    ``.p7c`` gets all certificates of the chain, any other the CA's own, in DER. With them
    goes ``root.cer``, for people to fetch and compare.

    Raises ``RequestRefused`` if an address names no file, or both name the same.
    """
    lists = {ca.crl_url: crl} if ca.crl_url and crl else {}
    return files_at(ca.chain or (ca.root,), ca.root, ca_url=ca.ca_url, lists=lists)


def files_at(
    chain: Sequence[x509.Certificate],
    root: x509.Certificate,
    *,
    ca_url: str,
    lists: Mapping[str, bytes],
) -> dict[str, bytes]:
    """Give the same for a CA whose key is elsewhere; ``lists`` are its CRLs by address."""
    files = {"root.cer": to_der(root)}
    if ca_url:
        name = _file_of(ca_url, files)
        files[name] = to_p7c(*chain) if name.endswith(".p7c") else to_der(chain[0])
    for url, crl in lists.items():
        files[_file_of(url, files)] = crl
    return files


def _file_of(url: str, taken: Mapping[str, bytes]) -> str:
    name = url.partition("://")[2].partition("?")[0].partition("/")[2].rpartition("/")[2]
    plain = name.isascii() and all(one.isalnum() or one in "._-" for one in name)
    if not name or not plain or name.startswith(".") or name in taken:
        raise RequestRefused(
            f"{url} names no file of its own that could be served",
            hint="an address like http://pki.example.org/ca.crl does",
        )
    return name


def write_static(folder: PathLike[str] | str, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that a web server serves; each is old or new, never half.

    Raises ``OSError``.
    """
    place = os.fspath(folder)
    for name, data in files.items():
        path = os.path.join(place, name)
        beside = os.path.join(place, f".{name}.{os.urandom(8).hex()}")
        descriptor = os.open(
            beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # The umask is the user's; the web server reads as somebody else.
            os.chmod(beside, 0o644)
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
