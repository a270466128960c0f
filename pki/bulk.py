"""Many users at once, from a CSV file: keys, certificates and PKCS#12 files; resumable.

The first line names the columns: ``address`` (several separated by blanks), and any of
``name``, ``profile``, ``key``, ``days``, ``pair``, ``csr`` and the attributes of a subject.
One bad row does not stop the others.

A key is on the disk, locked by the passphrase of its owner, before its certificate is
recorded: who was cut off starts again with the same folder, and every row comes to
exactly one certificate.

Floor:  bulk (uses registrar, issuance)
Source: RFC 4180 for the file
"""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import smime
from pki import archive, keys, vouching
from pki.authority import halves, identity_of, moment
from pki.bundle import new_passphrase
from pki.errors import RequestRefused
from pki.files import unlink_all, write_over
from pki.folder import to_pem
from pki.names import ATTRIBUTES
from pki.orders import Order
from pki.requests import CertificationRequest, check_wishes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike
    from typing import Any, TextIO

    from cryptography import x509

    from pki.orders import Outcome
    from pki.profiles import Profile
    from pki.registrar import Registrar

__all__ = ["Defaults", "Import", "Result", "Row", "read_rows"]

COLUMNS = ("address", "name", "profile", "key", "days", "pair", "csr")
GROUP = 50  # rows recorded by one commit
MAX_ROWS = 1_000_000  # as many mailboxes as the ledger is made for
MAX_CSR_OCTETS = 1_048_576  # the request's own limit is below
MAX_STEM = 150  # characters of a file's name; 255 octets are what file systems take
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": None}
_SIGNS = 0b11  # digitalSignature and contentCommitment
_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789@._+-"
_RUN = "import.json"
_PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for a row that does not say otherwise."""

    profile: str = "mailbox"
    algorithm: str = "rsa3072"
    lifetime_days: int | None = None
    pair: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file: whom to certify, or why that cannot be."""

    number: int
    """The line, as an editor counts them."""
    addresses: tuple[str, ...] = ()
    name: str = ""
    profile: str = ""
    algorithm: str = ""
    lifetime_days: int | None = None
    pair: bool | None = None
    csr: str = ""
    subject: dict[str, str] = field(default_factory=dict)
    refused: smime.SmimeError | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a row."""

    row: Row
    path: str = ""
    """The file made: a .p12, or a .pem where the key is the owner's."""
    again: bool = False
    """It was made by an earlier run."""
    refused: smime.SmimeError | None = None


def read_rows(file: TextIO, defaults: Defaults) -> Iterator[Row]:
    """Read the rows one by one; what is wrong with one is in it.

    Columns are separated by commas or, if there is none in the first line, semicolons.
    Raises ``RequestRefused`` for a first line that does not name the columns.
    """
    first = file.readline()
    comma = "," if "," in first or ";" not in first else ";"
    names = [name.strip().lower() for name in next(csv.reader([first], delimiter=comma), [])]
    known = {*COLUMNS, *ATTRIBUTES} - {"common_name"}
    wrong = [name for name in names if name not in known or names.count(name) > 1]
    if "address" not in names or wrong:
        what = f"the column {wrong[0]!a}" if wrong else "no column address"
        raise RequestRefused(
            f"the first line of the file has {what}",
            hint=f"it names the columns, of {', '.join(sorted(known))}",
        )
    reader = csv.reader(file, delimiter=comma, strict=True)
    for count in range(MAX_ROWS + 1):
        number = reader.line_num + 2
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(number, refused=RequestRefused(f"the line is no CSV: {error}"))
            continue
        if not any(cells):
            continue
        if count == MAX_ROWS:
            raise smime.LimitExceeded(f"more than {MAX_ROWS} rows in one file")
        yield _row(number, names, cells, defaults)


