"""What the actions of ``smimetool pgp`` share: whose key is meant, and how a key is told.

Floor:  cli
"""

from __future__ import annotations

from dataclasses import dataclass

import smime
from smime.cli.passphrase import Passphrases

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from typing import Any

    from smime.cli.files import Files
    from smime.cli.options import Parser
    from smime.cli.passphrase import Ask

    Do = Callable[[argparse.Namespace, smime.PgpKeyring, Files], None]

__all__ = [
    "GIVE_OUT",
    "Action",
    "days",
    "given_passphrase",
    "own",
    "say_keys",
    "which",
]

GIVE_OUT = "note: give the key out again, so that others learn of it: smimetool pgp export"


@dataclass(frozen=True)
class Action:
    """One action: what does it, what it takes, and what its help says."""

    do: Do
    names: str
    """How its names are called: ``WHICH``, ``WHICH...``, ``WHICH ADDRESS`` or nothing."""
    about: str
    """One line."""
    example: str
    """What follows ``smimetool pgp`` in an example."""
    options: tuple[Callable[[Parser], None], ...] = ()
    makes_home: bool = False
    """A GnuPG home that is not there is made."""
    statuses: tuple[str, ...] = ("3", "4", "5")

    def takes(self, number: int) -> bool:
        """Say whether so many names are right."""
        words = self.names.split()
        return number >= 1 if self.names.endswith("...") else number == len(words)


def days(text: str) -> int:
    """Read a number of days; 0 is for ever."""
    import argparse

    if not text.isascii() or not text.isdigit() or int(text) > 36500:
        raise argparse.ArgumentTypeError(f"{text} is no number of days")
    return int(text)


def given_passphrase(args: argparse.Namespace) -> Ask | None:
    """Return what opens one's own key, if the options name it."""
    file, variable = getattr(args, "passphrase_file", None), getattr(args, "passphrase_env", None)
    if file is None and variable is None:
        return None
    return Passphrases(file=file, variable=variable).of("the OpenPGP key")


def which(ring: smime.PgpKeyring, name: str) -> smime.PgpKey:
    """Return the key that an address or a whole fingerprint names. Raises ``KeyProblem``."""
    return ring.find(name) if "@" in name else ring.key(name)


def own(ring: smime.PgpKeyring, key: smime.PgpKey) -> smime.PgpKey:
    """Return the key of one's own that vouches for ``key``: the newest that may sign.

    One that GnuPG knows for one's own comes before others, and where there is none,
    ``key`` itself, if its secret half is at hand.
    """
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    mine = [one for one in ring if one.is_secret and one.facts.signs_at(now)]
    known = [one for one in mine if any(name.vouched for name in one.facts.user_ids)]
    if not known and key.is_secret:
        return key
    if not mine:
        raise smime.KeyProblem(
            "there is no key of your own to vouch with",
            hint="make one: smimetool pgp keygen ADDRESS",
        )
    return max(known or mine, key=lambda one: one.created)


def say_keys(args: argparse.Namespace, keys: Iterable[smime.PgpKey], files: Files) -> None:
    """Say a line for each key, or with --json all of them with all that is known."""
    if args.json:
        import json

        files.say(json.dumps([_facts(one) for one in keys], ensure_ascii=False, indent=2))
        return
    for one in keys:
        half = "secret" if one.is_secret else "public"
        until = f"until {one.expires:%Y-%m-%d}" if one.expires else "without end"
        files.say(f"{one.fingerprint} {half} {until} {', '.join(one.user_ids)}")


def _facts(key: smime.PgpKey) -> dict[str, Any]:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    parts = [
        {
            "fingerprint": one.fingerprint,
            "algorithm": one.algorithm,
            "bits": one.bits,
            "use": sorted(one.capabilities),
            "created": _moment(one.created),
            "expires": _moment(one.ends),
            "secret": one.secret,
            "state": one.state_at(now),
        }
        for one in key.facts.keys
    ]
    names = [
        {
            "text": one.text,
            "address": one.address or None,
            "valid": one.valid_at(now),
            "vouched": one.vouched,
        }
        for one in key.facts.user_ids
    ]
    return {
        "fingerprint": key.fingerprint,
        "secret": key.is_secret,
        "created": _moment(key.created),
        "expires": _moment(key.expires),
        "addresses": list(key.addresses),
        "user_ids": names,
        "keys": parts,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
