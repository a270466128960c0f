"""A mail in a large file is opened piece by piece, and all that is said of it is the same."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import smime
from smime import incoming, peeling
from tests.support.world import LETTER, World

AT = datetime.now(UTC)
PLAIN = smime.Policy.modern().replace(headers="none")
HEAD = b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: large\r\n"
TEXT = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
LINE = b"a line of a large mail, canonical already, of sixty-four in all\r\n"
BODY = LINE * 20_000
MIXED = (
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
    b"Content-Type: text/plain\r\n\r\n" + BODY + b"--b--\r\n"
)
CBC = smime.Policy.modern().replace(cipher="aes-256-cbc")
GCM = smime.Policy.modern().replace(cipher="aes-256-gcm")


def mails(world: World) -> dict[str, bytes]:
    """Return each ordinary form, as it leaves here."""
    letter, mixed = HEAD + TEXT + BODY, HEAD + MIXED
    signed = smime.sign(letter, by=world.alice)
    return {
        "plain": letter,
        "signed": bytes(signed),
        "signed-mixed": bytes(smime.sign(mixed, by=world.alice)),
        "opaque": bytes(smime.sign(letter, by=world.alice, opaque=True)),
        "cbc": bytes(smime.encrypt(letter, to=world.bob, policy=CBC)),
        "gcm": bytes(smime.encrypt(letter, to=world.bob, policy=GCM)),
        "protected": bytes(smime.protect(letter, by=world.alice, to=world.bob)),
        "around": bytes(
            smime.sign(smime.encrypt(letter, to=world.bob, policy=GCM), by=world.alice)
        ),
        **{name: bytes(mail) for name, mail in with_parts(world).items()},
        "legacy-display": bytes(
            smime.protect(
                letter,
                by=world.alice,
                to=world.bob,
                policy=smime.Policy.modern().replace(legacy_display=True),
            )
        ),
    }


def with_parts(world: World) -> dict[str, bytes | smime.Mail]:
    """Mails in which something is signed or sealed on its own."""
    small = HEAD + TEXT + b"hello\r\n"
    sealed = part_of(smime.encrypt(small, to=world.bob, policy=GCM))
    unlabelled = sealed.replace(b"; smime-type=authEnveloped-data", b"")
    signed = part_of(smime.sign(small, by=world.alice))
    opaque = part_of(smime.sign(small, by=world.alice, opaque=True))
    large = b"Content-Type: text/html\r\n\r\n" + BODY
    inner = b"Content-Type: message/rfc822\r\n\r\n" + bytes(smime.sign(small, by=world.alice))
    return {
        "footer": mixed(signed, large),
        "sealed-part": mixed(large, sealed, large),
        "unlabelled-parts": mixed(
            large, unlabelled, opaque.replace(b"; smime-type=signed-data", b"")
        ),
        "signed-around": smime.sign(mixed(large, sealed, opaque), by=world.alice),
        "protected-around": smime.protect(mixed(large, sealed), by=world.alice, to=world.bob),
        "forwarded": mixed(large, inner),
        "deep": mixed(large, mixed(mixed(sealed, edge=b"f"), large, edge=b"g")),
        "many": mixed(large, *[signed] * 20),
        "winmail": mixed(large, b"Content-Type: application/ms-tnef\r\n\r\nx\r\n"),
        "too-many": mixed(large, *[b"\r\nx"] * 2000),
    }


def part_of(mail: smime.Mail) -> bytes:
    data = bytes(mail)
    return data[data.index(b"Content-Type") :]


def mixed(*parts: bytes, edge: bytes = b"e") -> bytes:
    head = b"" if edge != b"e" else HEAD
    body = b"".join(b"--" + edge + b"\r\n" + part + b"\r\n" for part in parts)
    kind = b"Content-Type: multipart/mixed; boundary=" + edge + b"\r\n\r\n"
    return head + kind + body + b"--" + edge + b"--\r\n"


def changed(name: str, mail: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the mail as it is, and as it can arrive."""
    yield name, mail
    yield f"{name}, line ends lost", mail.replace(b"\r\n", b"\n")
    middle = len(mail) // 2
    yield (
        f"{name}, an octet changed",
        mail[:middle] + bytes((mail[middle] ^ 1,)) + mail[middle + 1 :],
    )
    yield f"{name}, cut short", mail[: len(mail) - 3000]
    yield f"{name}, its beginning", mail[: mail.index(b"\r\n\r\n") + 68]
    yield f"{name}, blanks behind delimiters", mail.replace(b"--\r\n", b"-- \t\r\n")