def _row(number: int, names: Sequence[str], cells: Sequence[str], defaults: Defaults) -> Row:
    if len(cells) != len(names):
        refused = RequestRefused(f"the row has {len(cells)} columns, not {len(names)}")
        return Row(number, refused=refused)
    given = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
    addresses = tuple(given["address"].split())
    problem = ""
    if not addresses:
        problem = "no mail address"
    pair = given.get("pair", "").lower()
    if pair not in _YES:
        problem = f"pair is yes or no, not {pair!a}"
    days = given.get("days", "")
    if days and not (days.isascii() and days.isdigit() and len(days) < 6):
        problem = f"days is a number, not {days!a}"
    algorithm = given.get("key", "") or defaults.algorithm
    if algorithm not in keys.PAIRS:
        problem = f"key is one of {', '.join(keys.PAIRS)}, not {algorithm!a}"
    return Row(
        number,
        addresses,
        given.get("name", ""),
        given.get("profile", "") or defaults.profile,
        algorithm,
        int(days) if days and not problem else defaults.lifetime_days,
        defaults.pair if _YES.get(pair) is None else _YES[pair],
        given.get("csr", ""),
        {name: given[name] for name in ATTRIBUTES if given.get(name)},
        RequestRefused(problem) if problem else None,
    )


@dataclass(slots=True)
class _Job:
    """A row on its way."""

    row: Row
    stem: str
    label: str
    passphrase: str = field(default="", repr=False)
    private: list[keys.AnyKey] = field(default_factory=list, repr=False)
    orders: list[Order] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    result: Result | None = None


