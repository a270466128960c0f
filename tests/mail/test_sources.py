"""What a Mail can be made from, and what it gives back."""

from __future__ import annotations

import email
import email.policy
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

import smime
from smime.source import PIECE_OCTETS, read_at_most
from tests.mail.letters import forwarding, letter, related, with_file
from tests.support.world import LETTER, World

# --- little room ----------------------------------------------------------------------


class Few:
    """A file that takes note of how much it is asked for at once, and gives few at a time."""

    def __init__(self, data: bytes) -> None:
        self.data, self.asked = BytesIO(data), 0

    def read(self, count: int) -> bytes:
        self.asked = max(self.asked, count)
        return self.data.read(min(count, 1000))


@pytest.mark.parametrize("count", [0, 1, 5000, PIECE_OCTETS, 1 << 30])
@pytest.mark.parametrize("size", [0, 1, 4999, 5000, 5001, PIECE_OCTETS + 1])
def test_no_more_is_read_than_was_asked_for_and_none_is_missing(
    tmp_path: Path, size: int, count: int
) -> None:
    data = os.urandom(size)
    (tmp_path / "data").write_bytes(data)
    slow = Few(data)

    assert read_at_most(slow, count) == data[:count]
    assert slow.asked <= PIECE_OCTETS
    with (tmp_path / "data").open("rb") as file:
        assert read_at_most(file, count) == data[:count]
        assert file.tell() == min(size, count)


