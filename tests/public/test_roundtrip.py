"""Whatever a mail holds comes out of protect and open as it went in, in memory and over SMTP."""

from __future__ import annotations

import base64
import smtplib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import quote
from urllib.parse import quote as percent

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import smime
from smime.mime.entity import split_entity
from tests.support.world import LETTER, World

CHARSETS = ["us-ascii", "utf-8", "gb18030", "gbk", "big5", "iso-2022-jp", "euc-kr", "windows-1252"]
WORDS = {
    "us-ascii": ["noon", "From here", "a" * 90, "-- ", ".", "", "=20", "--edge"],
    "utf-8": ["Grüße", "会议记录", "😀", "\u202eabc", "é" * 80],
    "gb18030": ["会议记录", "𠀀", "龘"],
    "gbk": ["会议记录", "中文 text"],
    "big5": ["會議記錄", "功許蓋"],  # second octets like a backslash
    "iso-2022-jp": ["会議の記録", "日本語 text"],
    "euc-kr": ["회의록", "안녕"],
    "windows-1252": ["Grüße – “quoted”", "€ 7"],
}


@st.composite
def texts(draw: st.DrawFn) -> tuple[bytes, str]:
    charset = draw(st.sampled_from(CHARSETS))
    words = WORDS[charset] + WORDS["us-ascii"]
    lines = draw(st.lists(st.lists(st.sampled_from(words), max_size=4).map(" ".join), max_size=6))
    return "\r\n".join(lines).encode(charset) + draw(st.sampled_from([b"", b"\r\n"])), charset


