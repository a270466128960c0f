"""A CA in a folder: root, issuing CA, and a record of every certificate it gave out.

    ca.toml                   version, name, the URLs written into certificates
    root.pem                  for everybody who reads mail: the one file to trust
    issuing.pem               the CA below it that certifies users
    private/root.key.pem      encrypted; issuing does not need it: move it to another medium
    private/issuing.key.pem   encrypted
    issued/SERIAL.pem         one file a certificate, there before the certificate leaves

Floor:  registrar (uses authority)
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from pki import keys
from pki.authority import Authority, moment, new_serial
from pki.errors import AuthorityExists, NoAuthority, RequestRefused
from pki.names import MAX_NAME, checked_name, checked_url
from pki.profiles import Profile
from pki.requests import CertificationRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from os import PathLike

    import smime

__all__ = ["Records", "Registrar", "refuse_existing", "to_pem", "write_new"]

SETTINGS = "ca.toml"
VERSION = 1
MAX_FILE_OCTETS = 1_048_576  # a key file or certificate of a CA has under 10,000
_RECORD = re.compile(r"([0-9a-f]{32,40})\.pem")
_ISSUING_SUFFIX = " (issuing)"  # the two names differ, else the issuing CA looks self-issued


@dataclass(frozen=True, slots=True)
class Records:
    """What a CA's folder says without any key: for ``ca show`` and for ``Registrar.load``."""

    folder: str
    name: str
    crl_url: str
    ca_url: str
    root: x509.Certificate
    issuing: x509.Certificate

    @classmethod
    def load(cls, folder: PathLike[str] | str) -> Self:
        """Read ``ca.toml`` and the two certificates. Raises ``NoAuthority``."""
        import tomllib

        place = os.fspath(folder)
        try:
            table = tomllib.loads(_read(place, SETTINGS).decode())
        except FileNotFoundError as error:
            raise NoAuthority(
                f"no CA in {place}", hint="make one with `smimetool ca init DIR`"
            ) from error
        except ValueError as error:
            raise NoAuthority(f"{place}/{SETTINGS} is not TOML: {error}") from error
        if table.get("version") != VERSION:
            raise NoAuthority(
                f"{place}/{SETTINGS} is not of version {VERSION}",
                hint="use the smimetool that made it, or a newer one",
            )
        name, crl_url, ca_url = (table.get(key, "") for key in ("name", "crl_url", "ca_url"))
        if not all(isinstance(text, str) for text in (name, crl_url, ca_url)):
            raise NoAuthority(f"{place}/{SETTINGS}: name, crl_url and ca_url are texts")
        try:
            # Written by hand they may be anything, and they go to terminals and certificates.
            name, crl_url, ca_url = checked_name(name), checked_url(crl_url), checked_url(ca_url)
        except RequestRefused as error:
            raise NoAuthority(f"{place}/{SETTINGS}: {error}", hint=error.hint) from error
        try:
            root, issuing = (
                x509.load_pem_x509_certificate(_read(place, file))
                for file in ("root.pem", "issuing.pem")
            )
            issuing.verify_directly_issued_by(root)
        except (
            FileNotFoundError,
            InvalidSignature,
            TypeError,
            ValueError,
            x509.InvalidVersion,
        ) as error:
            raise NoAuthority(
                f"root.pem and issuing.pem in {place} are no pair of CA certificates",
                hint="put back both from a copy",
            ) from error
        return cls(place, name, crl_url, ca_url, root, issuing)

    @property
    def serials(self) -> tuple[int, ...]:
        """Serial numbers of all certificates given out, in no order that means anything."""
        names = os.listdir(os.path.join(self.folder, "issued"))
        found = (_RECORD.fullmatch(name) for name in sorted(names))
        return tuple(int(record[1], 16) for record in found if record)

    def to_dict(self) -> dict[str, str | int]:
        """Give all of it as plain texts and numbers, the certificates by fingerprint and end."""
        from cryptography.hazmat.primitives.hashes import SHA256

        return {
            "name": self.name,
            "folder": self.folder,
            "root_sha256": self.root.fingerprint(SHA256()).hex(),
            "root_until": f"{self.root.not_valid_after_utc:%Y-%m-%d}",
            "issuing_sha256": self.issuing.fingerprint(SHA256()).hex(),
            "issuing_until": f"{self.issuing.not_valid_after_utc:%Y-%m-%d}",
            "crl_url": self.crl_url,
            "ca_url": self.ca_url,
            "issued": len(self.serials),
        }


