"""``smimetool inspect``: structure only, no keys, no verdict.

Floor:  cli
"""

from __future__ import annotations

from smime.cli import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from smime.cli.files import Files

__all__ = ["main"]

DER_SEQUENCE = b"\x30"  # how bare CMS begins (.p7m, .p7s files); no mail does: "0" is no header


def main(argv: list[str]) -> int:
    """Run ``smimetool inspect`` with these arguments."""
    parser = options.parser_of(
        "inspect",
        "Show how a mail, or a bare .p7m or .p7s file, is built: its layers, algorithms, who "
        "signed it by its own account, for whom it is sealed. Nothing is opened, nothing judged.",
        ["3", "4"],
    )
    options.add_in(parser)
    options.add_json(parser, help="say it as JSON")
    return options.run(parser, argv, inspect)


def inspect(args: argparse.Namespace, files: Files) -> int:
    """Say how IN is built."""
    data = files.read(args.input)
    if data[:1] == DER_SEQUENCE and not data[:2].isascii():
        from smime import cms

        found = cms.inspect(data)
    else:
        from smime import incoming

        found = incoming.inspect(data)
    if args.json:
        from json import dumps

        files.say(dumps(found, indent=2))
    else:
        files.say("\n".join(_tree(found)))
    return 0


def _tree(value: dict[str, object], depth: int = 0) -> Iterator[str]:
    """Give the fields one a line; what is inside something stands two columns further in."""
    margin = "  " * depth
    for name, inner in value.items():
        label = name.replace("_", " ")
        if isinstance(inner, dict):
            yield f"{margin}{label}:"
            yield from _tree(inner, depth + 1)
        elif isinstance(inner, (list, tuple)) and any(isinstance(one, dict) for one in inner):
            for number, one in enumerate(inner, 1):
                yield f"{margin}{label} {number}:"
                yield from _tree(one, depth + 1) if isinstance(one, dict) else [f"{margin}  {one}"]
        elif isinstance(inner, (list, tuple)):
            if inner:
                yield f"{margin}{label}: {', '.join(map(str, inner))}"
        elif isinstance(inner, bool):
            yield f"{margin}{label}: {'yes' if inner else 'no'}"
        elif inner is not None and inner != "":
            yield f"{margin}{label}: {inner}"
