"""How a report reaches the reader, and in what order beside the mail.

Standard output carries one thing: the report of ``verify``, the mail that
``decrypt`` and ``open`` give out, or JSON when it is asked for.

Floor:  cli
"""

from __future__ import annotations

from smime.cli.failures import UsageError
from smime.cli.files import STANDARD
from smime.report import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    import smime
    from smime.cli.files import Files

__all__ = [
    "hand_out",
    "notes_of",
    "refuse_two_on_one_stream",
    "reject",
    "signature_of",
    "unsigned_or_good",
]


def refuse_two_on_one_stream(args: argparse.Namespace) -> None:
    """Refuse ``--json -o -``: a report and a mail on one stream are neither."""
    if args.json and args.output == STANDARD:
        raise UsageError(
            "--json and -o - both want standard output", hint="write the mail to a file: -o OUT"
        )


def unsigned_or_good(report: smime.Report) -> bool:
    """Whether nothing was signed inside, or what was signed is good."""
    if report.outcome in {Outcome.GOOD, Outcome.GOOD_THEN}:
        return True
    return report.outcome is Outcome.UNSIGNED and all(check.good for check in _inside(report))


def signature_of(report: smime.Report, *, judged: bool) -> str:
    """Say in one line what holds of the signature inside."""
    from smime.viewing import signature_in_words

    line = signature_in_words(report, judged=judged)
    not_judged = line.startswith("signature not judged")
    return f"{line}; --ca FILE says whom to believe" if not_judged else line


def _inside(report: smime.Report) -> list[smime.SignatureCheck]:
    """Return the signatures that cover content; around sealed content they say nothing of it."""
    layers = [layer for layer in report.layers if layer.covers == "content"]
    return [check for layer in layers for check in layer.signatures]


def notes_of(report: smime.Report) -> list[str]:
    """Return a line for each thing worth knowing that moves no verdict."""
    notes = [note for layer in report.layers for note in layer.notes] + list(report.notes)
    return [f"note: {note.text}" for note in notes]


def hand_out(
    mail: Iterable[bytes],
    report: smime.Report,
    args: argparse.Namespace,
    files: Files,
    *,
    output: str | None = None,
    text: str = "",
    more: dict[str, object] | None = None,
) -> None:
    """Write what was opened, in pieces, and say the report, or ``text`` in its place.

    ``more`` goes into JSON. ``output`` is where the mail goes when neither -o
    nor --json says anything; None is nowhere, and then the report has standard
    output for itself. There it is said before the mail gets its name: a report
    that cannot be delivered leaves no file behind.
    """
    target = args.output or (None if args.json else output)
    said = _json({**report.to_dict(), **(more or {})}) if args.json else text or str(report)
    on_output = args.json or (output is None and target != STANDARD)
    say = files.say if on_output else files.tell
    if target is None:
        say(said)
    else:
        files.write(target, mail, private=True, then=lambda: say(said))


def reject(problem: smime.SignatureRejected, args: argparse.Namespace, files: Files) -> None:
    """Make the refusal one clear line; with --json the report is said all the same."""
    report = problem.report
    if args.json:
        files.say(_json(report.to_dict()))
    shown = files.subject or args.input
    if not report.signatures and report.outcome is Outcome.UNSIGNED:
        problem.args = (f"{shown} is not signed", *problem.args[1:])
        files.subject = ""  # it is named
        if args.input != STANDARD:
            problem.hint = f"see its layers with `smimetool inspect {args.input}`"


def _json(value: object) -> str:
    """ASCII only, so that it is the same in every encoding and steers no terminal."""
    from json import dumps

    return dumps(value, indent=2)