@st.composite
def leaves(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(["text", "flowed", "file", "nameless", "empty", "none"]))
    if kind in ("text", "flowed"):
        body, charset = draw(texts())
        flowed = "; format=flowed" if kind == "flowed" else ""
        encoding = "7bit" if body.isascii() else "8bit"
        head = f"Content-Type: text/plain; charset={charset}{flowed}\r\n"
        return f"{head}Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body
    if kind == "none":
        return b"\r\n" + draw(st.sampled_from([b"", b"plain\r\n"]))
    if kind == "empty":
        return b"Content-Type: text/html\r\n\r\n"
    data = base64.encodebytes(draw(st.binary(max_size=200))).replace(b"\n", b"\r\n")
    name = draw(st.sampled_from(["a.pdf", "会议记录.pdf", "naïve file.txt", 'q"uo\\te.bin']))
    named = (
        ""
        if kind == "nameless"
        else f'; filename="{quote(name)}"'
        if name.isascii()
        else f";\r\n filename*=utf-8''{percent(name)}"
    )
    return (
        f"Content-Type: application/octet-stream\r\nContent-Disposition: attachment{named}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + data


def multipart(parts: list[bytes], depth: int) -> bytes:
    edge = b"edge%d" % depth
    body = b"".join(b"--" + edge + b"\r\n" + part + b"\r\n" for part in parts)
    head = b"Content-Type: multipart/mixed; boundary=" + edge + b"\r\n\r\n"
    return head + body + b"--" + edge + b"--\r\n"


@st.composite
def entities(draw: st.DrawFn, depth: int = 2) -> bytes:
    if depth and draw(st.booleans()):
        return multipart(draw(st.lists(entities(depth - 1), min_size=1, max_size=3)), depth)
    return draw(leaves())


@st.composite
def mails(draw: st.DrawFn) -> bytes:
    subject = draw(
        st.sampled_from(
            [
                b"noon",
                b"",
                b"=?utf-8?b?5Lya6K6u6K6w5b2V?=",
                b"=?gb18030?b?u+HS6bzHwrw=?=",
                b"=?iso-2022-jp?b?GyRCMnE1RBsoQg==?=",
                b"folded\r\n subject\r\n\twith a tab",
                b"long " * 150,
            ]
        )
    )
    more = draw(
        st.lists(
            st.sampled_from(
                [
                    b"Cc: Carol <carol@example.org>,\r\n dora@example.org\r\n",
                    b"X-Long: " + b"x" * 900 + b"\r\n",
                    b"References: <a@b.example>\r\n <c@d.example>\r\n",
                    b"X-Empty:\r\n",
                    b"Keywords: one, two\r\n",
                ]
            ),
            unique=True,
        )
    )
    entity = draw(entities())
    start = b"" if entity.startswith(b"\r\n") else b"MIME-Version: 1.0\r\n"
    return (
        b"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: "
        + subject
        + b"\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
        + b"".join(more)
        + start
        + entity
    )


def decoded_leaves(raw: bytes) -> list[tuple[str, str | None, bytes]]:
    """Return type, file name and decoded octets of every part, by our own reader."""
    from smime.mime.multipart import boundary_of, split_parts

    entity = split_entity(raw) if raw else None
    if entity is None:
        return [("text/plain", None, b"")]
    kind = entity.content_type.value
    if kind.startswith("multipart/"):
        parts = split_parts(entity.body, boundary_of(entity))
        return [leaf for part in parts for leaf in decoded_leaves(part)]
    return [(kind, entity.get("content-disposition"), entity.decoded())]


def fields(raw: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field in split_entity(raw).fields:
        if not field.key.startswith("content-") and field.key != "mime-version":
            found.setdefault(field.key, []).append(" ".join(field.text.split()))
    return found


def check(world: World, raw: bytes, arrived: bytes) -> None:
    opened = smime.verify(arrived, keys=world.bob, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert opened.report.notes == ()
    assert fields(bytes(opened.mail)) == fields(raw)
    assert decoded_leaves(bytes(opened.mail)) == decoded_leaves(raw)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mail=mails())
def test_a_generated_mail_comes_out_as_it_went_in(world: World, mail: bytes) -> None:
    sealed = smime.protect(mail, by=world.alice, to=world.bob)

    check(world, mail, sealed.message.as_bytes())


@pytest.mark.server
def test_three_hundred_generated_mails_over_smtp(world: World) -> None:
    from tests.mail.test_smtp import Inbox, Server

    inbox = Inbox()
    server = Server(inbox, hostname="127.0.0.1", port=0, decode_data=False, enable_SMTPUTF8=True)
    server.start()
    seen = 0

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(mail=mails())
    def send(mail: bytes) -> None:
        nonlocal seen
        sealed = smime.protect(mail, by=world.alice, to=world.bob)
        with smtplib.SMTP("127.0.0.1", server.at) as smtp:
            smtp.send_message(sealed.message, to_addrs=sealed.recipients)
        _, arrived = inbox.take()
        check(world, mail, arrived)
        seen += 1

    try:
        send()
    finally:
        server.stop()
    assert seen >= 300


TEXTS = [(charset, word) for charset in CHARSETS for word in WORDS[charset] if word]


@pytest.mark.parametrize(("charset", "word"), TEXTS)
@pytest.mark.parametrize("encoding", ["8bit", "base64"])
def test_a_body_in_any_charset(world: World, charset: str, word: str, encoding: str) -> None:
    octets = word.encode(charset)
    body = octets if encoding == "8bit" else base64.b64encode(octets)
    mail = (
        b"From: alice@example.org\r\nTo: bob@example.org\r\n"
        b"Content-Type: text/plain; charset=" + charset.encode() + b"\r\n"
        b"Content-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n" + body + b"\r\n"
    )

    for made in (
        smime.sign(mail, by=world.alice),
        smime.protect(mail, by=world.alice, to=world.bob),
    ):
        opened = smime.verify(made, keys=world.bob, trust=world.anchors)
        assert split_entity(bytes(opened.mail)).decoded().rstrip(b"\r\n") == octets
        assert opened.message.get_content().rstrip("\r\n") == word
        assert smime.view(opened).text.rstrip("\r\n") == word


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"=?gb18030?b?u+HS6bzHwrw=?=", "会议记录"),
        (b"=?gbk?b?u+HS6bzHwrw=?=", "会议记录"),
        (b"=?big5?b?t3zEs7BPv/0=?=", "會議記錄"),
        (b"=?iso-2022-jp?b?GyRCMnE1RBsoQg==?=", "会議"),
        (b"=?windows-1252?q?=80_7?=", "€ 7"),
        ("会议记录".encode(), "会议记录"),
        ("Grüße".encode(), "Grüße"),
    ],
)
def test_a_subject_in_any_charset(world: World, raw: bytes, shown: str) -> None:
    mail = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: " + raw + b"\r\n\r\nhi\r\n"

    for made in (
        smime.sign(mail, by=world.alice),
        smime.protect(mail, by=world.alice, to=world.bob),
    ):
        opened = smime.verify(made, keys=world.bob, trust=world.anchors)
        (subject,) = [f for f in split_entity(bytes(opened.mail)).fields if f.key == "subject"]
        assert subject.text == shown
        assert [one.value for one in smime.view(opened).headers if one.name == "Subject"] == [shown]


