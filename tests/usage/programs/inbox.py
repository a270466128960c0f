"""An IMAP loop: everything arrives, some of it protected."""

import imaplib
from collections.abc import Iterator

import smime


def read_new(
    imap: imaplib.IMAP4, bob: smime.Identity, anchors: smime.Anchors
) -> Iterator[tuple[str, str]]:
    """For each new mail its subject and what is known of it."""
    imap.select("INBOX", readonly=True)
    _, (numbers,) = imap.search(None, "UNSEEN")
    for number in numbers.split():
        _, data = imap.fetch(number.decode(), "(RFC822)")
        first = data[0]
        assert isinstance(first, tuple)
        try:
            opened = smime.open(first[1], keys=[bob], trust=anchors)
        except smime.DecryptionFailed as sealed:
            yield "?", str(sealed)
            continue
        seal = "sealed" if opened.encrypted else "open"
        yield opened.message["Subject"], f"{opened.signer or 'nobody we can name'}, {seal}"
