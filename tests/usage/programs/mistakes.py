"""What a hurried user writes first. Each line fails in the editor, and at run time with a hint.

``unused-ignore`` is an error here, so each of these lines is one that the type checker refuses.
"""

from collections.abc import Callable

import smime


def mistakes(
    alice: smime.Identity, bob: smime.Recipient, anchors: smime.Anchors
) -> list[tuple[Callable[[], object], type[Exception], str]]:
    """Every mistake, what it raises, and what the message has to name."""
    return [
        # A str: a path or a letter?
        (lambda: smime.sign("letter.eml", by=alice), TypeError, "Path("),  # type: ignore[arg-type]
        (lambda: smime.Mail("letter.eml"), TypeError, ".encode()"),  # type: ignore[arg-type]
        # Which of two things in a row is the mail, and which the key?
        (lambda: smime.sign(b"", alice), TypeError, "positional"),  # type: ignore[call-arg]
        (lambda: smime.verify(b"", anchors), TypeError, "positional"),  # type: ignore[call-arg]
        # A str can be iterated over, and is nobody.
        (lambda: smime.encrypt(b"", to="b@x"), TypeError, "Recipient.load("),  # type: ignore[arg-type]
        (lambda: smime.sign(b"", by="a.p12"), TypeError, "Identity.load("),  # type: ignore[arg-type]
        # A certificate neither signs nor reads.
        (lambda: smime.sign(b"", by=bob), TypeError, "Identity.load("),  # type: ignore[arg-type]
        (
            lambda: smime.decrypt(b"", keys=bob, trust=anchors),  # type: ignore[arg-type]
            TypeError,
            "Identity.load(",
        ),
        # No trust, and the 143 roots of the web.
        (lambda: smime.verify(b""), TypeError, "trust"),  # type: ignore[call-arg]
        (lambda: smime.verify(b"", trust=None), TypeError, "Anchors.load("),  # type: ignore[arg-type]
        (lambda: smime.open(b"", trust="root.pem"), TypeError, "Anchors.load("),  # type: ignore[arg-type]
        # A typo is not hidden because names are looked up late.
        (lambda: smime.opn, AttributeError, "opn"),  # type: ignore[attr-defined]
    ]


def truths(opened: smime.Opened) -> list[Callable[[], object]]:
    """What reads as if it meant something: an opened mail is not a yes or a no."""
    return [
        lambda: "good" if opened else "bad",  # type: ignore[redundant-expr]
        lambda: "good" if opened.report else "bad",  # type: ignore[redundant-expr]
        lambda: [check for check in opened.report.signatures if check],  # type: ignore[redundant-expr]
    ]
