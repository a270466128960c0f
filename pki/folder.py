"""The folder of a CA: what lies where, and how it gets there whole.

    ca.toml                   version, name, URLs, where the ledger is
    root.pem                  for everybody who reads mail: the one file to trust
    issuing.pem               the CA below it that certifies users, and any between the two
    private/root.key.pem      encrypted; issuing does not need it: move it to another medium
    private/issuing.key.pem   encrypted
    private/log.key.pem       encrypted; signs checkpoints of the ledger, and nothing else
    profiles/NAME.toml        kinds of certificates of this CA's own, beside the shipped ones
    ledger.db                 every certificate and revocation, unless a database has them
    former/N                  folders of the issuing CAs before, which sign lists to their end

A folder of the first version has ``issued/SERIAL.pem`` and no ledger; it gets one when
it is first opened, and keeps those files.

Floor:  folder (uses ledger)
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from pki import keys
from pki.errors import (
    AuthorityExists,
    LedgerProblem,
    NoAuthority,
    ProfileProblem,
    RequestRefused,
)
from pki.facts import Issue
from pki.files import empty_folder, fill_new, unlink_all, write_new, write_over
from pki.ledger import Ledger
from pki.names import checked_name, checked_url
from pki.profiles import Profile
from pki.tables import hidden, sqlite_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from pki.tables import sql

    URL = sql.URL

__all__ = [
    "LOG_KEY",
    "Records",
    "change",
    "complete_folder",
    "finish_change",
    "read_key",
    "refuse_existing",
    "settings_toml",
    "to_pem",
    "write_folder",
]

SETTINGS = "ca.toml"
LEDGER = "ledger.db"
LOG_KEY = "log.key.pem"
FORMER = "former"
FORMER_OF = "../.."  # where the CA is whose former one lies in former/N
_NEXT = "next"
VERSION = 2
MAX_FILE_OCTETS = 1_048_576  # a key file or certificate of a CA has under 10,000
MAX_SHARDS = 10_000  # a million certificates make shards of a hundred
_MIGRATED_AT_ONCE = 1_000
_TOKEN = ("token", "token_label", "token_key")
_TEXTS = ("name", "crl_url", "ca_url", "delta_url", "ocsp_url", "ledger", "ledger_of", *_TOKEN)
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_RECORD = re.compile(r"([0-9a-f]{32,40})\.pem")


@dataclass(frozen=True, slots=True)
class Records:
    """What a CA's folder says without any key: for ``ca show`` and for ``Registrar.load``."""

    folder: str
    name: str
    crl_url: str
    ca_url: str
    root: x509.Certificate
    issuing: x509.Certificate
    ledger_url: str = field(default="", repr=False)
    """Where the ledger is, as SQLAlchemy writes it; empty is ``ledger.db`` in the folder."""
    delta_url: str = ""
    shards: int = 1
    """How many CRLs the certificates are spread over, where ``crl_url`` has ``{shard}``."""
    version: int = VERSION
    ocsp_url: str = ""
    above: tuple[x509.Certificate, ...] = ()
    """The CAs between the issuing one and its root, where there are any."""
    ledger_of: str = ""
    """Where the CA is that came after this one, and has its ledger; empty for that of today."""
    token: str = ""
    """The PKCS#11 module of the token with the issuing key; empty if a file has it."""
    token_label: str = ""
    token_key: str = ""
    """The label of the key in it."""

    @classmethod
    def load(cls, folder: PathLike[str] | str) -> Self:
        """Read ``ca.toml`` and the two certificates. Raises ``NoAuthority``."""
        import tomllib

        place = os.fspath(folder)
        finish_change(place)
        try:
            table = tomllib.loads(_read(place, SETTINGS).decode())
        except FileNotFoundError as error:
            raise NoAuthority(
                f"no CA in {place}", hint="make one with `smimetool ca init DIR`"
            ) from error
        except ValueError as error:
            raise NoAuthority(f"{place}/{SETTINGS} is not TOML: {error}") from error
        version, shards = table.get("version"), table.get("shards", 1)
        if type(version) is not int or not 1 <= version <= VERSION:
            raise NoAuthority(
                f"{place}/{SETTINGS} is not of version {VERSION} or older",
                hint="use the smimetool that made it, or a newer one",
            )
        texts = {key: table.get(key, "") for key in _TEXTS}
        if not all(isinstance(text, str) for text in texts.values()):
            raise NoAuthority(f"{place}/{SETTINGS}: name, ledger and URLs are texts")
        if type(shards) is not int or not 1 <= shards <= MAX_SHARDS:
            raise NoAuthority(f"{place}/{SETTINGS}: shards is a number, 1 to {MAX_SHARDS}")
        try:
            root = x509.load_pem_x509_certificate(_read(place, "root.pem"))
            chain = x509.load_pem_x509_certificates(_read(place, "issuing.pem"))
            for below, over in zip(chain, (*chain[1:], root), strict=True):
                below.verify_directly_issued_by(over)
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
        texts["ledger_url"] = texts.pop("ledger")
        records = cls(
            folder=place,
            root=root,
            issuing=chain[0],
            above=tuple(chain[1:]),
            shards=shards,
            version=version,
            **texts,
        )
        try:
            # Written by hand they may be anything, and they go to terminals and certificates.
            records.check()
        except RequestRefused as error:
            raise NoAuthority(f"{place}/{SETTINGS}: {error}", hint=error.hint) from error
        return records

    def check(self) -> None:
        """Raise ``RequestRefused`` for a name, URL or number that cannot be."""
        checked_name(self.name)
        for url in (self.crl_url, self.ca_url, self.delta_url, self.ocsp_url):
            checked_url(url)
        places = (self.token, self.token_label, self.token_key)
        if any(places) and not (all(places) and all(text.isprintable() for text in places)):
            raise RequestRefused("a token has a module, a label, and a label of its key")
        if self.ledger_of not in ("", FORMER_OF):
            raise RequestRefused(f"ledger_of is nothing or {FORMER_OF}")
        if not 1 <= self.shards <= MAX_SHARDS:
            raise RequestRefused(f"shards is a number, 1 to {MAX_SHARDS}")
        if self.shards > 1 and "{shard}" not in self.crl_url:
            raise RequestRefused(
                "several shards, but no {shard} in the URL of the revocation list",
                hint="like http://ca.example.org/{shard}.crl",
            )
        if self.delta_url and _placeholders(self.delta_url) != _placeholders(self.crl_url):
            raise RequestRefused("the URLs of full and delta lists differ in {shard} or {profile}")

    def profile(self, name: str) -> Profile:
        """Give the CA's own profile of that name, or else the shipped one.

        Raises ``ProfileProblem``.
        """
        path = os.path.join(self.folder, "profiles", f"{name}.toml")
        if _PROFILE.fullmatch(name) and os.path.exists(path):
            return Profile.load(path)
        try:
            return Profile.named(name)
        except ProfileProblem as error:
            raise ProfileProblem(
                str(error), hint=f"{error.hint}; or make profiles/{name}.toml in the CA's folder"
            ) from error

    def scope(self, serial: int, profile: str) -> str:
        """Name the list that a certificate belongs to: empty, ``7``, ``mailbox``, ``7-mailbox``."""
        parts = []
        if "{shard}" in self.crl_url:
            parts.append(str(serial % self.shards))
        if "{profile}" in self.crl_url:
            parts.append(profile)
        return "-".join(parts)

    def url(self, url: str, scope: str) -> str:
        """Give a URL with ``{shard}`` and ``{profile}`` filled in; those of no scope stay away."""
        shard, _, profile = scope.partition("-")
        if "{shard}" not in self.crl_url:
            shard, profile = "", scope
        return url.replace("{shard}", shard).replace("{profile}", profile)

    def scopes(self, ledger: Ledger) -> tuple[str, ...]:
        """Name the lists that certificates point to; one without a name covers all."""
        asked = _placeholders(self.crl_url)
        if not asked:
            return ("",)
        if asked == {"{shard}"}:
            return tuple(str(shard) for shard in range(self.shards))
        return ledger.scopes()

    def ledger(self) -> Ledger:
        """Open the ledger; a folder of the first version gets one now.

        Raises ``LedgerProblem``, ``NotSupported``.
        """
        if self.ledger_of:
            return self._successor().ledger()
        if self.version == 1:
            return _migrate(self)
        if not self.ledger_url and not os.path.exists(os.path.join(self.folder, LEDGER)):
            # Not made anew: an empty one would forget who was given what.
            raise LedgerProblem(
                f"{LEDGER} in {self.folder} is missing",
                hint="put it back from a copy, or `smimetool ca restore`",
            )
        return Ledger.open(self.database)

    @property
    def database(self) -> str | URL:
        """The URL of the ledger, or that of the file in the folder."""
        if self.ledger_of:
            return self._successor().database
        return self.ledger_url or sqlite_url(os.path.join(self.folder, LEDGER))

    def _successor(self) -> Records:
        found = Records.load(os.path.join(self.folder, self.ledger_of))
        if found.ledger_of:
            raise NoAuthority(f"{self.folder} is the former CA of a former one")
        return found

    @property
    def former(self) -> tuple[str, ...]:
        """The folders of the issuing CAs before this one, the oldest first."""
        place = os.path.join(self.folder, FORMER)
        if not os.path.isdir(place):
            return ()
        numbers = sorted(int(name) for name in os.listdir(place) if name.isdigit())
        return tuple(os.path.join(place, str(number)) for number in numbers)

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
            "delta_url": self.delta_url,
            "shards": self.shards,
            "ca_url": self.ca_url,
            "ocsp_url": self.ocsp_url,
            "ledger": hidden(self.database),
        }


