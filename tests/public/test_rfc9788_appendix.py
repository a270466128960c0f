"""Every message of RFC 9788's Appendix C, made by our generators and read again.

The appendix prints the headers of 31 messages: what stands outside, and what
the payload holds. Names, values and order of these are written down here anew;
bodies, keys and boundaries are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import smime
from smime.mime.entity import Entity, split_entity
from smime.mime.multipart import boundary_of, split_parts
from tests.public.test_rfc9788 import message_fields
from tests.public.test_spoofing import payload_sealed, payload_signed
from tests.support.world import World

AGENT = ("User-Agent", "Sample MUA Version 1.0")
NO_HP = smime.Policy.modern().replace(headers="none")
ALICE, BOB = "Alice <alice@smime.example>", "Bob <bob@smime.example>"


@dataclass(frozen=True)
class Printed:
    """A message of the appendix: its section, what it is called, and when it was sent."""

    section: str
    name: str
    clock: str
    form: str
    """How it is protected: ``none``, ``opaque``, ``detached`` or ``sealed``."""
    policy: str = ""
    """``baseline`` or ``shy`` where it is sealed with header protection."""
    legacy: bool = False
    reply: str = ""
    """What it answers."""

    @property
    def complex(self) -> bool:
        return "complex" in self.name

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The fields that the author wrote, in the order of the appendix."""
        answers = [
            ("In-Reply-To", f"<{self.reply}@example>"),
            ("References", f"<{self.reply}@example>"),
        ]
        return [
            ("Subject", self.name),
            ("Message-ID", f"<{self.name}@example>"),
            ("From", ALICE),
            ("To", BOB),
            ("Date", f"Sat, 20 Feb 2021 {self.clock}:02 -0500"),
            AGENT,
            *(answers if self.reply else []),
        ]

    @property
    def outside(self) -> list[tuple[str, str]]:
        """What stands outside: for sealed mail with header protection, by its policy."""
        if not self.policy:
            return self.fields
        hidden = {"Subject": "[...]"}
        if self.policy == "shy":
            hour, minute = self.clock.split(":")
            hidden |= {
                "From": "alice@smime.example",
                "To": "bob@smime.example",
                "Date": f"Sat, 20 Feb 2021 {int(hour) + 5}:{minute}:02 +0000",
            }
        return [(name, hidden.get(name, value)) for name, value in self.fields]

    @property
    def hidden(self) -> list[str]:
        return [f[0] for f, o in zip(self.fields, self.outside, strict=True) if f != o]

    @property
    def mail(self) -> bytes:
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.fields).encode()
        return b"MIME-Version: 1.0\r\n" + lines + self.entity

    @property
    def entity(self) -> bytes:
        text = f"This is the\r\n{self.name}\r\nmessage.\r\n".encode()
        if not self.complex:
            return (
                b"Content-Transfer-Encoding: 7bit\r\n"
                b'Content-Type: text/plain; charset="utf-8"\r\n\r\n' + text
            )
        html = b"<html><head><title></title></head><body>\r\n<p>" + text + b"</p></body></html>\r\n"
        return (
            b'Content-Type: multipart/mixed; boundary="242"\r\n\r\n'
            b'--242\r\nContent-Type: multipart/alternative; boundary="da7"\r\n\r\n'
            b'--da7\r\nContent-Type: text/plain; charset="us-ascii"\r\n\r\n' + text + b"\r\n"
            b'--da7\r\nContent-Type: text/html; charset="us-ascii"\r\n\r\n' + html + b"\r\n"
            b"--da7--\r\n\r\n--242\r\nContent-Type: image/png\r\n"
            b"Content-Transfer-Encoding: base64\r\nContent-Disposition: inline\r\n\r\n"
            b"iVBORw0KGgo=\r\n--242--\r\n"
        )

    def __str__(self) -> str:
        return self.section


E = "smime-signed-enc"
# C.1: no header protection at all.
BARE = [
    Printed("C.1.1", "no-crypto", "10:00", "none"),
    Printed("C.1.2", "smime-one-part", "10:01", "opaque"),
    Printed("C.1.3", "smime-multipart", "10:02", "detached"),
    Printed("C.1.4", E, "10:03", "sealed"),
    Printed("C.1.5", "no-crypto-complex", "12:00", "none"),
    Printed("C.1.6", "smime-one-part-complex", "12:01", "opaque"),
    Printed("C.1.7", "smime-multipart-complex", "12:02", "detached"),
    Printed("C.1.8", f"{E}-complex", "12:03", "sealed"),
]
# C.2.1 to C.2.4: signed only.
SIGNED = [
    Printed("C.2.1", "smime-one-part-hp", "10:06", "opaque"),
    Printed("C.2.2", "smime-multipart-hp", "10:07", "detached"),
    Printed("C.2.3", "smime-one-part-complex-hp", "12:06", "opaque"),
    Printed("C.2.4", "smime-multipart-complex-hp", "12:07", "detached"),
]
# C.2.5, C.2.6 and C.3.17: the form of RFC 8551.
WRAPPED = [
    Printed("C.2.5", "smime-one-part-complex-rfc8551hp", "12:26", "opaque"),
    Printed("C.2.6", "smime-multipart-complex-rfc8551hp", "12:27", "detached"),
    Printed("C.3.17", "smime-enc-signed-complex-rfc8551hp-baseline", "12:28", "sealed", "baseline"),
]


