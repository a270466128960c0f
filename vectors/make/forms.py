"""How mails carry S/MIME: boundaries, labels, transfer encodings, parts beside parts."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from cms import By, auth_enveloped, content_key, enveloped, signed_data, transport
from mails import (
    EDGE,
    ENTITY,
    Vector,
    base64_text,
    fields,
    mixed,
    sealed_entity,
    shelf,
    signed_entity,
    wrapped_entity,
)
from people import ALICE, BOB, EVE

P256 = ALICE["p256"]
FOOTER = b"Content-Type: text/plain\r\n\r\n_____\r\nlist footer"
vector = shelf("mime")


def blob_for(content: bytes) -> bytes:
    return signed_data(content, By(P256), detached=True)


def detached(content: bytes = ENTITY, **form: object) -> bytes:
    return fields() + signed_entity(content, blob_for(content), **form)


def opaque(**form: object) -> bytes:
    return fields() + wrapped_entity(signed_data(ENTITY, By(P256)), **form)


def vectors() -> Iterator[Vector]:
    yield from edges()
    yield from contents()
    yield from labels()
    yield from encodings()
    yield from broken()
    yield from beside()


def edges() -> Iterator[Vector]:
    rule = "RFC 2046 §5.1.1"
    for name, about, form in (
        ("no-preamble", "the first delimiter follows the fields at once", {"preamble": b""}),
        (
            "preamble-long",
            "text before the first delimiter is nobody's",
            {"preamble": b"line one\r\n\r\n--not the edge\r\n--edg\r\n"},
        ),
        (
            "epilogue",
            "text after the last delimiter is nobody's",
            {"epilogue": b"scanned by a gateway\r\n"},
        ),
        (
            "boundary-quoted",
            "every character that a boundary may have",
            {"edge": "a b'()+_,-./:=?z", "quoted": True},
        ),
        ("boundary-70", "a boundary of 70 octets", {"edge": "x" * 70}),
        ("boundary-dashes", "a boundary that begins with dashes", {"edge": "----=_Part_1"}),
        ("delimiter-padding", "spaces and a tab after the delimiter", {"delimiter_tail": b" \t "}),
    ):
        yield vector(name, about, rule, "good", detached(**form))
    lines = (
        b"Content-Type: text/plain\r\n\r\n--edg\r\n- --edge\r\n --edge\r\nx--edge\r\n--edge2\r\n"
    )
    # By the grammar only white space may follow a delimiter; RFC 2046 also lets a reader compare
    # the beginning alone, as openssl does. Every octet is signed whoever is right.
    yield vector(
        "boundary-look-alikes",
        "lines that begin like the delimiter and are not it",
        rule,
        "good",
        detached(lines),
        content=lines,
    )
    nested = mixed(ENTITY, FOOTER, edge=EDGE + "inner")
    yield vector(
        "boundary-prefix-inside",
        "an inner boundary that begins with the outer one",
        rule,
        "good",
        detached(nested),
        content=nested,
    )
    ends = b"Content-Type: text/plain\r\n\r\nends with empty lines\r\n\r\n\r\n"
    yield vector(
        "empty-lines-at-end",
        "one line break is the delimiter's, the others are content",
        rule,
        "good",
        detached(ends),
        content=ends,
    )
    tight = b"Content-Type: text/plain\r\n\r\nno line break at the end"
    yield vector(
        "no-line-break-at-end",
        "the content ends without a line break of its own",
        rule,
        "good",
        detached(tight),
        content=tight,
    )
    bare = b"\r\nno fields of its own\r\n"
    yield vector(
        "part-without-fields",
        "a signed part that begins with an empty line",
        "RFC 2046 §5.1",
        "good",
        detached(bare),
        content=bare,
    )


def contents() -> Iterator[Vector]:
    quoted = (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"
        b"\r\n\r\nGr=C3=BC=C3=9Fe =\r\nfrom here=20\r\n"
    )
    encoded = (
        b"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64_text(b"%PDF" + bytes(range(256)))
    )
    eight = (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + "Grüße, 你好\r\n".encode()
    )
    folded = (
        b'Content-Type: text/plain;\r\n\tcharset="utf-8" ;\r\n   format=flowed\r\n'
        b"X-Empty:\r\nsubject:inner \r\n\r\ntext\r\n"
    )
    html = b"Content-Type: text/html\r\n\r\n<p>noon</p>\r\n"
    deep = mixed(
        mixed(quoted, html, edge="alt", subtype="alternative"), encoded, mixed(ENTITY, edge="in")
    )
    rfc822 = b"Content-Type: message/rfc822\r\n\r\n" + fields() + ENTITY
    long_line = b"Content-Type: text/plain\r\n\r\n" + b"x" * 2000 + b"\r\n"
    for name, about, rule, content in (
        ("quoted-printable", "a quoted-printable part stays as it is", "RFC 8551 §3.1.2", quoted),
        ("base64-part", "a base64 part stays as it is", "RFC 8551 §3.1.2", encoded),
        ("eight-bit", "raw UTF-8 in an 8bit part", "RFC 8551 §3.1.3", eight),
        ("folded-fields", "folded, odd and empty fields of the part", "RFC 5322 §2.2.3", folded),
        ("nested-parts", "three multiparts within each other", "RFC 2046 §5.1", deep),
        ("forwarded-inside", "a whole mail in the signed part", "RFC 2046 §5.2.1", rfc822),
        ("long-line", "a line of 2,000 octets", "RFC 5322 §2.1.1", long_line),
    ):
        yield vector(name, about, rule, "good", detached(content), content=content)


def labels() -> Iterator[Vector]:
    rule = "RFC 8551 §3.2"
    yield vector(
        "x-pkcs7-signature",
        "the old name of the signature part",
        "RFC 8551 §3.5.3",
        "good",
        detached(protocol="application/x-pkcs7-signature", kind="application/x-pkcs7-signature"),
    )
    yield vector(
        "protocol-missing",
        "no protocol parameter",
        "RFC 1847 §2.1",
        "good",
        detached(protocol=None),
    )
    for name, about, micalg in (
        ("micalg-wrong", "micalg names another digest; it is a hint for one pass only", "sha-512"),
        ("micalg-old", "micalg in an old spelling", "sha256"),
        ("micalg-unknown", "micalg that nobody knows", "unknown"),
    ):
        yield vector(name, about, "RFC 8551 §3.5.3.2", "good", detached(micalg=micalg))
    yield vector(
        "x-pkcs7-mime",
        "the old name of the whole",
        rule,
        "good",
        opaque(kind="application/x-pkcs7-mime"),
    )
    yield vector(
        "octet-stream-p7m",
        "a gateway called it octet-stream; the name says it",
        rule,
        "good",
        opaque(kind="application/octet-stream"),
    )
    yield vector(
        "smime-type-missing", "no smime-type parameter", rule, "good", opaque(smime_type=None)
    )
    yield vector(
        "smime-type-wrong",
        "smime-type says enveloped-data, and it is signed",
        rule,
        "good",
        opaque(smime_type="enveloped-data"),
    )
    name = "smime-type-wrong-sealed"
    blob = enveloped(
        ENTITY, [transport(BOB["rsa2048"], content_key(name, "aes-256-cbc"), name)], name
    )
    yield vector(
        name,
        "smime-type says signed-data, and it is sealed",
        rule,
        "opens",
        fields() + wrapped_entity(blob, "signed-data"),
    )
    lower = b"Content-Type: multipart/signed; protocol="
    yield vector(
        "upper-case",
        "names of fields, types and parameters in capitals",
        "RFC 2045 §5.1",
        "good",
        detached().replace(lower, lower.upper()),
    )
    comment = detached().replace(b"multipart/signed;", b"multipart/signed (clear);")
    yield vector(
        "comment-in-type", "a comment in the content type", "RFC 2045 §5.1", "good", comment
    )
    yield vector(
        "signature-as-octet-stream",
        "the signature part is called octet-stream",
        "RFC 8551 §3.5.3",
        "good",
        detached(kind="application/octet-stream"),
    )


def encodings() -> Iterator[Vector]:
    blob = signed_data(ENTITY, By(P256))
    flat = base64.b64encode(blob) + b"\r\n"
    pem = b"-----BEGIN PKCS7-----\r\n" + base64_text(blob) + b"-----END PKCS7-----\r\n"
    spaced = base64_text(blob).replace(b"\r\n", b" \r\n")
    rule = "RFC 2045 §6.8"
    for name, about, form in (
        ("base64-one-line", "base64 without a line break", {"body": flat}),
        ("base64-short-lines", "base64 in lines of 20", {"body": base64_text(blob, 20)}),
        ("base64-spaces", "spaces at the end of base64 lines", {"body": spaced}),
        ("base64-upper-case", "the encoding is called BASE64", {"encoding": "BASE64"}),
        ("binary", "CMS as it is, in a binary part", {"body": blob, "encoding": "binary"}),
        (
            "pem-body",
            "PEM armour in the body, without an encoding",
            {"body": pem, "encoding": "7bit"},
        ),
    ):
        yield vector(name, about, rule, "good", opaque(**form))
    yield vector(
        "base64-lf",
        "bare LF in all of an opaque mail",
        rule,
        "good",
        opaque().replace(b"\r\n", b"\n"),
    )
    name = "gcm-base64-one-line"
    key = content_key(name, "aes-256-gcm")
    sealed = auth_enveloped(ENTITY, [transport(BOB["rsa2048"], key, name)], name)
    yield vector(
        name,
        "a sealed mail in one line of base64",
        rule,
        "opens",
        fields() + wrapped_entity(sealed, "authEnveloped-data", body=base64.b64encode(sealed)),
    )


def broken() -> Iterator[Vector]:
    rule = "RFC 2046 §5.1.1"
    honest = detached()
    yield vector("not-closed", "the last delimiter is missing", rule, "mime", detached(close=False))
    yield vector(
        "no-boundary",
        "no boundary parameter",
        rule,
        "mime",
        honest.replace(b"; boundary=edge", b""),
    )
    yield vector(
        "other-boundary",
        "the boundary never comes",
        rule,
        "mime",
        honest.replace(b"boundary=edge", b"boundary=hedge"),
    )
    yield vector(
        "boundary-twice",
        "two boundary parameters: readers would disagree",
        rule,
        "mime",
        honest.replace(b"boundary=edge", b"boundary=other; boundary=edge"),
    )
    one = fields() + (
        b'Content-Type: multipart/signed; protocol="application/pkcs7-signature";'
        b" boundary=edge\r\n\r\n--edge\r\n" + ENTITY + b"\r\n--edge--\r\n"
    )
    yield vector("one-part", "a signed part, and no signature", "RFC 1847 §2.1", "mime", one)
    third = b"Content-Type: text/plain\r\n\r\nI am not signed\r\n--edge\r\n"
    yield vector(
        "third-part",
        "a third part that nobody signed",
        "RFC 1847 §2.1",
        "mime",
        detached(between=third),
    )
    after = honest.replace(b"\r\n--edge--\r\n", b"\r\n--edge\r\n" + third[:-8] + b"--edge--\r\n")
    yield vector(
        "third-part-last", "a third part after the signature", "RFC 1847 §2.1", "mime", after
    )
    yield vector(
        "signature-is-text",
        "the signature part is called text/plain",
        "RFC 8551 §3.5.3",
        "mime",
        detached(kind="text/plain"),
    )
    at = honest.index(b"filename=smime.p7s\r\n\r\n") + 60
    yield vector(
        "base64-broken",
        "a letter of the base64 text that is none",
        "RFC 2045 §6.8",
        "mime",
        honest[:at] + b"!*!" + honest[at + 3 :],
    )
    yield vector(
        "base64-cut",
        "base64 that ends in the middle of a group",
        "RFC 2045 §6.8",
        "mime",
        _cut_base64(honest),
    )
    yield vector(
        "type-twice",
        "two Content-Type fields: readers would disagree",
        "RFC 5322 §3.6",
        "mime",
        fields(more=b"Content-Type: text/plain\r\n") + signed_entity(ENTITY, blob_for(ENTITY)),
    )
    yield vector(
        "protocol-of-openpgp",
        "called OpenPGP, with an S/MIME signature",
        "RFC 1847 §2.1",
        "mime",
        detached(protocol="application/pgp-signature"),
    )
    yield vector("no-signature-at-all", "a plain mail", "RFC 8551 §3.10", "mime", fields() + ENTITY)
    yield vector(
        "only-looks-signed",
        "the text says that it was signed",
        "RFC 8551 §3.10",
        "mime",
        fields(subject="[signed by alice]") + ENTITY,
    )


def _cut_base64(mail: bytes) -> bytes:
    """Return the mail with one letter alone in the last group of its base64 text."""
    begin = mail.index(b"filename=smime.p7s\r\n\r\n") + 22
    end = mail.rindex(b"\r\n--edge--")
    text = b"".join(mail[begin:end].split()).rstrip(b"=")
    text = text[: len(text) // 4 * 4 - 3]
    return mail[:begin] + text + mail[end:]


def beside() -> Iterator[Vector]:
    rule = "RFC 8551 §3.9"
    part = signed_entity(ENTITY, blob_for(ENTITY))
    opaque_part = wrapped_entity(signed_data(ENTITY, By(P256)))
    yield vector(
        "list-footer",
        "a mailing list put its footer beside the signed part",
        rule,
        "mime",
        fields() + mixed(part, FOOTER),
    )
    yield vector(
        "signed-part-second",
        "a text that nobody signed stands before the signed part",
        rule,
        "mime",
        fields() + mixed(FOOTER, part),
    )
    yield vector(
        "signed-part-in-alternative",
        "the signed part is one of two views",
        rule,
        "mime",
        fields() + mixed(FOOTER, part, subtype="alternative"),
    )
    yield vector(
        "signed-part-in-related",
        "the signed part is hidden behind a page",
        rule,
        "mime",
        fields() + mixed(FOOTER, opaque_part, subtype="related"),
    )
    yield vector(
        "signed-part-alone-in-mixed",
        "a multipart of one signed part is not the mail",
        rule,
        "mime",
        fields() + mixed(part),
    )
    yield vector(
        "forwarded-signed-mail",
        "a signed mail was forwarded, and is not the mail",
        "RFC 2046 §5.2.1",
        "mime",
        fields("Eve <eve@example.org>") + b"Content-Type: message/rfc822\r\n\r\n" + fields() + part,
    )
    name = "sealed-part-beside"
    key = content_key(name, "aes-256-cbc")
    sealed = sealed_entity(enveloped(ENTITY, [transport(BOB["rsa2048"], key, name)], name))
    page = b'Content-Type: text/html\r\n\r\n<img src="http://example.com/'
    yield vector(
        name,
        "a sealed part between two plain ones that would carry it away",
        "RFC 9787 §6.2",
        "mime",
        fields("Eve <eve@example.org>") + mixed(page, sealed, FOOTER),
    )
    both = fields() + mixed(
        part, signed_entity(ENTITY, signed_data(ENTITY, By(EVE), detached=True), edge="second")
    )
    yield vector("two-signed-parts", "two signed parts, by different people", rule, "mime", both)
