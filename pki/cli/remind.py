"""``smimetool ca remind --from ADDRESS``: write to people whose certificates end soon.

Floor:  cli (uses reminders)
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os

from pki.cli import common, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    import smime
    from pki.facts import Record

    Send: TypeAlias = Callable[[Record, smime.Mail], str]
    """Hands one letter over; gives what was wrong with it, if anything."""

EXAMPLE = (
    "smimetool ca remind --from ca@chess.example --smtp mail.chess.example "
    "--passphrase-file ca.pass"
)
SMTP_SECONDS = 30  # for each answer of the mail server


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--from",
        dest="sender",
        metavar="ADDRESS",
        required=True,
        help="mail address of the CA itself; its certificate is made when it is needed",
    )
    parser.add_argument(
        "--identity",
        metavar="FILE",
        help="sign with this key file for ADDRESS, not with one that the CA makes",
    )
    parser.add_argument(
        "--identity-passphrase-file", metavar="F", help="first line of F is its passphrase"
    )
    parser.add_argument(
        "--within", type=int, default=30, metavar="DAYS", help="what is soon (default: 30)"
    )
    parser.add_argument(
        "--again",
        type=int,
        default=14,
        metavar="DAYS",
        help="write to nobody again before so many days are over (default: 14)",
    )
    parser.add_argument(
        "--text",
        metavar="FILE",
        help="the letter, UTF-8: first line the subject; {address}, {date}, {ca}, {serial} and "
        "{subject} are filled in",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("-o", "--output", metavar="DIR", help="folder for the letters, .eml")
    target.add_argument("--smtp", metavar="HOST[:PORT]", help="mail server that takes them")
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Sign a letter to each, hand it over, record that they were written to."""
    from datetime import timedelta

    from pki import reminders
    from pki.errors import ProfileProblem
    from pki.registrar import Registrar
    from pki.renewal import due

    if not 0 <= arguments.within <= 36_525 or not 0 <= arguments.again <= 36_525:
        arguments.refuse("--within and --again are numbers of days")
    text = reminders.TEXT
    if arguments.text is not None:
        with open(arguments.text, encoding="utf-8") as file:
            text = file.read(reminders.MAX_TEXT_OCTETS + 1)
        if len(text.encode()) > reminders.MAX_TEXT_OCTETS:
            raise ProfileProblem(
                f"{arguments.text}: a letter has at most {reminders.MAX_TEXT_OCTETS} octets"
            )
    records = common.records_of(arguments)
    passphrase = common.given_or_asked(arguments, records.name)
    told, refused = [], []
    with Registrar.load(records.folder, passphrase=passphrase) as ca:
        now = common.now()
        found = due(ca.ledger, now, now + timedelta(days=arguments.within))
        asked = [one for one in found if one.addresses and arguments.sender not in one.addresses]
        left = reminders.not_reminded(ca.ledger, asked, now - timedelta(days=arguments.again))
        if left:
            own = _own(arguments) or reminders.own_identity(ca, arguments.sender, passphrase)
            with _files(arguments.output) if arguments.output else _smtp(arguments.smtp) as send:
                for one in left:
                    mail = reminders.letter(one, by=own, name=records.name, at=now, text=text)
                    problem = send(one, mail)
                    if problem:
                        refused.append((one, problem))
                        continue
                    # Each at once: who is cut off writes to one person twice, to nobody never.
                    reminders.note_reminded(ca.ledger, [one.serial], at=now)
                    told.append(one)
        common.warn_lapsing(ca.ledger)
    if arguments.json:
        common.say_json(
            {
                "due": len(asked),
                "reminded": [one.to_dict(now) for one in told],
                "refused": [one.addresses[0] for one, _ in refused],
            }
        )
    for one in () if arguments.json else told:
        common.announce(f"{one.addresses[0]}\n  ends on {one.not_after:%Y-%m-%d}")
    if not left and not arguments.json:
        common.announce(f"nobody to write to; {len(asked)} end soon and know it")
    for one, problem in refused:
        common.tell(f"{one.addresses[0]}: {problem}")
    if refused:
        raise OSError(errno.EIO, f"{len(refused)} letters were not taken", arguments.smtp)
    return 0


def _own(arguments: argparse.Namespace) -> smime.Identity | None:
    """Open the key file that the letters shall be signed with, if one is named."""
    import smime
    from pki.errors import RequestRefused

    if arguments.identity is None:
        return None
    given = common.given_passphrase(arguments.identity_passphrase_file, None)
    question = f"Passphrase of {arguments.identity}: "

    def asked() -> str:
        return given or common.secret(question, "--identity-passphrase-file")

    found = smime.Identity.load(arguments.identity, passphrase=asked)
    if arguments.sender not in found.addresses:
        raise RequestRefused(f"{arguments.identity} is not a key of {arguments.sender}")
    return found


@contextlib.contextmanager
def _files(folder: str) -> Iterator[Send]:
    """Write each letter to a file of its own."""
    from pki.files import write_over

    def send(record: Record, mail: smime.Mail) -> str:
        path = os.path.join(folder, f"{record.serial:032x}.eml")
        write_over(path, bytes(mail), mode=0o600)
        return ""

    os.makedirs(folder, exist_ok=True)
    yield send


@contextlib.contextmanager
def _smtp(place: str) -> Iterator[Send]:
    """Hand each letter to a mail server, encrypted where it can and is not this machine."""
    import smtplib
    import ssl

    host, colon, port = place.rpartition(":")
    if not colon or not port.isdigit():
        host, port = place, "25"
    host = host.strip("[]")
    try:
        with smtplib.SMTP(host, int(port), timeout=SMTP_SECONDS) as server:

            def send(_: Record, mail: smime.Mail) -> str:
                try:
                    server.send_message(mail.message)
                except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as refused:
                    return f"the mail server refused: {refused}"
                return ""

            server.ehlo()
            if server.has_extn("starttls") and host not in ("localhost", "127.0.0.1", "::1"):
                server.starttls(context=ssl.create_default_context())
            yield send
    except smtplib.SMTPException as error:
        raise OSError(errno.EIO, f"the mail server failed: {error}", place) from error