def sealed_ones() -> list[Printed]:
    """C.3.1 to C.3.16: simple and complex, each new and as a reply, by both policies."""
    made = []
    number = 0
    minutes = iter([9, 10, 12, 13, 15, 16, 18, 19] * 2)
    for kind, hour in (("", "10"), ("-complex", "12")):
        for reply in ("", "-reply"):
            for policy in ("baseline", "shy"):
                for legacy in ("", "-legacy"):
                    number += 1
                    new = f"{E}{kind}-hp-{policy}{legacy}"
                    made.append(
                        Printed(
                            f"C.3.{number}",
                            new + reply,
                            f"{hour}:{next(minutes):02}",
                            "sealed",
                            policy,
                            bool(legacy),
                            new if reply else "",
                        )
                    )
    return made


SEALED = sealed_ones()


@pytest.fixture(scope="module")
def alice(world: World) -> smime.Identity:
    return world.ca.issue("alice@smime.example")


@pytest.fixture(scope="module")
def bob(world: World) -> smime.Identity:
    return world.ca.issue("bob@smime.example")


def made(one: Printed, alice: smime.Identity, bob: smime.Identity, policy: smime.Policy) -> bytes:
    if one.form == "none":
        return one.mail
    if one.form == "sealed":
        return bytes(smime.protect(one.mail, by=alice, to=bob, policy=policy))
    return bytes(smime.sign(one.mail, by=alice, opaque=one.form == "opaque", policy=policy))


def states(opened: smime.Opened) -> dict[str, str]:
    return {one.name: str(one.protection) for one in opened.report.headers}


def leaves(entity: Entity) -> list[Entity]:
    if not entity.content_type.value.startswith("multipart/"):
        return [entity]
    parts = split_parts(entity.body, boundary_of(entity))
    return [leaf for part in parts for leaf in leaves(split_entity(part))]


def test_all_are_there() -> None:
    everything = [*BARE, *SIGNED, *WRAPPED, *SEALED]
    assert len(everything) == len({one.section for one in everything}) == 31
    assert len({one.name for one in everything}) == 31
    printed = {one.section: (one.name, one.clock) for one in everything}
    assert printed["C.3.16"] == (f"{E}-complex-hp-shy-legacy-reply", "12:19")
    assert printed["C.3.4"] == (f"{E}-hp-shy-legacy", "10:13")


@pytest.mark.parametrize("one", BARE, ids=str)
def test_without_header_protection(
    world: World, one: Printed, alice: smime.Identity, bob: smime.Identity
) -> None:
    """C.1: the content may be protected, no header is."""
    mail = made(one, alice, bob, NO_HP)
    opened = smime.open(mail, keys=bob, trust=world.anchors)

    assert message_fields(mail) == one.fields
    assert message_fields(bytes(opened.mail)) == one.fields
    assert states(opened) == {name: "none" for name, _ in one.fields}
    assert opened.signer == (None if one.form == "none" else "alice@smime.example")
    if one.form != "none":
        assert message_fields(opened.content) == []


@pytest.mark.parametrize("one", SIGNED, ids=str)
def test_signed_only(
    world: World, one: Printed, alice: smime.Identity, bob: smime.Identity
) -> None:
    """C.2.1 to C.2.4: every field inside as outside, hp="clear", no HP-Outer."""
    mail = made(one, alice, bob, smime.Policy.modern())
    opened = smime.verify(mail, trust=world.anchors)
    payload = split_entity(opened.content)

    assert message_fields(mail) == one.fields
    assert message_fields(opened.content) == one.fields
    assert payload.content_type.params["hp"] == "clear"
    assert opened.content.lower().count(b"hp=") == 1  # at the root, and nowhere below it
    assert message_fields(bytes(opened.mail)) == one.fields
    assert states(opened) == {name: "signed" for name, _ in one.fields}
    assert opened.report.notes == ()