class Import:
    """One run over a file, into one folder. The same folder again goes on where it ended.

    ``passphrases`` is a file of its own, readable by its owner alone: with it and the
    folder somebody has all keys, so keep the two apart.
    """

    def __init__(
        self,
        ca: Registrar,
        folder: PathLike[str] | str,
        passphrases: PathLike[str] | str,
        *,
        base: PathLike[str] | str = ".",
        compat: str = "modern",
        keep: bool | None = None,
    ) -> None:
        self._ca = ca
        self._folder = os.fspath(folder)
        self._base = os.fspath(base)
        """Where the ``csr`` files are looked for."""
        self._compat = compat
        self._keep = keep is not False and archive.agents(ca.ledger) is not None
        if keep and not self._keep:
            raise RequestRefused(
                "there are no recovery agents to keep keys for",
                hint="`smimetool ca escrow agents` names them",
            )
        self._run = _begin(self._folder)
        self._passphrases = os.fspath(passphrases)
        self._known = _read_passphrases(self._passphrases)
        self._seen: dict[str, int] = {}
        self._probes: dict[str, keys.PublicKey] = {}

    def run(self, rows: Iterable[Row]) -> Iterator[Result]:
        """Work through the rows; a result comes when its files are on the disk.

        Raises ``LedgerProblem``, ``OSError``: then start again with the same folder.
        """
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            batch: list[Row] = []
            for row in rows:
                batch.append(row)
                if len(batch) == GROUP:
                    yield from self._group(batch, pool)
                    batch = []
            yield from self._group(batch, pool)

    def _group(self, rows: list[Row], pool: ThreadPoolExecutor) -> list[Result]:
        jobs = [self._begun(row) for row in rows]
        due = [job for job in jobs if job.result is None]
        own = [job for job in due if not job.row.csr]
        list(pool.map(self._try, own))
        self._hand_out_passphrases([job for job in own if job.result is None])
        due = [job for job in due if job.result is None]
        list(pool.map(self._prepare, due))
        due = [job for job in due if job.result is None]
        self._certify(due)
        list(pool.map(self._deliver, [job for job in due if job.result is None]))
        return [job.result or Result(job.row) for job in jobs]

    def _begun(self, row: Row) -> _Job:
        key = " ".join(row.addresses).lower()
        stem = _stem(key, row.addresses)
        job = _Job(row, stem, f"csv {self._run} {key}")
        path = self._path(job, ".pem" if row.csr else ".p12")
        before = self._seen.get(key)
        if row.refused is not None:
            job.result = Result(row, refused=row.refused)
        elif before is not None:
            refused = RequestRefused(f"these addresses are in line {before} already")
            job.result = Result(row, refused=refused)
        elif os.path.exists(path):
            self._drop_pending(job)  # the run before may have been cut off just before that
            job.result = Result(row, path, again=True)
        if row.refused is None:
            self._seen.setdefault(key, row.number)
        return job

    def _path(self, job: _Job, ending: str) -> str:
        return os.path.join(self._folder, job.stem + ending)

    def _try(self, job: _Job) -> None:
        """Sign what is asked for over other keys, for nothing: is it refused, none is made."""
        row, desk = job.row, self._ca.issuance
        try:
            for half, kind in halves(desk.profile(row.profile), row.algorithm, row.pair):
                probe = self._probes.get(kind)
                if probe is None:
                    probe = self._probes[kind] = keys.generate(kind).public_key()
                request = CertificationRequest(probe, row.addresses, row.name, **row.subject)
                chosen = half
                if row.lifetime_days is not None:
                    chosen = half.lasting(row.lifetime_days)
                name = desk.profile_name(row.profile, half)
                desk.sign(Order(request, chosen), moment(None), name)
        except (smime.SmimeError, ValueError) as error:
            job.result = Result(row, refused=_refusal(error))

    def _hand_out_passphrases(self, jobs: list[_Job]) -> None:
        """Give each its passphrase; it is on the disk before any key that it locks."""
        new = []
        for job in jobs:
            found = self._known.get(job.stem)
            if found is None:
                found = self._known[job.stem] = new_passphrase()
                new.append((f"{job.stem}.p12", " ".join(job.row.addresses), found))
            job.passphrase = found
        if new:
            with open(self._passphrases, "a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(new)
                file.flush()
                os.fsync(file.fileno())

    def _prepare(self, job: _Job) -> None:
        """Make or find the keys of a row, and order their certificates."""
        row, desk = job.row, self._ca.issuance
        try:
            if row.csr:
                self._prepare_csr(job)
                return
            parts = halves(desk.profile(row.profile), row.algorithm, row.pair)
            job.private = self._pending(job, [kind for _, kind in parts])
            for place, ((half, _), key) in enumerate(zip(parts, job.private, strict=True)):
                request = CertificationRequest(
                    key.public_key(), row.addresses, row.name, **row.subject
                )
                name = desk.profile_name(row.profile, half)
                label = f"{job.label} reading" if place else job.label
                kept = key if self._keep and _only_reads(half, key) else None
                job.orders.append(
                    Order(request, name, label, lifetime_days=row.lifetime_days, kept=kept)
                )
        except (smime.SmimeError, ValueError) as error:
            job.result = Result(row, refused=_refusal(error))

    def _prepare_csr(self, job: _Job) -> None:
        row, desk = job.row, self._ca.issuance
        try:
            with open(os.path.join(self._base, row.csr), "rb") as file:
                data = file.read(MAX_CSR_OCTETS)
        except (OSError, ValueError) as error:
            what = getattr(error, "strerror", None) or "no name of a file"
            raise RequestRefused(f"{row.csr!a} cannot be read: {what}") from error
        request = CertificationRequest.parse(data, find=vouching.finder(desk))
        check_wishes(data, row.addresses)
        authorised = request.authorise(*row.addresses, name=row.name, **row.subject)
        vouching.check(desk, authorised, at=moment(None))
        job.orders.append(
            Order(authorised, row.profile, job.label, lifetime_days=row.lifetime_days)
        )

    def _pending(self, job: _Job, kinds: list[str]) -> list[keys.AnyKey]:
        """Give the keys of a row: those of the run before that was cut off, or new ones."""
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            PrivateFormat,
            load_pem_private_key,
        )

        secret = job.passphrase.encode()  # 130 bits: no number of rounds needs to protect it
        found: list[Any] = []
        for place, kind in enumerate(kinds):
            path = self._pending_path(job, place)
            if os.path.exists(path):
                with open(path, "rb") as file:
                    found.append(load_pem_private_key(file.read(), secret))
                continue
            key = keys.generate(kind)
            locked = key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret)
            )
            write_over(path, locked, mode=0o600)
            found.append(key)
        return found

    def _certify(self, jobs: list[_Job]) -> None:
        """Have all that is ordered certified and recorded by one commit."""
        owners = [job for job in jobs for _ in job.orders]
        orders = [order for job in jobs for order in job.orders]
        if not orders:
            return
        made = self._ca.certify_many(orders, group=len(orders))
        for job, outcome in zip(owners, made, strict=True):
            job.outcomes.append(outcome)
        for job in jobs:
            refused = [one.refused for one in job.outcomes if one.refused is not None]
            if refused:
                job.result = Result(job.row, refused=refused[0])

    def _deliver(self, job: _Job) -> None:
        """Write the files of a row, the one that says that all is done last."""
        certificates: list[x509.Certificate] = []
        for order, outcome in zip(job.orders, job.outcomes, strict=True):
            assert outcome.certificate is not None
            if outcome.certificate.public_key() != order.request.public_key:
                refused = RequestRefused(
                    "it was made by an earlier run, and its key is not in this folder any more",
                    hint="`smimetool ca rekey` makes a new one",
                )
                job.result = Result(job.row, refused=refused)
                return
            certificates.append(outcome.certificate)
        chain = self._ca.chain
        pem = self._path(job, ".pem")
        write_over(pem, to_pem(*certificates, *chain), mode=0o644)
        if job.row.csr:
            job.result = Result(job.row, pem)
            return
        identity = identity_of(zip(job.private, certificates, strict=True), chain)
        path = self._path(job, ".p12")
        write_over(path, identity.to_p12(job.passphrase, compat=self._compat), mode=0o600)
        self._drop_pending(job)
        job.result = Result(job.row, path)

    def _drop_pending(self, job: _Job) -> None:
        """Remove the keys of a row whose PKCS#12 file is there."""
        unlink_all(self._pending_path(job, place) for place in range(2))

    def _pending_path(self, job: _Job, place: int) -> str:
        return os.path.join(self._folder, _PENDING, f"{job.stem}-{place}.pem")


