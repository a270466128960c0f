"""What gpg is told to make a key of.

Floor:  pgp (uses keys)
Source: GnuPG's manual, "Unattended key generation"
"""

from __future__ import annotations

from smime.keys.address import split_address

__all__ = ["parameters", "suite", "user_id"]

MAX_NAME = 200  # octets of a name before the address; people's have some dozens
_KINDS = {
    "ed25519": ("EDDSA", "Key-Curve: ed25519", "ECDH", "Subkey-Curve: cv25519"),
    "rsa3072": ("RSA", "Key-Length: 3072", "RSA", "Subkey-Length: 3072"),
}


def parameters(
    address: str, name: str, algorithm: str, lifetime_days: int | None, *, locked: bool
) -> bytes:
    """Return what ``gpg --generate-key`` reads; ``ValueError`` for what is no address or name."""
    user_id(address, name)
    if algorithm not in _KINDS:
        raise ValueError(f"algorithm={algorithm!r}: choose one of {', '.join(_KINDS)}")
    if lifetime_days is not None and lifetime_days < 1:
        raise ValueError("a key lives for a day at least")
    kind, size, subkind, subsize = _KINDS[algorithm]
    lines = [
        *(f"Key-Type: {kind}", size, "Key-Usage: sign,cert"),
        *(f"Subkey-Type: {subkind}", subsize, "Subkey-Usage: encrypt"),
        *([f"Name-Real: {name}"] if name else []),
        f"Name-Email: {address}",
        f"Expire-Date: {f'{lifetime_days}d' if lifetime_days else '0'}",
        *(["%no-protection"] if not locked else []),
        "%commit\n",
    ]
    return "\n".join(lines).encode()


def suite(algorithm: str, version: int, lifetime_days: int | None) -> str:
    """Return what Sequoia calls the algorithms. Raises ``ValueError`` for what there is not."""
    names = {"ed25519": "Cv25519", "rsa3072": "RSA3k"}
    if version == 6:
        names["ml-dsa-65"] = "MLDSA65_Ed25519"
    elif version != 4:
        raise ValueError(f"version={version!r}: OpenPGP keys are of version 4 or 6")
    if algorithm not in names:
        raise ValueError(f"algorithm={algorithm!r}: choose one of {', '.join(names)}")
    if lifetime_days is not None and lifetime_days < 1:
        raise ValueError("a key lives for a day at least")
    return names[algorithm]


def user_id(address: str, name: str) -> str:
    """Return the user ID with this address. Raises ``ValueError`` for what is none, or no name."""
    if split_address(address) is None or "<" in address or ">" in address:
        raise ValueError(f"{address!r} is no mail address")
    if not name.isprintable() or len(name.encode()) > MAX_NAME or set(name) & set("<>@()"):
        raise ValueError("a name is printable, short, and holds none of <>@()")
    return f"{name} <{address}>" if name else address