def _migrate(records: Records) -> Ledger:
    """Make the ledger of a folder of the first version from its files, which stay.

    Done again after a crash, or by two at once, it comes to the same.
    """
    issued = os.path.join(records.folder, "issued")
    try:
        names = sorted(name for name in os.listdir(issued) if _RECORD.fullmatch(name))
    except FileNotFoundError:
        names = []
    ledger = Ledger.open(records.database)
    now = datetime.now(UTC)
    try:
        with ledger.writing() as log:
            if not log.number:
                issuer = log.issuer(records.issuing, at=now)
                for start in range(0, len(names), _MIGRATED_AT_ONCE):
                    part = names[start : start + _MIGRATED_AT_ONCE]
                    log.record([_issued_before(records, name) for name in part], issuer, at=now)
                log.note("migrated", {"certificates": len(names)}, at=now)
        write_over(os.path.join(records.folder, SETTINGS), settings_toml(records), mode=0o644)
    except BaseException:
        ledger.close()
        raise
    return ledger


def _issued_before(records: Records, name: str) -> Issue:
    try:
        pem = _read(records.folder, os.path.join("issued", name))
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.verify_directly_issued_by(records.issuing)
    except (InvalidSignature, TypeError, ValueError, x509.InvalidVersion) as error:
        raise LedgerProblem(
            f"issued/{name} is no certificate of this CA", hint="put it back from a copy"
        ) from error
    return Issue(certificate, _profile_of(certificate))