def _only_reads(profile: Profile, key: keys.AnyKey) -> bool:
    bits = profile.usage_bits(keys.family(keys.check(key.public_key()))) or 0
    return profile.reads and not bits & _SIGNS


def _refusal(error: Exception) -> smime.SmimeError:
    return error if isinstance(error, smime.SmimeError) else RequestRefused(str(error))


def _stem(key: str, addresses: Sequence[str]) -> str:
    """Name a row's files by its first address, the same in every run, whatever is in it."""
    if not addresses:
        return ""
    letters = addresses[0].lower()
    plain = "".join(one if one in _PLAIN else "_" for one in letters)
    plain = plain.lstrip(".")[:MAX_STEM]
    if plain == key:
        return plain
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain}-{digest[:12]}"


def _begin(folder: str) -> str:
    """Make the folder, or find the run that was begun in it; give its name."""
    path = os.path.join(folder, _RUN)
    if os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as file:
                name = json.load(file)["run"]
            if not isinstance(name, str):
                raise ValueError("no name")
        except (ValueError, KeyError, TypeError) as error:
            raise RequestRefused(
                f"{path} is not as it was written", hint="begin again in a new folder"
            ) from error
        return name
    if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise FileExistsError(errno.EEXIST, "neither empty nor the folder of a run before", folder)
    os.makedirs(os.path.join(folder, _PENDING), mode=0o700, exist_ok=True)
    name = os.urandom(8).hex()
    write_over(path, json.dumps({"run": name}).encode(), mode=0o600)
    return name


def _read_passphrases(path: str) -> dict[str, str]:
    """Read those that an earlier run gave, or make the file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with os.fdopen(os.open(path, flags, 0o600), "ab") as made:
        made.flush()
    if os.name == "posix" and os.stat(path).st_mode & 0o077:
        raise PermissionError(errno.EPERM, "others can read this file", path)
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read()
    if lines and not lines.endswith("\n"):
        # Cut off while it was written: no key was locked with that one yet.
        lines = lines[: lines.rfind("\n") + 1]
        with open(path, "r+b") as file_:
            file_.truncate(len(lines.encode()))
    found = {}
    for cells in csv.reader(lines.splitlines()):
        if len(cells) != 3 or not cells[0].endswith(".p12"):
            raise RequestRefused(f"{path} is no file of passphrases", hint="name a new file")
        found[cells[0].removesuffix(".p12")] = cells[2]
    return found