SMALL = """
import resource, sys
from smime.cli.main import main
import smime.cli.sop
resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
sys.exit(main(["sop", "armor"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="platform: no limits to the memory of a process")
def test_what_is_small_is_read_where_there_is_little_memory() -> None:
    """However much may come, no room is asked for that is not needed."""
    key = b"\xc6\x05\x04\0\0\0\0"
    done = subprocess.run(
        [sys.executable, "-c", SMALL], input=key, capture_output=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"-----BEGIN PGP ")


# --- bytes ------------------------------------------------------------------------


class File:
    """Something that reads, and is no io class."""

    def read(self) -> bytes:
        return LETTER


def on_disk(folder: Path) -> Path:
    path = folder / "letter.eml"
    path.write_bytes(LETTER)
    return path


SOURCES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda folder: LETTER,
    "bytearray": lambda folder: bytearray(LETTER),
    "memoryview": lambda folder: memoryview(bytearray(LETTER)),
    "slice": lambda folder: memoryview(b"xx" + LETTER)[2:],
    "path": on_disk,
    "file": lambda folder: BytesIO(LETTER),
    "file-like": lambda folder: File(),
    "mail": lambda folder: smime.Mail(LETTER),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_bytes_stay_as_they_are(
    world: World, tmp_path: Path, source: Callable[[Path], Any]
) -> None:
    assert bytes(smime.Mail(source(tmp_path))) == LETTER
    assert smime.sign(source(tmp_path), by=world.alice).size > len(LETTER)


def test_an_open_file_is_read_from_where_it_stands(tmp_path: Path) -> None:
    path = on_disk(tmp_path)
    with path.open("rb") as file:
        assert bytes(smime.Mail(file)) == LETTER


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"\r\n",
        b"no colon at all",
        b"A:b\nC : d\n\n\x00\xff\r\r\n",
        b"From x Mon\nSubject: hi\n\nhello",
        b"Subject: hi",
    ],
)
def test_any_bytes_are_kept(odd: bytes) -> None:
    assert bytes(smime.Mail(odd)) == odd
    assert bytes(smime.Mail(smime.Mail(odd))) == odd


def test_a_changed_bytearray_changes_no_mail() -> None:
    data = bytearray(LETTER)
    mail = smime.Mail(data)

    data[:4] = b"xxxx"

    assert bytes(mail) == LETTER


# --- refused ----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["letter.eml", "From: alice@example.org\r\n\r\nhi\r\n", ""])
def test_a_str_is_refused_with_the_line_to_type(world: World, text: str) -> None:
    made: Any = text
    calls: list[Callable[[], object]] = [
        lambda: smime.Mail(made),
        lambda: smime.sign(made, by=world.alice),
        lambda: smime.encrypt(made, to=world.bob),
        lambda: smime.protect(made, by=world.alice, to=world.bob),
        lambda: smime.open(made, trust=world.anchors),
        lambda: smime.examine(made, trust=world.anchors),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"Path\(.*encode"):
            call()


def test_a_file_open_as_text_is_refused(tmp_path: Path) -> None:
    text: Any = StringIO("From: alice@example.org\n\nhi\n")
    with pytest.raises(TypeError, match="'rb'"):
        smime.Mail(text)
    with on_disk(tmp_path).open() as file, pytest.raises(TypeError, match="'rb'"):
        smime.Mail(file)  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", [None, 7, ["a"], object(), {"From": "alice"}])
def test_anything_else_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError):
        smime.Mail(thing)


def test_a_path_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        smime.Mail(tmp_path / "nothing.eml")
    with pytest.raises(IsADirectoryError):
        smime.Mail(tmp_path)


# --- message objects --------------------------------------------------------------


def mime_text() -> Message:
    message = MIMEText("Grüße\n", "plain", "utf-8")
    message["From"] = "alice@example.org"
    message["Subject"] = "Grüße"
    return message


def raw_8bit() -> Message:
    return email.message_from_bytes(
        "From: alice@example.org\nSubject: Grüße\n"
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
        "Grüße\n".encode()
    )


MESSAGES: dict[str, Callable[[], Message[Any, Any]]] = {
    "set-content": letter,
    "umlauts": lambda: letter("Grüße", "Grüße aus Köln\n"),
    "related": related,
    "attachment": lambda: with_file("n" * 56 + ".bin"),
    "forwarding": forwarding,
    "compat32": lambda: email.message_from_bytes(LETTER),
    "compat32-8bit": raw_8bit,
    "default": lambda: email.message_from_bytes(LETTER, policy=email.policy.default),
    "mimetext": mime_text,
}


SUBJECTS = {
    MESSAGES["umlauts"]: "Grüße",
    MESSAGES["mimetext"]: "Grüße",
    MESSAGES["compat32-8bit"]: "Grüße",
    MESSAGES["forwarding"]: "Fwd: noon",
    MESSAGES["compat32"]: "会议记录",
    MESSAGES["default"]: "会议记录",
}


@pytest.mark.parametrize("make", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("opaque", [False, True])
def test_a_message_object_is_signed_and_read_again(
    world: World, make: Callable[[], Message[Any, Any]], opaque: bool
) -> None:
    message = make()

    opened = smime.verify(smime.sign(message, by=world.alice, opaque=opaque), trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert str(opened.message["Subject"]) == SUBJECTS.get(make, "noon")
    assert shape(opened.message) == shape(message)
    assert b"\n" not in opened.content.replace(b"\r\n", b"")
    assert opened.content.isascii()


def shape(message: Message[Any, Any]) -> list[tuple[str, str | None, bytes]]:
    """Every part: type, file name and what it holds, line ends aside."""
    found = []
    for part in message.walk():
        held = part.get_payload(decode=True) if not part.is_multipart() else b""
        assert isinstance(held, bytes)
        found.append(
            (part.get_content_type(), part.get_filename(), held.replace(b"\r\n", b"\n").rstrip())
        )
    return found


def test_a_message_object_is_left_as_it_was(world: World) -> None:
    message = related()
    before = message.as_bytes()

    smime.protect(message, by=world.alice, to=world.bob)

    assert message.as_bytes() == before


def test_a_message_that_cannot_be_written_is_malformed() -> None:
    message = EmailMessage()
    message["From"] = "alice@example.org"
    payload: Any = {"not": "a text"}
    message.set_payload(payload)

    with pytest.raises(smime.MalformedMail) as refused:
        smime.Mail(message)
    assert refused.value.hint


# --- what it gives ----------------------------------------------------------------


def test_what_a_mail_says_of_itself() -> None:
    mail = smime.Mail(LETTER)

    assert mail.size == len(LETTER)
    assert mail.body == LETTER.partition(b"\r\n\r\n")[2]
    assert repr(mail) == f"<Mail of {len(LETTER)} octets>"
    assert mail == smime.Mail(LETTER)
    assert mail != smime.Mail(LETTER + b" ")
    assert mail != LETTER
    assert len({mail, smime.Mail(LETTER)}) == 1
    assert mail.parsed()["Subject"] == "会议记录"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (b"To: bob@example.org\r\n", ("bob@example.org",)),
        (b"To: Bob <bob@example.org>, c@example.org\r\n", ("bob@example.org", "c@example.org")),
        (b"To: a@x\r\nCc: b@x\r\nBcc: c@x\r\n", ("a@x", "b@x", "c@x")),
        (b"To: a@x\r\nTo: b@x, a@x\r\n", ("a@x", "b@x")),
        (b"To: undisclosed-recipients:;\r\n", ()),
        (b'To: "Doe, John" <a@x>,\r\n =?utf-8?q?M=C3=BCller?= <b@x>\r\n', ("a@x", "b@x")),
        ("To: jürgen@bücher.example\r\n".encode(), ("jürgen@bücher.example",)),
        (b"From: a@x\r\n", ()),
    ],
)
def test_recipients(fields: bytes, expected: tuple[str, ...]) -> None:
    assert smime.Mail(fields + b"\r\nhi\r\n").recipients == expected


# --- saving -----------------------------------------------------------------------


def test_save_is_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "sealed.eml"
    before = os.umask(0)
    try:
        smime.Mail(LETTER).save(path)
    finally:
        os.umask(before)

    assert path.read_bytes() == LETTER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["sealed.eml"]


def test_save_replaces_what_was_there_and_keeps_links(tmp_path: Path) -> None:
    path, link = tmp_path / "real.eml", tmp_path / "link.eml"
    path.write_bytes(b"old")
    link.symlink_to(path)

    smime.Mail(LETTER).save(link)

    assert link.is_symlink()
    assert path.read_bytes() == LETTER


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    missing = tmp_path / "no-such-folder" / "sealed.eml"
    folder = tmp_path / "folder"
    folder.mkdir()

    for path in (missing, folder):
        with pytest.raises(OSError, match=r".+"):
            smime.Mail(LETTER).save(path)

    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(folder) == []


def test_a_str_is_no_path_to_save_to(tmp_path: Path) -> None:
    name: Any = str(tmp_path / "sealed.eml")
    with pytest.raises(TypeError, match=r"Path\("):
        smime.Mail(LETTER).save(name)

    assert os.listdir(tmp_path) == []