@pytest.mark.parametrize("one", SEALED, ids=str)
def test_signed_and_sealed(
    world: World, one: Printed, alice: smime.Identity, bob: smime.Identity
) -> None:
    """C.3.1 to C.3.16: the fields, then HP-Outer for each that is left outside."""
    policy = smime.Policy.modern().replace(headers=one.policy, legacy_display=one.legacy)
    mail = made(one, alice, bob, policy)
    opened = smime.verify(mail, keys=bob, trust=world.anchors)
    payload = split_entity(opened.content)

    assert message_fields(mail) == one.outside
    listed = [("HP-Outer", f"{name}: {value}") for name, value in one.outside]
    assert message_fields(opened.content) == [*one.fields, *listed]
    assert payload.content_type.value == ("multipart/mixed" if one.complex else "text/plain")
    assert payload.content_type.params["hp"] == "cipher"

    assert message_fields(bytes(opened.mail)) == one.fields
    assert states(opened) == {
        name: "signed and encrypted" if name in one.hidden else "signed" for name, _ in one.fields
    }
    assert (
        one.hidden
        == {"baseline": ["Subject"], "shy": ["Subject", "From", "To", "Date"]}[one.policy]
    )
    assert opened.report.notes == ()


@pytest.mark.parametrize("one", [one for one in SEALED if one.legacy], ids=str)
def test_legacy_display(
    world: World, one: Printed, alice: smime.Identity, bob: smime.Identity
) -> None:
    """What is hidden stands at the top of each main text, for readers that do not know hp."""
    policy = smime.Policy.modern().replace(headers=one.policy, legacy_display=True)
    opened = smime.verify(made(one, alice, bob, policy), keys=bob, trust=world.anchors)
    texts = [e for e in leaves(split_entity(opened.content)) if e.content_type.value[:5] == "text/"]
    display = [f"{name}: {value}" for name, value in one.fields if name in one.hidden]

    assert len(texts) == (2 if one.complex else 1)
    for text in texts:
        assert text.content_type.params["hp-legacy-display"] == "1"
    lines = texts[0].decoded().decode().splitlines()
    assert lines[: len(display) + 2] == [*display, "", "This is the"]
    if one.complex:
        html = texts[1].decoded().decode()
        block = html.partition('<div class="header-protection-legacy-display">')[2]
        shown = block.partition("<pre>")[2].partition("</pre>")[0].strip().splitlines()
        assert [line.replace("&lt;", "<").replace("&gt;", ">") for line in shown] == display
    # And it is shown to nobody who knows better.
    for leaf in leaves(split_entity(bytes(opened.mail))):
        assert b"Subject:" not in leaf.decoded()
        assert b"legacy-display" not in leaf.raw


@pytest.mark.parametrize("one", WRAPPED, ids=str)
def test_the_form_of_rfc_8551(
    world: World, one: Printed, alice: smime.Identity, bob: smime.Identity
) -> None:
    """C.2.5, C.2.6, C.3.17: a whole message stands inside; we read that and never write it.

    RFC 9788 §4.10 lets a reader call the Subject of C.3.17 encrypted, and says
    that nothing vouches for it. Without HP-Outer it is called signed here.
    """
    payload = b"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" + one.mail
    lines = "".join(f"{name}: {value}\r\n" for name, value in one.outside).encode()
    if one.form == "sealed":
        signed = smime.sign(payload, by=alice, opaque=True, policy=NO_HP)
        mail = payload_sealed(bob, bytes(signed), lines)
    elif one.form == "opaque":
        mail = lines + bytes(smime.sign(payload, by=alice, opaque=True, policy=NO_HP))
    else:
        mail = payload_signed(alice, payload, lines)
    opened = smime.verify(mail, keys=bob, trust=world.anchors)

    assert message_fields(mail) == one.outside
    assert message_fields(bytes(opened.mail)) == one.fields
    assert states(opened) == {name: "signed" for name, _ in one.fields}
    assert opened.message.get_content_type() == "multipart/mixed"
    assert [p.get_content_type() for p in opened.message.walk()][2:4] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("kind", "inside", "stands"),
    [
        (b"", b"From: " + ALICE.encode(), True),
        (b"; forwarded=no", b"From: " + ALICE.encode(), True),
        (b"; forwarded=yes", b"From: " + ALICE.encode(), False),
        (b"", b"From: bob@smime.example", False),
        (b"", b"From: alice@smime.example, bob@smime.example", False),
        (b"", b"X: y", False),
        (b"", b"From: " + ALICE.encode() + b"\r\nContent-Type: multipart/signed", False),
        (b"", b"From: " + ALICE.encode() + b"\r\nContent-Type: text/plain; hp=clear", False),
        (b"", b"x: 1\r\n" * 20_000 + b"From: " + ALICE.encode(), False),
    ],
)
def test_a_message_inside_that_may_be_a_forwarded_one(
    world: World, alice: smime.Identity, kind: bytes, inside: bytes, stands: bool
) -> None:
    """It stands for the mail only if it is plain and both are from one address."""
    payload = b"Content-Type: message/rfc822" + kind + b"\r\n\r\n" + inside + b"\r\n\r\nhi\r\n"
    mail = payload_signed(alice, payload, b"From: " + ALICE.encode() + b"\r\nSubject: outside\r\n")

    opened = smime.verify(mail, trust=world.anchors)

    assert opened.message.get_content_type() == ("text/plain" if stands else "message/rfc822")
    assert states(opened)["From"] == ("signed" if stands else "none")