class Registrar:
    """Authority and record together: a CA in a folder; a context manager.

    What it issues is in ``issued/``, on the disk and not only in its cache, before
    the caller gets it.
    """

    def __init__(self, authority: Authority, records: Records) -> None:
        """Take an opened CA; ``create`` and ``load`` are how one is got."""
        self._authority: Authority | None = authority
        self.records = records

    @classmethod
    def create(
        cls,
        folder: PathLike[str] | str,
        *,
        name: str,
        passphrase: smime.Passphrase,
        rsa: bool = False,
        crl_url: str = "",
        ca_url: str = "",
        domains: Iterable[str] = (),
        at: datetime | None = None,
    ) -> Self:
        """Make a CA in a new or empty folder: a root, and below it a CA for mail users.

        Their keys are P-384 and P-256, with ``rsa`` both RSA-4096, each encrypted
        under ``passphrase``. ``crl_url`` and ``ca_url`` are written into every
        certificate and cannot be mended in those given out. With ``domains`` the
        CA certifies addresses there and nothing else (``Authority.subordinate``).

        Raises ``AuthorityExists``, ``RequestRefused`` for a name, URL or domain that
        cannot be, ``OSError``. On failure nothing is left behind.
        """
        place = os.fspath(folder)
        refuse_existing(place)
        if not name or len(checked_name(name)) > MAX_NAME - len(_ISSUING_SUFFIX):
            raise RequestRefused(
                f"the name of a CA has 1 to {MAX_NAME - len(_ISSUING_SUFFIX)} characters"
            )
        secret = keys.passphrase_octets(passphrase)
        root = Authority.create(name, algorithm="rsa4096" if rsa else "p384", at=at)
        below = root.subordinate(
            name + _ISSUING_SUFFIX,
            algorithm="rsa4096" if rsa else "p256",
            at=at,
            domains=domains,
        )
        authority = Authority(
            below.private_key, below.certificate, (root.root,), crl_url=crl_url, ca_url=ca_url
        )
        records = Records(place, name, crl_url, ca_url, root.certificate, below.certificate)
        _write_folder(
            records,
            {
                "root.key.pem": keys.seal(root.private_key, secret),
                "issuing.key.pem": keys.seal(below.private_key, secret),
            },
        )
        return cls(authority, records)

    @classmethod
    def load(cls, folder: PathLike[str] | str, *, passphrase: smime.Passphrase) -> Self:
        """Open a CA's folder and its issuing key; the root's key is not needed.

        Raises ``NoAuthority``, ``WrongPassphrase``, ``OSError``.
        """
        records = Records.load(folder)
        sealed = _read(records.folder, os.path.join("private", "issuing.key.pem"))
        key = keys.unseal(sealed, keys.passphrase_octets(passphrase))
        if key.public_key() != records.issuing.public_key():
            raise NoAuthority(f"issuing.pem and its key in {records.folder} do not belong together")
        authority = Authority(
            key,
            records.issuing,
            (records.root,),
            crl_url=records.crl_url,
            ca_url=records.ca_url,
        )
        return cls(authority, records)

    def issue(
        self,
        *addresses: str,
        name: str = "",
        profile: str | Profile = "mailbox",
        algorithm: str = "rsa3072",
        at: datetime | None = None,
        lifetime_days: int = 365,
    ) -> smime.Identity:
        """Make a key, certify it for these addresses, record the certificate.

        As ``Authority.issue``, but RSA-3072 unless told otherwise: every mail program
        reads it. The key is kept by nobody but the caller.
        """
        identity = self._open.issue(
            *addresses,
            name=name,
            profile=profile,
            algorithm=algorithm,
            at=at,
            lifetime_days=lifetime_days,
        )
        self._record(identity.certificate)
        return identity

    def certify(
        self,
        request: CertificationRequest,
        *,
        profile: str | Profile = "mailbox",
        at: datetime | None = None,
    ) -> x509.Certificate:
        """Certify the key of a request under its authorised names, record the certificate."""
        chosen = profile if isinstance(profile, Profile) else Profile.named(profile)
        certificate = self._open.certify(
            request, profile=chosen, serial=new_serial(), at=moment(at)
        )
        self._record(certificate)
        return certificate

    @property
    def anchors(self) -> smime.Anchors:
        """The root, to be trusted: ``smime.verify(mail, trust=ca.anchors)``."""
        return self._open.anchors

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What goes along with each certificate: the issuing CA's."""
        return self._open.chain

    @property
    def _open(self) -> Authority:
        if self._authority is None:
            raise ValueError("the Registrar is closed")
        return self._authority

    def _record(self, certificate: x509.Certificate) -> None:
        # The file's name is the serial and must be new: so none is given out twice.
        path = os.path.join(self.records.folder, "issued", f"{certificate.serial_number:032x}.pem")
        write_new(path, to_pem(certificate), mode=0o644)

    def close(self) -> None:
        """Let go of the key. Closing twice does no harm."""
        self._authority = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._authority is None else "open"
        return f"<Registrar {self.records.name} in {self.records.folder}, {state}>"


