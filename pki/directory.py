"""Certificates and CRLs, put into an LDAP directory where mail programs look them up.

Only over TLS, and only to the server that the URL names: who could pose as the directory
would be handed its password.

Floor:  directory (uses publish; needs the extra [ldap])
Source: RFC 4511 (Modify), RFC 4513 §3.1 (TLS), RFC 4523 §2 for the attributes
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pki import keys
from pki.bundle import to_der
from pki.errors import DirectoryProblem
from pki.publish import entry_name
from smime import NotSupported

try:
    with warnings.catch_warnings():
        # ldap3's last release uses names that pyasn1 has since given others.
        warnings.simplefilter("ignore", DeprecationWarning)
        import ldap3
        from ldap3.core import exceptions as ldap_errors
        from ldap3.core.tls import Tls
except ModuleNotFoundError as error:
    raise NotSupported(
        "a directory needs ldap3, which is not installed", hint="pipx install 'smimetool[ldap]'"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Self

    from cryptography import x509

    import smime

__all__ = ["Directory"]

TIMEOUT_SECONDS = 30  # for a connection, and for each answer
_PORTS = {"ldaps": 636, "ldap": 389}
_CERTIFICATES = "userCertificate;binary"
_CA_CERTIFICATE = "cACertificate;binary"
_CRLS = "certificateRevocationList;binary"


class _Verified(Tls):  # type: ignore[misc]  # ldap3 has no types
    """TLS as Python sets it up: the chain and the name are checked before a word is said.

    ldap3's own asks for no certificate unless told to, and compares names itself, by a
    function that Python no longer has.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        super().__init__()
        self._context = context
        self._host = host

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        connection.socket = self._context.wrap_socket(
            connection.socket,
            do_handshake_on_connect=do_handshake,
            server_hostname=self._host,
        )


class Directory:
    """A connection to an LDAP server; a context manager."""

    __slots__ = ("_connection", "_url")

    def __init__(self, connection: Any, url: str) -> None:
        """Use a bound connection of ldap3. See ``open``."""
        self._connection = connection
        self._url = url

    @classmethod
    def open(
        cls,
        url: str,
        *,
        name: str,
        passphrase: smime.Passphrase,
        ca_file: str | None = None,
    ) -> Self:
        """Log in as ``name`` (a DN) at ``ldaps://host`` or ``ldap://host`` (which starts TLS).

        The server shows a certificate for that host by a CA of the system, or of the PEM
        file ``ca_file``.

        Raises ``DirectoryProblem``, ``WrongPassphrase``, ``OSError`` for ``ca_file``.
        """
        scheme, host, port = _place(url)
        context = ssl.create_default_context(cafile=ca_file)
        secret = keys.passphrase_octets(passphrase)
        server = ldap3.Server(
            _answering(url, host, port),
            port,
            use_ssl=scheme == "ldaps",
            tls=_Verified(context, host),
            get_info=ldap3.NONE,
            connect_timeout=TIMEOUT_SECONDS,
        )
        connection = ldap3.Connection(
            server,
            user=name,
            password=secret.decode(),
            raise_exceptions=True,
            check_names=False,  # DNs go out as they were written (pki.publish.entry_name)
            receive_timeout=TIMEOUT_SECONDS,
        )
        made = cls(connection, url)
        try:
            connection.open(read_server_info=False)
            if scheme == "ldap":
                connection.start_tls(read_server_info=False)
            connection.bind(read_server_info=False)
        except ldap_errors.LDAPException as error:
            made.close()
            raise made._ours(error) from error
        return made

    def put(self, entries: Iterable[tuple[str, Sequence[x509.Certificate]]], dn: str) -> list[str]:
        """Set the certificates of people; give the addresses for which there is no entry.

        ``entries`` and ``dn`` as in ``pki.publish.ldif``: addresses with the certificates
        to be there afterwards, none to take them away. Entries are not made: who is in
        the directory is for others to say. Stops at the first that is refused.

        Raises ``DirectoryProblem``, ``RequestRefused``, ``ValueError``.
        """
        missing = []
        for address, certificates in entries:
            ders = [to_der(one) for one in certificates]
            if not self._replace(entry_name(dn, address), {_CERTIFICATES: ders}):
                missing.append(address)
        return missing

    def put_authority(self, dn: str, certificate: x509.Certificate, *crls: bytes) -> None:
        """Set a CA's certificate, and its CRLs (DER) if any are given, in the entry ``dn``.

        Raises ``DirectoryProblem``, also if there is no such entry.
        """
        values = {_CA_CERTIFICATE: [to_der(certificate)]}
        if crls:
            values[_CRLS] = list(crls)
        if not self._replace(dn, values):
            raise DirectoryProblem(
                f"there is no entry {dn} in the directory",
                hint="make one of the class pkiCA (RFC 4523 §3.2)",
            )

    def _replace(self, dn: str, attributes: dict[str, list[bytes]]) -> bool:
        changes = {name: [(ldap3.MODIFY_REPLACE, values)] for name, values in attributes.items()}
        try:
            self._connection.modify(dn, changes)
        except ldap_errors.LDAPNoSuchObjectResult:
            return False
        except ldap_errors.LDAPException as error:
            raise self._ours(error, dn) from error
        return True

    def _ours(self, error: Exception, dn: str = "") -> DirectoryProblem:
        """Say what ldap3 raised; its text holds no password."""
        said = getattr(error, "description", None) or str(error)
        detail = getattr(error, "message", "")
        if isinstance(error, ldap_errors.LDAPInvalidCredentialsResult):
            return DirectoryProblem(
                f"{self._url} does not know that name and passphrase",
                hint="name is a whole DN: cn=pki,dc=example,dc=org",
            )
        if isinstance(error, ldap_errors.LDAPObjectClassViolationResult):
            return DirectoryProblem(
                f"the entry {dn} cannot hold it: {detail or said}",
                hint="people need inetOrgPerson or pkiUser, a CA pkiCA (RFC 4523)",
            )
        where = f" at {dn}" if dn else ""
        return DirectoryProblem(
            f"{self._url}{where}: {': '.join(filter(None, (said, detail)))}",
            hint="" if dn else "is that its name, and is its CA in ca_file?",
        )

    def close(self) -> None:
        """End the connection. Closing twice does no harm."""
        with contextlib.suppress(ldap_errors.LDAPException, OSError):  # it may be gone already
            self._connection.unbind()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Directory {self._url}>"


def _answering(url: str, host: str, port: int) -> str:
    """Give the address of a host that takes connections.

    ldap3 would try all addresses itself, and never closes those that do not answer.
    """
    try:
        with socket.create_connection((host, port), TIMEOUT_SECONDS) as tried:
            return str(tried.getpeername()[0])
    except OSError as error:
        raise DirectoryProblem(f"{url} cannot be reached: {error}") from error


def _place(url: str) -> tuple[str, str, int]:
    """Take ``ldaps://host:port`` apart; nothing else may be in it."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    plain = url == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
    if parts.scheme not in _PORTS or not parts.hostname or not plain or port == -1:
        raise DirectoryProblem(
            "the URL of a directory is like ldaps://ldap.example.org, and holds nothing else"
        )
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]
