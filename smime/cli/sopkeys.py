"""The keys of ``smimetool sop``: read, opened, made and changed in a private home.

Floor:  cli (uses sopio)
Source: draft-dkg-openpgp-stateless-cli
"""

from __future__ import annotations

from smime.cli.sopio import (
    BAD_DATA,
    INCOMPATIBLE_OPTIONS,
    KEY_CANNOT_SIGN,
    KEY_IS_PROTECTED,
    MISSING_ARGUMENT,
    UNSUPPORTED_OPTION,
    UNSUPPORTED_PROFILE,
    Call,
    Failure,
    output,
    password_of,
    passwords_of,
    read,
    standard_input,
)
from smime.errors import KeyProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import smime

__all__ = [
    "armoured",
    "change_key_password",
    "extract_cert",
    "generate_key",
    "is_beyond",
    "joined",
    "merge_certs",
    "passphrase_of",
    "revoke_key",
    "ring_of",
    "signers",
    "update_key",
]


def armoured(data: bytes, kind: str, call: Call) -> bytes:
    from smime.pgp.packets import dearmor, enarmor

    binary = data if data[:1] >= b"\x80" else dearmor(data)
    return enarmor(binary, kind) if call.armour else binary


def ring_of(*names: str, needed: bool = True) -> smime.PgpKeyring:
    """Return a keyring of the keys in these files."""
    import smime

    if needed and not names:
        raise Failure(MISSING_ARGUMENT, "a file of keys is missing")
    octets = [read(name) for name in names]
    try:
        return smime.PgpKeyring(*octets)
    except KeyProblem as problem:
        raise Failure(BAD_DATA, str(problem)) from None


def passphrase_of(
    ring: smime.PgpKeyring, key: smime.PgpKey, passwords: Iterable[bytes]
) -> tuple[bytes | None] | None:
    """Return the passphrase that opens a key's secret half, perhaps none; None if none does."""
    from smime.pgp.editing import opens

    if ring.sequoia is not None and is_beyond(ring, key):
        for one in (None, *passwords):
            if ring.sequoia.opens(key.fingerprint, one):
                return (one,)
        return None
    for one in (None, *passwords):
        if opens(ring.gnupg, key.facts, one):
            return (one,)
    return None


def is_beyond(ring: smime.PgpKeyring, key: smime.PgpKey) -> bool:
    """Say whether GnuPG does not know such keys, so that Sequoia keeps this one."""
    return ring.sequoia is not None and ring.sequoia.facts(key.fingerprint) is not None


def signers(ring: smime.PgpKeyring, call: Call) -> list[tuple[smime.PgpKey, bytes | None]]:
    from datetime import UTC, datetime

    passwords = [one for name in call.all("with-key-password") for one in passwords_of(name)]
    found = []
    for key in ring:
        try:
            key.check_signs(datetime.now(UTC))
        except KeyProblem as problem:
            raise Failure(KEY_CANNOT_SIGN, str(problem)) from None
        opened = passphrase_of(ring, key, passwords)
        if opened is None:
            raise Failure(KEY_IS_PROTECTED, f"{key.fingerprint} is locked")
        found.append((key, opened[0]))
    return found


def generate_key(call: Call) -> None:
    profile = call.one("profile", "default")
    if profile not in ("default", "compatibility", "rfc4880", "rfc9580"):
        raise Failure(UNSUPPORTED_PROFILE, f"there is no profile {profile}")
    passwords = [password_of(one) for one in call.all("with-key-password")]
    if len(passwords) > 1:
        raise Failure(INCOMPATIBLE_OPTIONS, "a key has one password")
    if not call.rest:
        raise Failure(MISSING_ARGUMENT, "a key names somebody: a user ID is missing")
    password = passwords[0] if passwords else None
    if profile == "rfc9580" and password is not None:
        raise Failure(UNSUPPORTED_OPTION, "a key of that profile has no password here")
    with ring_of(needed=False) as ring:
        if profile == "rfc9580":
            key = ring.make_named(call.rest[0], version=6)
        else:
            key = ring.make_named(call.rest[0], passphrase=password)
            for user_id in call.rest[1:]:
                key = ring.add_user_id(key, user_id)
        output(armoured(ring.export(key, secret=True), "PRIVATE KEY BLOCK", call))


def change_key_password(call: Call) -> None:
    olds = [one for name in call.all("old-key-password") for one in passwords_of(name)]
    news = [password_of(one) for one in call.all("new-key-password")]
    if len(news) > 1:
        raise Failure(INCOMPATIBLE_OPTIONS, "a key has one password")
    data = standard_input()
    with ring_of(needed=False) as ring:
        out = []
        for key in ring.add(data):
            opened = passphrase_of(ring, key, olds)
            if opened is None:
                raise Failure(KEY_IS_PROTECTED, f"{key.fingerprint} is locked")
            old = ring.key(key.fingerprint, passphrase=opened[0])
            out.append(
                ring.export(ring.change_passphrase(old, news[0] if news else None), secret=True)
            )
        output(armoured(joined(out), "PRIVATE KEY BLOCK", call))


def revoke_key(call: Call) -> None:
    data = standard_input()
    with ring_of(needed=False) as ring:
        ring.add(data)
        out = []
        for key, password in signers(ring, call):
            ring.revoke(ring.key(key.fingerprint, passphrase=password))
            out.append(ring.export(key))
        output(armoured(joined(out), "PUBLIC KEY BLOCK", call))


def extract_cert(call: Call) -> None:
    data = standard_input()
    with ring_of(needed=False) as ring:
        found = ring.add(data)
        output(armoured(joined([ring.export(one) for one in found]), "PUBLIC KEY BLOCK", call))


def merge_certs(call: Call) -> None:
    """Write the certificates of standard input, with what the others say of the same keys."""
    data = standard_input()
    with ring_of(needed=False) as ring:
        found = ring.add(data)
        _merge(ring, found, call.rest)
        output(armoured(joined([ring.export(one) for one in found]), "PUBLIC KEY BLOCK", call))


def update_key(call: Call) -> None:
    """Write the keys of standard input, with what other certificates say of them.

    Nothing else is old in a key that is read here: none gets another capability.
    """
    data = standard_input()
    with ring_of(needed=False) as ring:
        found = ring.add(data)
        if not all(one.is_secret for one in found):
            raise Failure(BAD_DATA, "that is no secret key")
        _merge(ring, found, call.all("merge-certs"))
        passwords = [one for name in call.all("with-key-password") for one in passwords_of(name)]
        out = []
        for one in found:
            opened = passphrase_of(ring, one, passwords)
            if opened is None:
                raise Failure(KEY_IS_PROTECTED, f"{one.fingerprint} is locked")
            out.append(ring.export(ring.key(one.fingerprint, passphrase=opened[0]), secret=True))
        output(armoured(joined(out), "PRIVATE KEY BLOCK", call))


def _merge(ring: smime.PgpKeyring, found: Sequence[smime.PgpKey], names: Sequence[str]) -> None:
    from smime.pgp.certs import read_certs
    from smime.pgp.packets import dearmor_keys

    wanted = {one.fingerprint for one in found}
    for name in names:
        data = read(name)
        octets = data if data[:1] >= b"\x80" else dearmor_keys(data)
        for key, facts in read_certs(octets):
            if facts.fingerprint in wanted:
                ring.add(key)


def joined(armours: Sequence[bytes]) -> bytes:
    from smime.pgp.packets import dearmor

    return b"".join(map(dearmor, armours))