def _profile_of(certificate: x509.Certificate) -> str:
    """Tell by which profile a certificate was made; the first version did not write it down."""
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if not usage.digital_signature:
        return "encryption"
    return "mailbox" if usage.key_encipherment or usage.key_agreement else "signing"


def _placeholders(url: str) -> set[str]:
    return {name for name in ("{shard}", "{profile}") if name in url}


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


def write_folder(
    records: Records, sealed: dict[str, bytes], first: Callable[[Ledger], None]
) -> Ledger:
    """Fill a new or empty folder, the settings last: without them it is no CA yet.

    ``first`` writes the first entries of the ledger.
    """
    with fill_new(records.folder, sealed):
        return _written(records, first)


def complete_folder(
    records: Records, sealed: dict[str, bytes], first: Callable[[Ledger], None]
) -> Ledger:
    """Make a CA of a folder that holds the key of the issuing one, and is none yet."""
    place = records.folder
    private = os.path.join(place, "private")
    names = [os.path.join(private, name) for name in sealed]
    names += [os.path.join(place, name) for name in ("root.pem", "issuing.pem", SETTINGS)]
    if not records.ledger_url:
        names += [os.path.join(place, LEDGER + more) for more in ("", "-wal", "-shm")]
    unlink_all(names)  # left by who was killed here
    try:
        for name, data in sealed.items():
            write_new(os.path.join(private, name), data, mode=0o600)
        return _written(records, first)
    except BaseException:
        unlink_all(names)
        raise


