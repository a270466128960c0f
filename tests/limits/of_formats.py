"""The limits of smime.formats: what is looked at in a mail, and what a report names."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import smime
from smime import cms
from smime.formats import damage, large, pgpmime, recoding, spooled, structure
from smime.formats import smime as form
from smime.formats.spooled import Region
from smime.mime.entity import split_entity
from tests.limits.walk import Bench, Passed, Refused, Table, lowered
from tests.pgp.test_packets import SEALED, session_key

HEAD = b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: limits\r\n"
TEXT = b"Content-Type: text/plain\r\n\r\n"
LINE = b"a line of a text, which is canonical already, of sixty-six in all\r\n"


def mixed(*parts: bytes, edge: bytes = b"e") -> bytes:
    kind = b"Content-Type: multipart/mixed; boundary=" + edge + b"\r\n\r\n"
    body = b"".join(b"--" + edge + b"\r\n" + part + b"\r\n" for part in parts)
    return kind + body + b"--" + edge + b"--\r\n"


def both(mail: bytes, bench: Bench) -> list[bytes | Path]:
    """Return the mail in memory, and in a file that is read piece by piece."""
    lowered("smime.formats.large.SMALL_OCTETS", 100, bench.patch)
    path = bench.folder / "mail.eml"
    path.write_bytes(mail)
    return [mail, path]


def examined(mail: bytes, bench: Bench, **more: Any) -> smime.Report:
    """Return what is said of a mail, which is the same in memory and from a file."""
    said = []
    for one in both(mail, bench):
        opened = smime.open(one, trust=bench.world.anchors, **more)
        said.append(opened.report)
    assert [one.code for one in said[0].notes] == [one.code for one in said[1].notes]
    return said[1]


# --- what damage is looked for -----------------------------------------------------------


def found(now: bytes, signed: bytes) -> str | None:
    note = damage.diagnose(now, "sha256", hashlib.sha256(signed).digest())
    return None if note is None else note.code


def damage_octets(limit: int, bench: Bench) -> None:
    now = TEXT.replace(b"\r\n", b"\n") + b"x" * (limit - len(TEXT))
    assert found(now, now.replace(b"\n", b"\r\n")) == "damage-line-ends"
    now += b"y"
    assert found(now, now.replace(b"\n", b"\r\n")) is None


def damage_text(limit: int, bench: Bench) -> None:
    for octets, code in ((limit, "damage-blanks"), (limit + 1, None)):
        now = TEXT + b"x" * (octets - len(TEXT) - 4 - 6) + b"\r\n--\r\nme\r\n"
        assert len(now) == octets
        # The footer's search would find one blank too, near the beginning of a text only.
        bench.patch.setattr(damage, "MAX_LINES", 0)
        assert found(now, now.replace(b"\r\n--\r\n", b"\r\n-- \r\n")) == code


def damage_lines(limit: int, bench: Bench) -> None:
    signed = TEXT + b"hello\r\n"
    for lines, code in ((limit - 1, "damage-footer"), (limit, None)):
        assert found(signed + b"ad\r\n" * lines, signed) == code


def damage_leaves(limit: int, bench: Bench) -> None:
    for place, code in ((limit, "damage-footer"), (limit + 1, None)):
        parts = [TEXT + b"hello"] * (limit + 1)
        signed = mixed(*parts)
        parts[place - 1] += b"\r\nad\r\n"
        assert found(mixed(*parts), signed) == code


def damage_depth(limit: int, bench: Bench) -> None:
    for depth, code in ((limit, "damage-footer"), (limit + 1, None)):
        signed, now = TEXT + b"hello", TEXT + b"hello\r\nad\r\n"
        for n in range(depth):
            edge = b"e%d" % n
            signed, now = mixed(signed, edge=edge), mixed(now, edge=edge)
        assert found(now, signed) == code


# --- parts that are looked at ---------------------------------------------------------------


def sealed_part(bench: Bench) -> bytes:
    blob = cms.encrypt(b"x", to=bench.world.bob)
    return form.wrap_sealed(blob, "envelopedData")


def parts_depth(limit: int, bench: Bench) -> None:
    for depth, complete in ((limit, True), (limit + 1, False)):
        made = sealed_part(bench)
        for n in range(depth):
            made = mixed(made, edge=b"e%d" % n)
        report = examined(HEAD + made, bench)
        assert bool(report.parts) is complete
        assert ("parts-limit" in [one.code for one in report.notes]) is not complete


def parts_seen(limit: int, bench: Bench) -> None:
    for count, complete in ((limit, True), (limit + 1, False)):
        report = examined(HEAD + mixed(*[b"\r\nx"] * count), bench)
        assert ("parts-limit" in [one.code for one in report.notes]) is not complete


def parts_named(limit: int, bench: Bench) -> None:
    one = sealed_part(bench)
    for count, complete in ((limit, True), (limit + 1, False)):
        report = examined(HEAD + mixed(*[one] * count), bench)
        assert len(report.parts) == limit
        assert ("parts-limit" in [one.code for one in report.notes]) is not complete


def parts_read(limit: int, bench: Bench) -> None:
    """In a file, the signatures of a larger part are not looked at, and that is seen."""
    small = smime.sign(HEAD + TEXT + LINE * 40, by=bench.world.alice)
    part = bytes(small)[len(HEAD) :]
    for octets, checked in ((len(part), 1), (len(part) - 1, 0)):
        lowered("smime.formats.parts.MAX_READ_OCTETS", octets, bench.patch)
        _, path = both(HEAD + mixed(part), bench)
        report = smime.examine(path, trust=bench.world.anchors)
        assert [len(one.signatures) for one in report.parts] == [checked]


def inflated(limit: int, bench: Bench) -> None:
    content = TEXT + LINE * 100
    mail = form.wrap_sealed(cms.compress(content), "compressedData", HEAD)
    lowered("smime.formats.packing.MAX_INFLATED_OCTETS", len(content) + 1000 - limit, bench.patch)
    for one in both(mail, bench):
        assert smime.open(one, trust=bench.world.anchors).content == content


def shown_names(limit: int, bench: Bench) -> None:
    """A note names no more, however many there are."""
    one = sealed_part(bench)
    report = examined(HEAD + mixed(*[one] * (limit + 2)), bench)
    (note,) = [one for one in report.notes if one.code == "protected-part"]
    assert note.text.count(f"{limit}") == 1
    assert f"{limit + 1} " not in note.text
    assert len(report.parts) == limit + 2


def gap_seconds(limit: int, bench: Bench) -> None:
    signed = datetime(2026, 11, 24, 12, tzinfo=UTC)
    for seconds, codes in ((limit, []), (limit + 1, ["signing-time-gap"])):
        date = datetime.fromtimestamp(signed.timestamp() - seconds, UTC)
        text = date.strftime("Date: %a, %d %b %Y %H:%M:%S +0000\r\n").encode()
        mail = smime.sign(HEAD + text + TEXT + b"hi\r\n", by=bench.world.alice, at=signed)
        (check,) = smime.examine(mail, trust=bench.world.anchors, at=signed).signatures
        assert check.good
        assert [one.code for one in check.notes] == codes


# --- what is read in a file -------------------------------------------------------------------


def recoded(mail: bytes, bench: Bench) -> bytes | None:
    """Return what a mail in a file becomes in pieces; None where it is needed whole."""
    lowered("smime.formats.large.SMALL_OCTETS", 100, bench.patch)
    path = bench.folder / "mail.eml"
    path.write_bytes(mail)
    opened = large.Large.open(path)
    assert isinstance(opened, large.Large)
    with opened:
        forms = [b"".join(map(bytes, one.pieces())) for one in recoding.forms(opened, POLICY)]
    return forms[1] if len(forms) == 2 else None


POLICY = smime.Policy.modern()


def around(limit: int, bench: Bench) -> None:
    """What is longer is needed whole, and then the same comes out."""
    for octets, piecewise in ((limit, True), (limit + 1, False)):
        made = mixed(TEXT + LINE * 3)
        kind, _, body = made.partition(b"\r\n\r\n")
        before = b"p" * (octets - 2 - len(b"--e\r\n")) + b"\r\n"
        made = kind + b"\r\n\r\n" + before + body
        assert (recoded(HEAD + made, bench) is not None) is piecewise
        path = bench.folder / "mail.eml"
        signed = smime.sign(path, by=bench.world.alice)
        assert smime.verify(bytes(signed), trust=bench.world.anchors).signer


def line_octets(limit: int, bench: Bench) -> None:
    lowered("smime.formats.recoding.MAX_LINE_OCTETS", 1000, bench.patch)
    lowered("smime.source.PIECE_OCTETS", 500, bench.patch)
    for octets, piecewise in ((1000, True), (4000, False)):
        text = "é".encode() + b"x" * (octets - 2)
        made = recoded(HEAD + TEXT + text + b"\r\n", bench)
        assert (made is not None) is piecewise
        path = bench.folder / "mail.eml"
        signed = smime.sign(path, by=bench.world.alice)
        assert smime.verify(bytes(signed), trust=bench.world.anchors).signer


def padding(limit: int, bench: Bench) -> None:
    """In memory and in a file the same lines are delimiters."""
    for octets, parts in ((limit, 2), (limit + 1, 1)):
        body = b"--e\r\n\r\nx\r\n--e" + b" " * octets + b"\r\n\r\ny\r\n--e--\r\n"
        mail = b"Content-Type: multipart/mixed; boundary=e\r\n\r\n" + body
        assert len(structure.inspect(mail)["children"]) == parts
        kept = spooled.keep([body])
        assert len(spooled.spans(kept, b"e")) == parts
        last = b"--e\r\n\r\nx\r\n--e--" + b"\t" * octets + b"\r\n"
        if parts == 2:
            assert len(spooled.spans(spooled.keep([last]), b"e")) == 1


# --- OpenPGP in a mail ----------------------------------------------------------------------


def armoured_text(limit: int, bench: Bench) -> None:
    """Longer base64 is text, of which nothing is known, and is never said to be sealed."""
    from base64 import b64encode, encodebytes

    armour = b"-----BEGIN PGP MESSAGE-----\r\n\r\n%b\r\n-----END PGP MESSAGE-----\r\n"
    sealed = armour % b64encode(session_key("0123456789abcdef") + SEALED)
    for over, forms in ((0, ["inline"]), (1, [])):
        text = encodebytes(sealed)
        head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\nX: "
        head += b"x" * (1500 - len(head) - len(text) - 4) + b"\r\n\r\n"
        lowered("smime.formats.pgpinline.MAX_ENCODED", 1500 - over, bench.patch)
        report = smime.examine(head + text, trust=bench.world.anchors)
        assert [one.form for one in report.layers] == forms


def openpgp_readers(limit: int, bench: Bench) -> None:
    keys = b"".join(session_key(f"{n + 1:016x}") for n in range(limit + 5))
    mail = (
        HEAD + b"Content-Type: multipart/encrypted; boundary=e;\r\n"
        b" protocol=application/pgp-encrypted\r\n\r\n"
        b"--e\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
        b"--e\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
        b"\r\n" + keys + SEALED + b"\r\n--e--\r\n"
    )
    (layer,) = smime.examine(mail, trust=bench.world.anchors).layers
    assert len(layer.recipients) == limit


def openpgp_beside(limit: int, bench: Bench) -> None:
    """Where the small part is larger, the mail is read whole, with the same limits."""
    for more, piecewise in ((0, True), (1, False)):
        signature = b"Content-Type: application/pgp-signature\r\n\r\n"
        signature += b"x" * (limit + more - len(signature))
        body = b"--e\r\n\r\nx\r\n--e\r\n" + signature + b"\r\n--e--\r\n"
        head = split_entity(
            b"Content-Type: multipart/signed; boundary=e; protocol=application/pgp-signature"
            b"\r\n\r\n"
        )
        kept: Region = spooled.keep([body])
        assert (pgpmime.recognise_stored(head, kept) is not None) is piecewise


# --- structure -----------------------------------------------------------------------------


def structure_depth(limit: int, bench: Bench) -> None:
    for depth, shown in ((limit, True), (limit + 1, False)):
        made = TEXT + b"x"
        for n in range(depth):
            made = mixed(made, edge=b"e%d" % n)
        found = structure.inspect(made)
        for _ in range(depth - 1):
            (found,) = found["children"]
        assert bool(found["children"]) is shown
        assert ("problem" in found) is not shown


def structure_parts(limit: int, bench: Bench) -> None:
    for count, shown in ((limit - 1, limit - 1), (limit, 0)):
        found = structure.inspect(mixed(*[b"\r\nx"] * count))
        assert len(found["children"]) == shown
        assert ("problem" in found) is not bool(shown)


def structure_inflated(limit: int, bench: Bench) -> None:
    content = TEXT + LINE * 100
    mail = form.wrap_sealed(cms.compress(content), "compressedData")
    for room, shown in ((len(content), True), (len(content) - 1, False)):
        bench.patch.setattr(structure, "MAX_INFLATED_OCTETS", room)
        found = structure.inspect(mail)
        assert bool(found["children"]) is shown
        assert ("problem" in found) is not shown


HOME = "smime.formats."
TABLE: Table = {
    HOME + "damage.MAX_DEPTH": Passed(damage_depth, "deeper parts are not searched"),
    HOME + "damage.MAX_LEAVES": Passed(damage_leaves, "further parts are not searched"),
    HOME + "damage.MAX_LINES": Passed(damage_lines, "a longer footer is not found"),
    HOME + "damage.MAX_OCTETS": Passed(damage_octets, "nothing more is tried", lower=10_000),
    HOME + "damage.MAX_TEXT": Passed(damage_text, "longer text is not searched", lower=10_000),
    HOME + "packing.MAX_INFLATED_OCTETS": Refused(inflated, lower=1000),
    HOME + "parts.MAX_DEPTH": Passed(parts_depth, "the report says that there is more"),
    HOME + "parts.MAX_FOUND": Passed(parts_named, "the report says that there is more"),
    HOME + "parts.MAX_PARTS": Passed(parts_seen, "the report says that there is more"),
    HOME + "parts.MAX_READ_OCTETS": Passed(parts_read, "its signatures are not looked at"),
    HOME + "pgpinline.MAX_ENCODED": Passed(armoured_text, "it is text"),
    HOME + "pgplayers.MAX_NAMED": Passed(openpgp_readers, "the report names no more"),
    HOME + "pgpmime.MAX_PART_OCTETS": Passed(openpgp_beside, "read whole", lower=1000),
    HOME + "recoding.MAX_AROUND_OCTETS": Passed(around, "it is read whole"),
    HOME + "recoding.MAX_LINE_OCTETS": Passed(line_octets, "it is read whole"),
    HOME + "senders.MAX_GAP_SECONDS": Passed(gap_seconds, "a note says so"),
    HOME + "shown.MAX_LISTED": Passed(shown_names, "a note names no more"),
    HOME + "structure.MAX_DEPTH": Passed(structure_depth, "it is said that there is more"),
    HOME + "structure.MAX_INFLATED_OCTETS": Passed(structure_inflated, "it is not unpacked"),
    HOME + "structure.MAX_PARTS": Passed(structure_parts, "it is said that there is more"),
    "smime.mime.multipart.MAX_PADDING_OCTETS": Passed(padding, "it is no delimiter"),
}