def said(verb: str, mail: object, world: World) -> tuple[object, ...]:
    """Return all that a verb says of a mail, or how it refuses it."""
    call = getattr(smime, verb)
    keys = {} if verb == "verify" else {"keys": world.bob}
    try:
        opened = call(mail, trust=world.anchors, at=AT, **keys)
    except smime.SmimeError as refused:
        return type(refused), str(refused), getattr(refused, "hint", "")
    report = opened.report.to_dict()
    return bytes(opened.mail), opened.content, opened.signer, opened.encrypted, report


@pytest.fixture(scope="module")
def all_mails(world: World) -> dict[str, bytes]:
    return {name: mail for form, made in mails(world).items() for name, mail in changed(form, made)}


@pytest.mark.parametrize("verb", ["open", "verify", "decrypt"])
def test_the_same_is_said(
    verb: str, world: World, all_mails: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "large.eml"
    outcomes = set()
    for name, mail in all_mails.items():
        path.write_bytes(mail)
        held = said(verb, mail, world)
        assert said(verb, path, world) == held, name
        outcomes.add(held[0] if isinstance(held[0], type) else "opened")
    assert len(outcomes) >= 3


def test_ordinary_forms_are_never_held_whole(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the form that is, is the control."""
    whole = []
    monkeypatch.setattr(
        incoming, "_in_memory", lambda given, *_: whole.append(len(given)) or _stop()
    )
    path = tmp_path / "large.eml"
    for name, mail in mails(world).items():
        path.write_bytes(mail)
        if name == "legacy-display":
            with pytest.raises(_Stopped):
                smime.open(path, trust=world.anchors, keys=world.bob, at=AT)
        else:
            smime.open(path, trust=world.anchors, keys=world.bob, at=AT)
    assert len(whole) == 1


class _Stopped(Exception):
    pass


def _stop() -> None:
    raise _Stopped


def test_from_a_pipe_to_a_file(world: World, tmp_path: Path) -> None:
    """What is not seekable is read once."""

    class Pipe(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            return self._data.readinto(buffer)

    mail = mails(world)["protected"]
    out = tmp_path / "opened.eml"
    opened = smime.verify(
        io.BufferedReader(Pipe(mail)), trust=world.anchors, keys=world.bob, at=AT, out=out
    )
    assert opened.signer == "alice@example.org"
    assert out.read_bytes() == bytes(opened.mail)
    assert BODY in out.read_bytes()
    opened.mail.save(tmp_path / "again.eml")
    assert (tmp_path / "again.eml").read_bytes() == out.read_bytes()
    assert b"".join(opened.content_pieces()) == opened.content


def test_nothing_is_written_when_it_is_refused(world: World, tmp_path: Path) -> None:
    mail = mails(world)["signed"]
    path, out = tmp_path / "large.eml", tmp_path / "out.eml"
    path.write_bytes(mail.replace(b"sixty-four in all", b"sixty-five in all", 1))
    with pytest.raises(smime.SignatureRejected):
        smime.verify(path, trust=world.anchors, at=AT, out=out)
    assert not out.exists()
    path.write_bytes(mail)
    smime.verify(path, trust=world.anchors, at=AT, out=out)
    assert out.exists()


@pytest.mark.parametrize("boundary", [b"b", b"a-b", b"--"])
@pytest.mark.parametrize(
    "body",
    [
        b"--%b\r\nA\r\n--%b\r\nB\r\n--%b--\r\n",
        b"\n--%b\nA\n--%b--",
        b"preamble\r\n--%b \t\r\nA\r\n--%bx\r\n\r\n--%b--\t\r\nepilogue\r\n--%b\r\n",
        b"--%b\r\n\r\n--%b\r\n\r\n--%b--",
        b"--%b\r\n--%b\r\n--%b--",
        b"--%b\r\nA\r\n--%b\r\n",
        b"--%b--\r\n",
        b"x",
        b"x\r--%b\r\n--%b--",
    ],
)
def test_parts_are_where_they_are_in_memory(
    body: bytes, boundary: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the pieces end."""
    from smime import stored
    from smime.formats import spooled
    from smime.mime.multipart import cut

    body = body.replace(b"%b", boundary)
    for octets in range(1, 12):
        monkeypatch.setattr(stored, "PIECE_OCTETS", octets)
        region = spooled.keep([body])
        try:
            expected = cut(body, boundary).spans
        except smime.MalformedMail as refused:
            with pytest.raises(smime.MalformedMail, match=str(refused).split("'")[0]):
                spooled.spans(region, boundary)
        else:
            assert spooled.spans(region, boundary) == expected


def test_too_many_layers(world: World, tmp_path: Path) -> None:
    mail = smime.Mail(HEAD + TEXT + BODY)
    for _ in range(peeling.MAX_LAYERS):
        mail = smime.sign(mail, by=world.alice, policy=PLAIN)
    path = tmp_path / "large.eml"
    path.write_bytes(bytes(mail))
    assert len(smime.open(path, trust=world.anchors, at=AT).report.layers) == 8
    path.write_bytes(bytes(smime.sign(mail, by=world.alice, policy=PLAIN)))
    with pytest.raises(smime.LimitExceeded):
        smime.open(path, trust=world.anchors, at=AT)


@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
def test_sealed_mail_is_examined_without_a_key(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cipher: str
) -> None:
    """The report is that of a mail in memory, and the mail is not held; both are damaged, too."""
    monkeypatch.setattr("smime.formats.large.SMALL_OCTETS", 100)
    policy = smime.Policy.modern().replace(cipher=cipher)
    mail = bytes(smime.encrypt(LETTER, to=[world.bob, world.rsa], policy=policy))
    held = smime.examine(mail, trust=world.anchors)
    assert held.problem is not None
    assert "no key was given" in held.problem.reason
    assert len(held.layers[0].recipients) == 2
    path = tmp_path / "sealed.eml"
    cut = [smime.examine(mail[:-400], trust=world.anchors), held]
    monkeypatch.setattr(incoming, "_in_memory", lambda *_: _stop())
    for kept in (mail[:-400], mail):
        path.write_bytes(kept)
        assert smime.examine(path, trust=world.anchors).to_dict() == cut.pop(0).to_dict()


def test_a_certificate_in_a_text_is_a_text(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smime.formats.large.SMALL_OCTETS", 100)
    text = HEAD + TEXT + b"-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n"
    held = smime.open(text, trust=world.anchors)
    path = tmp_path / "text.eml"
    path.write_bytes(text)
    armoured = text.replace(b"CERTIFICATE", b"PKCS7")
    monkeypatch.setattr(incoming, "_in_memory", lambda *_: _stop())
    opened = smime.open(path, trust=world.anchors)
    assert bytes(opened.mail) == bytes(held.mail) == text
    assert opened.report.outcome == held.report.outcome
    path.write_bytes(armoured)
    with pytest.raises(_Stopped):
        smime.open(path, trust=world.anchors)


@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
def test_what_does_not_open_is_examined(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cipher: str
) -> None:
    """A report is not an error, whatever the size of the mail."""
    monkeypatch.setattr("smime.formats.large.SMALL_OCTETS", 100)
    path = tmp_path / "sealed.eml"
    policy = smime.Policy.modern().replace(cipher=cipher)
    smime.encrypt(LETTER, to=world.bob, policy=policy).save(path)
    how = {"trust": world.anchors}

    assert smime.examine(path, **how, keys=world.bob).outcome.value == "unsigned"
    report = smime.examine(path, **how, keys=world.alice)
    assert report.outcome.value == "sealed"
    assert not report.layers[0].opened
    with pytest.raises(smime.DecryptionFailed):
        smime.open(path, **how, keys=world.alice, out=tmp_path / "opened.eml")
    path.write_bytes(path.read_bytes()[:-400])
    assert smime.examine(path, **how, keys=world.bob).signer is None
    with pytest.raises(smime.SmimeError):
        smime.open(path, **how, keys=world.bob, out=tmp_path / "opened.eml")
    assert not (tmp_path / "opened.eml").exists()