def _written(records: Records, first: Callable[[Ledger], None]) -> Ledger:
    place = records.folder
    ledger: Ledger | None = None
    try:
        chain = (records.issuing, *records.above)
        for name, certificates in (("root.pem", (records.root,)), ("issuing.pem", chain)):
            write_new(os.path.join(place, name), to_pem(*certificates), mode=0o644)
        if not records.ledger_url:
            write_new(os.path.join(place, LEDGER), b"", mode=0o600)
        ledger = Ledger.open(records.database)
        if ledger.head()[0]:
            raise AuthorityExists(
                "there is the ledger of a CA in that database already",
                hint="one database for each CA",
            )
        first(ledger)
        write_new(os.path.join(place, SETTINGS), settings_toml(records), mode=0o644)
    except BaseException:
        if ledger is not None:
            ledger.close()
        raise
    return ledger


def settings_toml(records: Records) -> bytes:
    """Write what ``ca.toml`` says."""
    import json

    texts = {
        "name": records.name,
        "crl_url": records.crl_url,
        "delta_url": records.delta_url,
        "ca_url": records.ca_url,
        "ocsp_url": records.ocsp_url,
        "ledger": records.ledger_url,
    }
    if records.ledger_of:
        texts["ledger_of"] = records.ledger_of
    if records.token:
        texts |= {name: getattr(records, name) for name in _TOKEN}
    # A JSON string without controls is a TOML one; names and URLs have none.
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()]
    lines = [f"version = {VERSION}", *lines, f"shards = {records.shards}", ""]
    return "\n".join(lines).encode()


def change(folder: str, files: dict[str, bytes]) -> None:
    """Replace several files of a CA's folder, all or none, whenever somebody pulls the plug."""
    beside = os.path.join(folder, f".{_NEXT}")
    if os.path.isdir(beside):
        empty_folder(beside)  # left by who was killed here
        os.rmdir(beside)
    os.mkdir(beside, 0o700)
    try:
        for name, data in files.items():
            mode = 0o600 if name.startswith("private/") else 0o644
            write_new(os.path.join(beside, name.replace("/", "+")), data, mode=mode)
    except BaseException:
        empty_folder(beside)
        os.rmdir(beside)
        raise
    os.rename(beside, os.path.join(folder, _NEXT))  # from here on it is done
    finish_change(folder)


def finish_change(folder: str) -> None:
    """Move the files that ``change`` has ready, also those that a run before had."""
    ready = os.path.join(folder, _NEXT)
    try:
        names = os.listdir(ready)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            os.replace(os.path.join(ready, name), os.path.join(folder, name.replace("+", "/")))
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(ready)


def read_key(records: Records, name: str, secret: bytes) -> keys.Key:
    """Open one of the keys in ``private``.

    Raises ``WrongPassphrase``, ``NoAuthority``, ``OSError``.
    """
    return keys.unseal(_read(records.folder, os.path.join("private", name)), secret)


def _read(folder: str, name: str) -> bytes:
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read(MAX_FILE_OCTETS + 1)
    if len(data) > MAX_FILE_OCTETS:
        raise NoAuthority(f"{name} in {folder} has more than {MAX_FILE_OCTETS} octets")
    return data