@pytest.mark.parametrize("name", ["会议记录.pdf", "naïve.txt", "日本語の長い名前" * 6 + ".bin"])
def test_an_attachment_s_name(world: World, name: str) -> None:
    message = EmailMessage()
    message["From"] = "alice@example.org"
    message["To"] = "bob@example.org"
    message.set_content("see the file")
    message.add_attachment(b"\0\1\2", maintype="application", subtype="x", filename=name)

    sealed = smime.protect(message, by=world.alice, to=world.bob)
    opened = smime.open(sealed, keys=world.bob, trust=world.anchors)

    (attachment,) = opened.message.iter_attachments()
    assert attachment.get_filename() == name
    assert attachment.get_content() == b"\0\1\2"
    assert [one.name for one in smime.view(opened).files] == [name]


def identity_for(address: str) -> smime.Identity:
    """Make a certificate for an address beyond ASCII: SmtpUTF8Mailbox of RFC 9598."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "王小明")])
    value = address.encode()
    mailbox = x509.OtherName(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), bytes((0x0C, len(value))) + value
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([mailbox]), critical=False)
        .sign(key, SHA256())
    )
    return smime.Identity(key, certificate)


def without_address(common_name: str) -> smime.Identity:
    """Make a certificate that has a subject name and no address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, SHA256())
    )
    return smime.Identity(key, certificate)


@pytest.mark.parametrize(
    ("certified", "written"),
    [
        ("bob@xn--bcher-kva.example", "bob@bücher.example"),
        ("用户@example.org", "用户@example.org"),
        ("用户@例え.example", "用户@xn--r8jz45g.example"),
    ],
)
def test_addresses_beyond_ascii(world: World, certified: str, written: str) -> None:
    ascii_only = certified.isascii()
    author = world.ca.issue(certified) if ascii_only else identity_for(certified)
    trust = world.anchors if ascii_only else smime.Pinned(author.certificate)
    mail = f"From: {written}\r\nTo: {written}\r\nSubject: 你好\r\n\r\nhi\r\n".encode()

    opened = smime.verify(smime.protect(mail, by=author, to=author), keys=author, trust=trust)

    assert opened.signer == written
    assert opened.report.addressed_to_me.answer is smime.Answer.YES
    (subject,) = [f for f in split_entity(bytes(opened.mail)).fields if f.key == "subject"]
    assert subject.text == "你好"


@pytest.mark.parametrize("name", ["王小明", "Jörg Müller", "Зоя"])
def test_subject_names_beyond_ascii(world: World, name: str) -> None:
    named = world.ca.issue("alice@example.org", name=name)

    opened = smime.verify(smime.sign(LETTER, by=named), trust=world.anchors)

    assert opened.signer == "alice@example.org"
    certificate = opened.report.signatures[0].certificate
    assert certificate is not None
    (common,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common.value == name


@pytest.mark.parametrize("name", ["王小明", "alice@example.org", "\u202eecilA\x1b[1m"])
def test_a_subject_name_never_stands_for_an_address(name: str) -> None:
    """It is told as it is, and escaped for the terminal."""
    nameless = without_address(name)

    opened = smime.open(smime.sign(LETTER, by=nameless), trust=smime.Pinned(nameless.certificate))

    assert opened.signer is None
    assert name in opened.report.signatures[0].signer
    shown = str(smime.view(opened))
    assert shown.replace("\n", "").isprintable()
    assert (name in shown) is name.isprintable()


def test_what_a_terminal_sees_is_escaped(world: World) -> None:
    """A name that steers the terminal stays in the JSON, and is escaped in the text."""
    mail = (
        "From: \u202e\x1b[2J <alice@example.org>\r\nSubject: \x1b]0;x\x07\r\n\r\nhi\r\n"
    ).encode()

    report = smime.examine(mail, trust=world.anchors)

    assert all(line.isprintable() for line in str(report).splitlines())
