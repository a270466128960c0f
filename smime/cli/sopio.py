"""What a Stateless OpenPGP command reads and writes, and the statuses with which it ends.

Floor:  cli
Source: draft-dkg-openpgp-stateless-cli, "Failure Modes" and "Special Designators"
"""

from __future__ import annotations

import os
import re
import sys

from smime.source import read_at_most

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

# The specification's names (section "Failure Modes").
NO_SIGNATURE, UNSUPPORTED_ALGORITHM, CANNOT_ENCRYPT = 3, 13, 17
MISSING_ARGUMENT, INCOMPLETE_VERIFICATION, CANNOT_DECRYPT = 19, 23, 29
PASSWORD_NOT_READABLE, UNSUPPORTED_OPTION, BAD_DATA, EXPECTED_TEXT = 31, 37, 41, 53
OUTPUT_EXISTS, MISSING_INPUT, KEY_IS_PROTECTED, UNSUPPORTED_SUBCOMMAND = 59, 61, 67, 69
UNSUPPORTED_PREFIX, KEY_CANNOT_SIGN, INCOMPATIBLE_OPTIONS, UNSUPPORTED_PROFILE = 71, 79, 83, 89

MAX_INPUT = 1 << 30


class Failure(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Call:
    """The arguments of one call: options by name, each with its values, and the others."""

    def __init__(self, verb: str, argv: Sequence[str], known: str) -> None:
        flags = {one for one in known.split() if not one.endswith("=")}
        valued = {one[:-1] for one in known.split() if one.endswith("=")}
        self.options: dict[str, list[str]] = {}
        self.rest: list[str] = []
        words = list(argv)
        while words:
            word = words.pop(0)
            if word == "--":
                self.rest += words
                break
            if not word.startswith("--"):
                self.rest.append(word)
                continue
            name, sign, value = word[2:].partition("=")
            if name in flags and not sign:
                self.options.setdefault(name, []).append("")
            elif name in valued:
                if not sign:
                    if not words:
                        raise Failure(MISSING_ARGUMENT, f"{word} needs a value")
                    value = words.pop(0)
                self.options.setdefault(name, []).append(value)
            else:
                raise Failure(UNSUPPORTED_OPTION, f"{verb} has no option {word}")

    def has(self, name: str) -> bool:
        return name in self.options

    def all(self, name: str) -> list[str]:
        return self.options.get(name, [])

    def one(self, name: str, default: str = "") -> str:
        return self.options.get(name, [default])[-1]

    @property
    def armour(self) -> bool:
        return not self.has("no-armor")


def read(name: str) -> bytes:
    if name.startswith("@"):
        kind, colon, where = name[1:].partition(":")
        if kind == "ENV" and colon:
            if where not in os.environ:
                raise Failure(MISSING_INPUT, f"there is no variable {where}")
            return os.fsencode(os.environ[where])
        if kind == "FD" and colon and where.isdigit():
            with open(int(where), "rb", closefd=False) as file:
                return _whole(file)
        raise Failure(UNSUPPORTED_PREFIX, f"{name} has a prefix that is not known")
    try:
        with open(name, "rb") as file:
            return _whole(file)
    except FileNotFoundError:
        raise Failure(MISSING_INPUT, f"there is no file {name}") from None


def standard_input() -> bytes:
    return _whole(sys.stdin.buffer)


def _whole(file: BinaryIO) -> bytes:
    """Return all of it, and never a part: what is cut off would be signed as if it were whole."""
    data = read_at_most(file, MAX_INPUT + 1)
    if len(data) > MAX_INPUT:
        raise Failure(1, f"more than {MAX_INPUT} octets are not read")
    return data


def output(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write(name: str, data: bytes) -> None:
    if name.startswith("@FD:") and name[4:].isdigit():
        with open(int(name[4:]), "wb", closefd=False) as file:
            file.write(data)
        return
    if name.startswith("@"):
        raise Failure(UNSUPPORTED_PREFIX, f"{name} has a prefix that is not known")
    try:
        with open(name, "xb") as file:
            file.write(data)
    except FileExistsError:
        raise Failure(OUTPUT_EXISTS, f"{name} is there already") from None


def password_of(name: str) -> bytes:
    """Return a password; what a person typed into a file ends with a line end (section 3)."""
    return _typed(read(name))


def passwords_of(name: str) -> tuple[bytes, ...]:
    """Return what a password may be that somebody else set: as it is, and as a person types it."""
    given = read(name)
    typed = _typed(given)
    return (typed,) if b"\n" in given or given == typed else (given, typed)


def _typed(text: bytes) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError:
        raise Failure(PASSWORD_NOT_READABLE, "a password is text in UTF-8") from None
    return text.rstrip()


def session_key_of(name: str) -> str:
    """Return a session key: number of the cipher, colon, digits (section "SESSIONKEY")."""
    text = read(name).decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9]{1,3}:[0-9A-Fa-f]{16,64}", text):
        raise Failure(BAD_DATA, f"{name} holds no session key")
    return text
