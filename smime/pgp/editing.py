"""Changes to one's own keys: passphrase, dates, names, subkeys, and the end.

Each is a run of gpg that is told all of its answers beforehand; afterwards the
key is read again, and only what it then says counts.

Floor:  pgp (uses errors, policy, gnupg, listing)
Source: GnuPG's manual, "How to manage your keys"; RFC 9580 §5.2.3.31 for the reasons
        of a revocation
"""

from __future__ import annotations

from datetime import timedelta

from smime.errors import KeyProblem
from smime.policy import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.pgp.gnupg import GnuPG
    from smime.pgp.listing import KeyFacts

__all__ = [
    "REASONS",
    "add_subkey",
    "add_user_id",
    "change_passphrase",
    "generate_named",
    "opens",
    "revocation",
    "revoke_subkey",
    "revoke_user_id",
    "set_expiry",
]

REASONS = {"none": 0, "stolen": 1, "superseded": 2, "retired": 3}
"""As gpg asks for them: what is superseded or retired was good before."""

_SUBKEYS = {
    ("ed25519", "sign"): "ed25519",
    ("ed25519", "encrypt"): "cv25519",
    ("rsa3072", "sign"): "rsa3072",
    ("rsa3072", "encrypt"): "rsa3072",
}
_USES = {"sign": "sign", "encrypt": "encr"}


def generate_named(engine: GnuPG, user_id: str, passphrase: bytes | None) -> str:
    """Make a key without end with any user ID; return its fingerprint. Raises ``KeyProblem``."""
    run = engine.run(
        *("--quick-generate-key", user_id, "future-default", "default", "never"),
        passphrase=passphrase,
        answers=[] if passphrase else [b""] * 4,
    )
    made = [rest.split() for rest in run.status.all("KEY_CREATED")]
    if run.exit_status != 0 or len(made) != 1 or len(made[0]) < 2:
        raise KeyProblem("gpg made no key")
    return made[0][1].lower()


def opens(engine: GnuPG, key: KeyFacts, passphrase: bytes | None) -> bool:
    """Whether this passphrase, or none, opens all secret halves of the key that are here."""
    run = engine.run("--export-secret-keys", _name(key), passphrase=passphrase)
    return run.exit_status == 0 and bool(run.output)


def change_passphrase(engine: GnuPG, key: KeyFacts, old: bytes | None, new: bytes | None) -> None:
    """Lock the secret halves with ``new``, or with nothing. Raises ``KeyProblem``."""
    locked = not opens(engine, key, None)
    if locked and not opens(engine, key, old):
        raise KeyProblem("the OpenPGP key is locked, and its passphrase is missing or wrong")
    # gpg asks for the old one if there is one, and for the new one up to once for each part.
    answers = [*([old or b""] if locked else []), *[new or b""] * (2 * len(key.keys) + 1)]
    engine.run("--passwd", _name(key), answers=answers)
    if not opens(engine, key, new):
        raise KeyProblem("gpg did not change the passphrase of the OpenPGP key")


def set_expiry(
    engine: GnuPG, key: KeyFacts, lifetime_days: int | None, passphrase: bytes | None
) -> None:
    """Let the key and its subkeys be valid so many days from now, or without end."""
    # One moment for all parts, though each is a run of its own.
    end = moment(None) + timedelta(days=lifetime_days) if lifetime_days else None
    until = f"{end:%Y%m%dT%H%M%S}" if end else "0"
    runs: list[tuple[str, ...]] = [("--quick-set-expire", _name(key), until)]
    if len(key.keys) > 1:
        runs.append(("--quick-set-expire", _name(key), until, "*"))
    for arguments in runs:
        if engine.run(*arguments, passphrase=passphrase).exit_status != 0:
            raise _refused("change until when it is valid")


def add_user_id(engine: GnuPG, key: KeyFacts, user_id: str, passphrase: bytes | None) -> None:
    """Let the key name another address. Raises ``KeyProblem``."""
    run = engine.run("--quick-add-uid", _name(key), user_id, passphrase=passphrase)
    if run.exit_status != 0:
        raise _refused("take another user ID")


def revoke_user_id(engine: GnuPG, key: KeyFacts, user_id: str, passphrase: bytes | None) -> None:
    """Take back a user ID, as it is spelled. Raises ``KeyProblem``."""
    run = engine.run("--quick-revoke-uid", _name(key), user_id, passphrase=passphrase)
    if run.exit_status != 0:
        raise _refused("take a user ID back")


def add_subkey(
    engine: GnuPG,
    key: KeyFacts,
    use: str,
    algorithm: str,
    lifetime_days: int | None,
    passphrase: bytes | None,
) -> None:
    """Make another subkey. Raises ``KeyProblem``, and ``ValueError`` for what there is not."""
    kind = _SUBKEYS.get((algorithm, use))
    if kind is None:
        raise ValueError("a subkey is for use='sign' or 'encrypt', by 'ed25519' or 'rsa3072'")
    until = f"{lifetime_days}d" if lifetime_days else "0"
    run = engine.run(
        *("--quick-add-key", _name(key), kind, _USES[use], until),
        passphrase=passphrase,
        # gpg asks for the new part's passphrase, perhaps twice: the key has none, so it has none.
        answers=[] if passphrase else [b""] * 4,
    )
    if run.exit_status != 0:
        raise _refused("make another subkey")


def revocation(engine: GnuPG, key: KeyFacts, reason: str, passphrase: bytes | None) -> bytes:
    """Return what revokes the key, as armour. Raises ``KeyProblem``."""
    answers = [b"y", b"%d" % _number(reason), b"", b"y"]
    run = engine.run(
        *("--armor", "--output", "-", "--gen-revoke", _name(key)),
        passphrase=passphrase,
        answers=answers,
    )
    if run.exit_status != 0 or not run.output:
        raise _refused("say that it is revoked")
    return run.output


def revoke_subkey(
    engine: GnuPG, key: KeyFacts, number: int, reason: str, passphrase: bytes | None
) -> None:
    """Revoke the subkey of that number, counted from 1. Raises ``KeyProblem``."""
    answers = [b"key %d" % number, b"revkey", b"y", b"%d" % _number(reason), b"", b"y", b"save"]
    run = engine.run("--edit-key", _name(key), passphrase=passphrase, answers=answers)
    if run.exit_status != 0:
        raise _refused("revoke a subkey")


def _number(reason: str) -> int:
    if reason not in REASONS:
        raise ValueError(f"reason={reason!r}: choose one of {', '.join(REASONS)}")
    return REASONS[reason]


def _name(key: KeyFacts) -> str:
    return key.fingerprint.upper()


def _refused(what: str) -> KeyProblem:
    return KeyProblem(
        f"gpg did not let the OpenPGP key {what}",
        hint="its secret primary key must be in the keyring, and open",
    )
