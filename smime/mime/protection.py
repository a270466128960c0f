"""What protects each header field that a reader is shown.

The weaker reading wins: a field counts as sealed only if HP-Outer proves that
its author kept it inside, and what arrived outside does not show it after all.

Floor:  mime (uses errors)
Source: RFC 9788 §4.3 for the state of each field, §4.4 for what is shown,
        §2.2 for HP-Outer, §4.9 and §4.10 for older forms and contradictions
"""

from __future__ import annotations

from smime.mime.places import SHOWN, is_authors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from smime.mime.entity import Entity, Field
    from smime.mime.headers import Protected

__all__ = ["FieldState", "States", "states"]

MAX_STATES = 200  # fields of a mail that are reported; authors write a dozen


class FieldState:
    """One name of a field: whether the author kept it inside, and what stands outside."""

    __slots__ = ("inside", "name", "outside", "sealed")

    def __init__(
        self, name: str, inside: bool, sealed: bool, outside: tuple[str, ...] | None
    ) -> None:
        self.name = name
        self.inside = inside
        """What is shown stands inside; else it is what anybody could have written."""
        self.sealed = sealed
        """Its author kept it from who carries the mail."""
        self.outside = outside
        """What stands outside where it is another value, else None."""


class States:
    """The state of every field, and what does not fit together."""

    __slots__ = ("changed", "contradiction", "fields", "ignored")

    def __init__(self) -> None:
        self.fields: list[FieldState] = []
        self.changed: list[str] = []
        """Names of which the outside is not as the author left it."""
        self.contradiction = ""
        """How ``hp`` and the layers contradict each other, if they do."""
        self.ignored: list[str] = []
        """Names that may not stand inside, or not more than once, and are not believed."""


def states(outer: Entity, payload: Protected | None, *, encrypted: bool, use_from: bool) -> States:
    """Return what protects the fields, as far as the layers around them are worth it.

    ``encrypted`` says whether a layer around the payload was sealed; whether a
    signature is good is for the caller to add.
    """
    found = States()
    outside: dict[str, list[Field]] = {}
    for field in outer.fields:
        outside.setdefault(field.key, []).append(field)
    if payload is None:
        found.fields = [
            FieldState(fields[0].name, False, False, None)
            for key, fields in outside.items()
            if is_authors(key)
        ][:MAX_STATES]
        return found

    inside: dict[str, list[Field]] = {}
    for field in payload.fields:
        inside.setdefault(field.key, []).append(field)
    listed: dict[str, list[Field]] = {}
    for field in payload.outer:
        listed.setdefault(field.key, []).append(field)
    mode = payload.mode
    found.ignored = list(dict.fromkeys(field.name for field in payload.ignored))
    if mode == "cipher" and not encrypted:
        found.contradiction = "it says that its headers were sealed, and it was only signed"
    elif mode == "clear" and encrypted:
        found.contradiction = "its headers were protected for a signed mail, and it is sealed"

    hides = mode == "cipher" and encrypted
    expects = mode in ("clear", "cipher") or not encrypted
    for key, fields in inside.items():
        arrived = outside.pop(key, [])
        same = _same(fields, arrived)
        left = listed.get(key, []) if hides else fields
        fits = same if left is fields else _same(left, arrived)
        # Where it arrived as it was left and is another inside, it was hidden.
        sealed = hides and not same and (fits or not _same(fields, left))
        if expects and not fits:
            found.changed.append(fields[0].name)
        if key == "from" and not use_from and arrived:
            found.fields.append(FieldState(fields[0].name, False, False, None))
            continue
        values = None if same else tuple(field.value for field in arrived)
        found.fields.append(FieldState(fields[0].name, True, sealed, values))
    all_are_inside = mode in ("clear", "cipher")
    for key, fields in outside.items():
        if all_are_inside and key in SHOWN:
            found.changed.append(fields[0].name)
        elif is_authors(key):
            found.fields.append(FieldState(fields[0].name, False, False, None))
    del found.fields[MAX_STATES:]
    return found


def _same(one: Sequence[Field], other: Sequence[Field]) -> bool:
    if len(one) != len(other):
        return False
    for a, b in zip(one, other, strict=True):
        if a.raw == b.raw or _plain(a.value) == _plain(b.value):
            continue
        coded = b"=?" in a.raw or b"=?" in b.raw or not (a.raw.isascii() and b.raw.isascii())
        if not coded or _plain(a.text) != _plain(b.text):
            return False
    return True


def _plain(text: str) -> str:
    """Blanks and folds may change on the way (RFC 5322 §2.2.3)."""
    return " ".join(text.split())