def refuse_existing(folder: str) -> None:
    """Raise ``AuthorityExists`` if a CA is there, ``FileExistsError`` if anything else is."""
    if os.path.exists(os.path.join(folder, SETTINGS)):
        raise AuthorityExists(
            f"there is a CA in {folder} already",
            hint="issue from it with `smimetool ca issue`, or take another folder",
        )
    if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise FileExistsError(errno.EEXIST, "not an empty folder", folder)


def to_pem(*certificates: x509.Certificate) -> bytes:
    """Write certificates one after another, as PEM."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def write_new(path: str, data: bytes, *, mode: int) -> None:
    """Write a file that must not exist yet, whole and on the disk, or leave none.

    The mode is as given, never wider, whatever the umask.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(os.path.dirname(path) or ".")
    except BaseException:
        os.unlink(path)
        raise


def _sync_folder(folder: str) -> None:
    """Put a new file's name on the disk too; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_folder(records: Records, sealed: dict[str, bytes]) -> None:
    """Fill a new or empty folder, the settings last: without them it is no CA yet."""
    place = records.folder
    made = not os.path.isdir(place)
    if made:
        os.mkdir(place, 0o755)
    private = os.path.join(place, "private")
    # Only one of two that start together gets past here, and only that one cleans up.
    os.mkdir(private, 0o700)
    try:
        os.mkdir(os.path.join(place, "issued"), 0o755)
        for name, data in sealed.items():
            write_new(os.path.join(private, name), data, mode=0o600)
        for name, certificate in (("root.pem", records.root), ("issuing.pem", records.issuing)):
            write_new(os.path.join(place, name), to_pem(certificate), mode=0o644)
        write_new(os.path.join(place, SETTINGS), _settings(records), mode=0o644)
    except BaseException:
        _empty(place)
        if made:
            os.rmdir(place)
        raise


def _empty(place: str) -> None:
    """Remove what is in a folder that was empty before."""
    import shutil

    for entry in os.scandir(place):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _settings(records: Records) -> bytes:
    import json

    # A JSON string without controls is a TOML one; names and URLs have none.
    texts = {"name": records.name, "crl_url": records.crl_url, "ca_url": records.ca_url}
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()]
    return "\n".join((f"version = {VERSION}", *lines, "")).encode()


def _read(folder: str, name: str) -> bytes:
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read(MAX_FILE_OCTETS + 1)
    if len(data) > MAX_FILE_OCTETS:
        raise NoAuthority(f"{name} in {folder} has more than {MAX_FILE_OCTETS} octets")
    return data
