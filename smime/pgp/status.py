"""What gpg said on its status pipe, and the only verdict that is drawn from it.

gpg's exit status, its messages and its output say less than they seem to: it
ends with 0 for signatures of revoked keys, and it hands out plaintext before
it looked at the end. So a verdict needs all of it: exit status 0, the lines
that must be there, exactly as often as they must, and none of those that must
not be there.

Floor:  pgp (uses errors)
Source: GnuPG's doc/DETAILS, "Format of the --status-fd output"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from smime.errors import DecryptionFailed, KeyProblem, NotSupported
from smime.pgp.backend import DIGESTS, STRONG_DIGESTS, SignatureFacts

__all__ = ["Status", "checked", "moment_of", "opened", "read", "sealed", "signed"]

MAX_STATUS = 1 << 20  # octets; a mail for 10,000 readers has some hundred thousand
FAILED = "the content could not be opened with this key"

_LINE = re.compile(r"\[GNUPG:\] ([A-Z][A-Z0-9_]*)(?: (.*))?")
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_KEY = re.compile(r"[0-9A-F]{16}|[0-9A-F]{40}|[0-9A-F]{64}")
_HOLDING = frozenset({"GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"})
_VERDICTS = _HOLDING | {"BADSIG", "ERRSIG"}
_OF_A_SIGNATURE = _VERDICTS | {"VALIDSIG", "SIG_ID", "NO_PUBKEY"}
# gpg's error codes, the low 16 bits of what ERROR and FAILURE carry (libgpg-error).
_BAD_PASSPHRASE, _NO_PASSPHRASE, _CANCELED = 11, 177, 99
_CIPHERS = {
    1: "IDEA", 2: "3DES", 3: "CAST5", 4: "Blowfish", 7: "AES-128", 8: "AES-192", 9: "AES-256",
    10: "Twofish", 11: "Camellia-128", 12: "Camellia-192", 13: "Camellia-256",
}  # fmt: skip
_AEAD = {1: "EAX", 2: "OCB"}
_STRONG_CIPHERS = frozenset({7, 8, 9})


@dataclass(frozen=True, slots=True)
class Status:
    """The lines of one run, in their order: keyword and what follows it."""

    lines: tuple[tuple[str, str], ...]
    odd: bool = False
    """Something is there that gpg does not write: nothing here can be believed."""

    def all(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.lines if word == keyword]

    def count(self, *keywords: str) -> int:
        return sum(word in keywords for word, _ in self.lines)

    @property
    def blocks(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """The lines after each NEWSIG, up to the next."""
        found: list[list[tuple[str, str]]] = []
        for line in self.lines:
            if line[0] == "NEWSIG":
                found.append([])
            elif found:
                found[-1].append(line)
        return tuple(map(tuple, found))

    @property
    def signatures(self) -> tuple[SignatureFacts, ...]:
        """One answer per NEWSIG; none of them holds in an odd stream."""
        first = next((n for n, (word, _) in enumerate(self.lines) if word == "NEWSIG"), None)
        before = self.lines if first is None else self.lines[:first]
        odd = self.odd or any(word in _OF_A_SIGNATURE for word, _ in before)
        return tuple(_facts(block, odd) for block in self.blocks)

    @property
    def codes(self) -> set[int]:
        """The error codes that were said, without the part that made them."""
        found = set()
        for word, rest in self.lines:
            parts = rest.split()
            if word in ("ERROR", "FAILURE") and len(parts) > 1:
                number = parts[1].partition("_")[0]
                if number.isascii() and number.isdigit() and len(number) < 12:
                    found.add(int(number) & 0xFFFF)
        return found


def read(data: bytes) -> Status:
    r"""Read a status stream. Never raises; what is no status line makes it odd.

    >>> read(b"[GNUPG:] NEWSIG\n").lines
    (('NEWSIG', ''),)
    >>> read(b"gpg: all is well\n").odd
    True
    """
    odd = len(data) > MAX_STATUS or (bool(data) and not data.endswith(b"\n"))
    lines: list[tuple[str, str]] = []
    for raw in data[:MAX_STATUS].split(b"\n")[:-1]:
        match = _LINE.fullmatch(raw.decode("utf-8", "replace").removesuffix("\r"))
        if match is None:
            odd = True
        else:
            lines.append((match[1], match[2] or ""))
    return Status(tuple(lines), odd)


def moment_of(text: str) -> datetime | None:
    """Read a time as gpg writes it: seconds since 1970, or 20261124T062803; None if there is none.

    >>> moment_of("1795501683")
    datetime.datetime(2026, 11, 24, 6, 28, 3, tzinfo=datetime.timezone.utc)
    """
    try:
        if re.fullmatch(r"[0-9]{1,11}", text):
            seconds = int(text)
            return datetime.fromtimestamp(seconds, UTC) if seconds else None
        if re.fullmatch(r"[0-9]{8}T[0-9]{6}", text):
            return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _facts(block: tuple[tuple[str, str], ...], odd: bool) -> SignatureFacts:
    verdicts = [(word, rest.split()) for word, rest in block if word in _VERDICTS]
    if odd or len(verdicts) != 1 or not verdicts[0][1]:
        return SignatureFacts("broken", reason="the signature cannot be read")
    word, parts = verdicts[0]
    key = parts[0].lower() if _KEY.fullmatch(parts[0]) else ""
    if word == "ERRSIG":
        return _not_checked(parts, key)
    if word == "BADSIG":
        text = "the content was changed after signing, or the signature is not by this key"
        return SignatureFacts("bad", key=key, reason=text)
    valid = [rest.split() for each, rest in block if each == "VALIDSIG"]
    good = _valid(valid[0]) if len(valid) == 1 else None
    if good is None or not key or not good.key.endswith(key):
        return SignatureFacts("broken", key=key, reason="gpg's answer does not fit together")
    return good


def _valid(parts: list[str]) -> SignatureFacts | None:
    """Read VALIDSIG: key, date, time, expiry, version, 0, algorithm, digest, class, primary."""
    if len(parts) != 10:
        return None
    key, _, made, ends, _, _, _, digest, kind, primary = parts
    created = moment_of(made)
    expires = moment_of(ends)
    if not (_FINGERPRINT.fullmatch(key) and _FINGERPRINT.fullmatch(primary)) or created is None:
        return None
    if expires is None and ends != "0":
        return None
    # 00 is over octets, 01 over text; all others are over keys (RFC 9580 §5.2.1).
    if kind not in ("00", "01") or not re.fullmatch(r"[0-9]{1,3}", digest):
        return None
    return SignatureFacts(
        "holds",
        key=key.lower(),
        primary=primary.lower(),
        created=created,
        expires=expires,
        digest=DIGESTS.get(int(digest), f"digest {digest}"),
        text=kind == "01",
    )


def _not_checked(parts: list[str], key: str) -> SignatureFacts:
    """Read ERRSIG: key id, algorithm, digest, class, time, code, fingerprint."""
    if len(parts) < 6:
        return SignatureFacts("broken", key=key, reason="the signature cannot be read")
    code = parts[5]
    known = re.fullmatch(r"[0-9]{1,3}", parts[2])
    digest = DIGESTS.get(int(parts[2]), "") if known else ""
    if len(parts) > 6 and _FINGERPRINT.fullmatch(parts[6]):
        key = parts[6].lower()
    made = moment_of(parts[4])
    if code == "9":
        text = f"the key that made the signature, {key or 'not named'}, is not at hand"
        return SignatureFacts("no-key", key=key, created=made, digest=digest, reason=text)
    if code in ("4", "5"):  # unknown algorithms of key or digest
        text = "the signature uses an algorithm that gpg does not know or refuses"
        return SignatureFacts("unsupported", key=key, created=made, digest=digest, reason=text)
    text = f"gpg could not check the signature (code {code[:8]})"
    return SignatureFacts("broken", key=key, created=made, digest=digest, reason=text)


def checked(status: Status, exit_status: int) -> SignatureFacts:
    """Return what a run said that checked one signature."""
    found = status.signatures
    if len(found) != 1:
        return SignatureFacts("broken", reason="the signature cannot be read")
    (one,) = found
    if one.state == "holds" and (exit_status != 0 or status.count("FAILURE", "ERROR", "NODATA")):
        return SignatureFacts("broken", key=one.key, reason="gpg found fault with the signature")
    return one


def opened(status: Status, exit_status: int, *, aead: bool = False) -> tuple[str, str]:
    """Return who opened and which cipher, if a run opened one message that is whole and unchanged.

    The first is the fingerprint of the primary key, empty for a passphrase. ``aead``
    says that what was handed over is of that kind, of which gpg 2.2 says no more.
    Raises ``DecryptionFailed``, or ``KeyProblem`` for a locked key, or
    ``NotSupported`` for what gpg does not know.
    """
    if not status.count("BEGIN_DECRYPTION", "DECRYPTION_KEY"):
        _refuse_locked(status)
    info = status.all("DECRYPTION_INFO")
    once = ("BEGIN_DECRYPTION", "DECRYPTION_INFO", "DECRYPTION_OKAY", "END_DECRYPTION")
    parts = info[0].split() if info else []
    numbers = [int(one) for one in parts[:3] if one.isascii() and one.isdigit()]
    mdc, cipher, mode = (*numbers, 0, 0, 0)[:3]
    whole = (
        not status.odd
        and exit_status == 0
        and len(numbers) > 1
        and all(status.count(one) == 1 for one in once)
        and not status.count("BADMDC", "DECRYPTION_FAILED", "FAILURE", "NODATA", "UNEXPECTED")
        and (mode in _AEAD or status.count("GOODMDC") == 1)
        and (mode in _AEAD or mode == 0 == mdc if aead else mode == 0 and mdc == 2)
    )
    if not whole:
        if status.codes & {_BAD_PASSPHRASE, _NO_PASSPHRASE} and not status.count("DECRYPTION_KEY"):
            _refuse_locked(status)
        raise DecryptionFailed(FAILED)
    keys = status.all("DECRYPTION_KEY")
    fingerprints = keys[0].split() if len(keys) == 1 else []
    primary = fingerprints[1] if len(fingerprints) > 1 else ""
    if keys and not _FINGERPRINT.fullmatch(primary):
        raise DecryptionFailed(FAILED)
    kind = _AEAD.get(mode, "AEAD") if aead else "MDC"
    return primary.lower(), f"{_CIPHERS.get(cipher, f'cipher {cipher}')} ({kind})"


def _refuse_locked(status: Status) -> None:
    locked = status.count("NEED_PASSPHRASE", "MISSING_PASSPHRASE", "BAD_PASSPHRASE")
    if locked or status.codes & {_BAD_PASSPHRASE, _NO_PASSPHRASE, _CANCELED}:
        raise KeyProblem(
            "the OpenPGP key is locked, and its passphrase is missing or wrong",
            hint="give it to the keyring: smime.PgpKeyring(data, passphrase=...)",
        )


def signed(status: Status, exit_status: int) -> tuple[str, str]:
    """Return digest and key of the one signature that a run made.

    Raises ``KeyProblem`` if none was made, or one that is weak.
    """
    made = [rest.split() for rest in status.all("SIG_CREATED")]
    if exit_status != 0 or status.odd or len(made) != 1 or len(made[0]) != 6:
        _refuse_locked(status)
        if status.count("INV_SGNR", "KEYEXPIRED", "KEYREVOKED"):
            raise KeyProblem("the OpenPGP key is expired, revoked or not meant for signatures")
        raise KeyProblem(
            "gpg made no signature with the OpenPGP key",
            hint="its secret half must be in the keyring, and valid: smimetool pgp list",
        )
    _, _, digest, _, _, key = made[0]
    name = DIGESTS.get(int(digest) if digest.isdigit() and digest.isascii() else 0, "")
    if name not in STRONG_DIGESTS or not _FINGERPRINT.fullmatch(key):
        raise KeyProblem("the OpenPGP key signs with a weak digest only, and is not used")
    return name, key.lower()


def sealed(status: Status, exit_status: int) -> str:
    """Return the content cipher of the one message that a run encrypted.

    Raises ``KeyProblem`` if a key must not be written to.
    """
    refused = [rest.split() for rest in status.all("INV_RECP")]
    if refused:
        named = ", ".join(parts[-1].lower() for parts in refused if parts)
        raise KeyProblem(f"no mail can be written to the OpenPGP key {named}")
    begun = [rest.split() for rest in status.all("BEGIN_ENCRYPTION")]
    numbers = [int(one) for parts in begun for one in parts if one.isascii() and one.isdigit()]
    whole = (
        exit_status == 0 and not status.odd and len(begun) == status.count("END_ENCRYPTION") == 1
    )
    if not whole or len(numbers) < 2:
        _refuse_locked(status)
        raise KeyProblem("gpg did not encrypt to these OpenPGP keys")
    if numbers[0] != 2 or numbers[1] not in _STRONG_CIPHERS:
        raise NotSupported("gpg would have encrypted without protection against change")
    return _CIPHERS[numbers[1]]
