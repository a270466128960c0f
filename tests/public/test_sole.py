"""The shortest way to sign and to seal writes the octets of the full way, or nothing."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import smime
from smime import cms, outgoing, sole
from smime import policy as policies
from smime.cms import agreement
from smime.cms import sole as cms_sole
from tests.support.world import LETTER, World

WORDS = b"the quick brown fox signs mail for the lazy dog, and nobody reads it"
TEXT = b"\r\n".join(WORDS[n % 40 :] + b" %d" % n for n in range(40)) + b"\r\n"
FIELDS = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: noon\r\n"
PLAIN = b"Content-Type: text/plain; charset=us-ascii\r\n"
ENTITY = PLAIN + b"\r\n" + TEXT
MAILS = {
    "entity": ENTITY,
    "entity of a long head": b"Content-Description: x\r\n y\r\n" * 30 + ENTITY,
    "version first": b"MIME-Version: 1.0\r\n" + ENTITY,
    "version behind": PLAIN + b"MIME-Version: 1.0\r\n\r\n" + TEXT,
    "version of another form": b"Mime-Version: 1.0 (x)\r\n" + ENTITY,
    "letter": LETTER,
    "letter of a list": b"Received: by x\r\nList-Id: <l.example>\r\n" + LETTER,
    "letter in LF": LETTER.replace(b"\r\n", b"\n"),
    "entity in LF": ENTITY.replace(b"\r\n", b"\n"),
    "entity with one bare LF": ENTITY[:-2] + b"\n",
    "head in LF": ENTITY.replace(b"\r\n", b"\n", 1),
    "bare CR": ENTITY + b"\r",
    "bare CR within": ENTITY.replace(b"fox", b"f\rx", 1),
    "NUL": ENTITY.replace(b"fox", b"f\0x", 1),
    "8-bit": FIELDS + PLAIN.replace(b"us-ascii", b"utf-8") + b"\r\n" + "Grüße\r\n".encode() * 40,
    "8-bit without a charset": FIELDS + b"\r\n" + "Grüße\r\n".encode() * 40,
    "8-bit entity": b"Content-Type: text/plain; charset=latin-1\r\n\r\n" + b"Gr\xfc\xdfe\r\n" * 40,
    "8-bit in the head": FIELDS + "Subject: Grüße\r\n".encode() + ENTITY,
    "encoded words": FIELDS.replace(b"noon", b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=") + ENTITY,
    "long lines": FIELDS + PLAIN + b"\r\n" + b"x" * 5000 + b"\r\n",
    "blanks at line ends": FIELDS + PLAIN + b"\r\n" + TEXT.replace(b"\r\n", b" \r\n"),
    "tabs at line ends": PLAIN + b"\r\n" + TEXT.replace(b"\r\n", b"\t\r\n"),
    "From at a line's start": FIELDS + PLAIN + b"\r\nFrom here on\r\n" + TEXT,
    "dots": PLAIN + b"\r\n.\r\n..\r\n" + TEXT,
    "no line end at the end": FIELDS + ENTITY[:-2],
    "no fields at all": b"\r\n" + TEXT,
    "no head": TEXT,
    "no type": FIELDS + b"\r\n" + TEXT,
    "only an encoding": b"Content-Transfer-Encoding: 7bit\r\n\r\n" + TEXT,
    "type within a fold": b"Content-Description: x\r\n content-type: y\r\n\r\n" + TEXT,
    "type twice": PLAIN + b"Content-Type: text/html\r\n\r\n" + TEXT,
    "type in small letters": b"content-type : text/plain\r\n\r\n" + TEXT,
    "type with hp": b'From: a@example.org\r\nContent-Type: text/plain; hp="clear"\r\n\r\n' + TEXT,
    "base64 of binary": FIELDS + b"Content-Type: x/y\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + b"AAECAwQFBgcICQoLDA0ODw==\r\n" * 30,
    "binary": b"Content-Transfer-Encoding: binary\r\n" + PLAIN + b"\r\n" + bytes(range(256)) * 4,
    "mbox": b"From alice Tue Nov 24\r\n" + LETTER,
    "two froms": b"From: carol@example.org\r\n" + LETTER,
    "only fields": FIELDS,
    "nothing but a line end": b"\r\n",
    "nothing": b"",
    "bcc": b"Bcc: carol@example.org\r\n" + LETTER,
    "bcc of a reader": b"Bcc: dave@example.org, bob@example.org\r\n" + LETTER,
    "a mention of bcc": LETTER.replace(b"Message-ID", b"X-About: bcc\r\nMessage-ID"),
    "comments": b"Comments: secret\r\nKeywords: a\r\n" + LETTER,
    "short": FIELDS + b"\r\nhi\r\n",
    "sealed already": FIELDS + b"Content-Type: application/pkcs7-mime; name=smime.p7m\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n" + b"MIAGCSqGSIb3DQEHA6CA\r\n" * 20,
    **{f"{octets} octets": (PLAIN + b"\r\n" + b"x" * octets)[: octets - 2] + b"\r\n" for octets in
       (*range(239, 275), 65_000, 65_180, 65_200, 65_300, 65_520, 65_535, 65_536, 70_000)},
}  # fmt: skip
POLICIES = {
    "modern": smime.Policy.modern(),
    "rfc8551": smime.Policy.rfc8551(),
    "edi": smime.Policy.edi_energy(),
    "as2": smime.Policy.as2(),
    "shy": smime.Policy(headers="shy"),
    "no headers": smime.Policy(headers="none", cipher="aes-192-gcm"),
    "hidden": smime.Policy(hidden=["message-id"], legacy_display=True),
    "oaep": smime.Policy(key_transport="rsa-oaep", cipher="aes-128-cbc"),
    "derived": smime.Policy(content_key="derived"),
    "ccm": smime.Policy(cipher="aes-256-ccm"),
    "chacha": smime.Policy(cipher="chacha20-poly1305"),
    "compressed": smime.Policy(compress=True),
    "named": smime.Policy(readers="named"),
    "large keys": smime.Policy(rsa_bits_min=3072),
    "small keys": smime.Policy(rsa_bits_max=2047, rsa_bits_min=1024),
}
CURVES = ("secp256r1", "secp384r1", "x25519")
SOME = ("entity", "letter", "8-bit", "short", "bcc of a reader", "70000 octets")


class Drawn:
    """Stands for the system's random numbers: the same ones in the same order, from the start."""

    def __init__(self) -> None:
        self.restart()

    def __call__(self, count: int) -> bytes:
        while len(self.octets) < count:
            self.rounds += 1
            self.octets += hashlib.sha512(b"%d" % self.rounds).digest()
        found, self.octets = self.octets[:count], self.octets[count:]
        return found

    def restart(self) -> None:
        self.octets = b""
        self.rounds = 0


class Public:
    """An RSA key whose padding is the same each time."""

    def __init__(self, real: Any) -> None:
        self.key_size = real.key_size

    def encrypt(self, content_key: bytes, pad: object) -> bytes:
        seed = hashlib.sha512(content_key + type(pad).__name__.encode()).digest()
        return (seed * 64)[: self.key_size // 8]


class Ways:
    """Seals by the shortest way and by the full way, and counts the former."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.short = self.short_cms = self.signed = 0
        self.drawn = Drawn()
        self.allowed = True
        ephemeral = agreement._ephemeral
        short, short_cms = outgoing.sealed_alone, cms_sole.seal
        sign = outgoing.signed_alone
        once = {curve: ephemeral(curve) for curve in CURVES}

        def seal(*given: Any) -> Any:
            found = short(*given) if self.allowed else None
            self.short += found is not None
            return found

        def signed(*given: Any) -> Any:
            found = sign(*given) if self.allowed else None
            self.signed += found is not None
            return found

        def seal_cms(*given: Any) -> Any:
            found = short_cms(*given) if self.allowed else None
            self.short_cms += found is not None
            return found

        monkeypatch.setattr(os, "urandom", self.drawn)
        monkeypatch.setattr(agreement, "_ephemeral", once.__getitem__)
        monkeypatch.setattr(outgoing, "sealed_alone", seal)
        monkeypatch.setattr(outgoing, "signed_alone", signed)
        monkeypatch.setattr(cms_sole, "seal", seal_cms)

    def both(self, verb: Any, *given: Any, **how: Any) -> tuple[object, object]:
        """Return what comes of it by the shortest way, if it is one, and by the full way."""
        return self._one(True, verb, *given, **how), self._one(False, verb, *given, **how)

    def _one(self, short: bool, verb: Any, *given: Any, **how: Any) -> object:
        self.allowed = short
        self.drawn.restart()
        try:
            made = verb(*given, **how)
        except (smime.SmimeError, TypeError, ValueError) as problem:
            return type(problem), str(problem), getattr(problem, "missing", ())
        if isinstance(made, bytes):
            return made
        return bytes(made), made.recipients, made.unverified, type(made)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


@pytest.fixture(scope="module")
def readers(world: World) -> dict[str, smime.Recipient]:
    """Readers of each kind; the RSA key pads the same each time."""
    since = datetime(2026, 11, 1, tzinfo=UTC)
    issue = world.ca.issue
    found = {
        "rsa": smime.Recipient(world.rsa.certificate),
        "rsa gcm": smime.Recipient(world.rsa.certificate, ("aes-256-gcm", "rsa-oaep")),
        "ec": smime.Recipient(world.bob.certificate),
        "ec derived": smime.Recipient(world.bob.certificate, ("aes-128-gcm", "cek-hkdf-sha256")),
        "p384": issue("eve@example.org", algorithm="p384", at=since).recipient,
        "x25519": issue("frank@example.org", algorithm="ed25519", at=since).recipient,
        "two addresses": issue("g@example.org", "h@example.org", at=since).recipient,
        "signs only": smime.Recipient(issue("ivan@example.org", at=since, pair=True).certificate),
        "expired": issue(
            "judy@example.org", at=datetime.now(UTC) - timedelta(days=9), lifetime_days=2
        ).recipient,
        "not yet": issue("ken@example.org", at=datetime.now(UTC) + timedelta(days=2)).recipient,
    }
    for one in found.values():
        writer = one.recipient_key.transport
        if writer is not None:
            writer.public = Public(writer.public)  # type: ignore[assignment]  # as far as it is used
    return found


def test_a_mail_of_any_form_is_sealed_alike(ways: Ways, readers: Any) -> None:
    """Under ordinary policies for ordinary readers."""
    for policy in ("modern", "rfc8551", "as2"):
        for name, mail in MAILS.items():
            for who in ("rsa", "ec"):
                how = {"to": readers[who], "policy": POLICIES[policy]}
                short, full = ways.both(smime.encrypt, mail, **how)
                assert short == full, (policy, name, who)
    # What is short, large, cannot be sealed or shows blind readers is not for the shortest way.
    assert ways.short > 300


@pytest.mark.parametrize("policy", POLICIES)
def test_for_any_reader_under_any_policy_it_is_sealed_alike(
    ways: Ways, readers: Any, policy: str
) -> None:
    for who, reader in readers.items():
        for mail in SOME:
            how = {"to": reader, "policy": POLICIES[policy]}
            short, full = ways.both(smime.encrypt, MAILS[mail], **how)
            assert short == full, (who, mail)
    assert (ways.short > 0) == (policy not in ("derived", "ccm", "chacha", "compressed", "named"))


def test_what_may_not_be_sealed_is_refused_after_what_may(ways: Ways, readers: Any) -> None:
    for who in ("expired", "not yet", "signs only"):
        with pytest.raises(smime.KeyProblem):
            smime.encrypt(LETTER, to=readers[who])
    with pytest.raises(smime.KeyProblem):
        smime.encrypt(LETTER, to=readers["rsa"], policy=POLICIES["large keys"])
    assert ways.short == 0
    smime.encrypt(LETTER, to=readers["rsa"])
    assert ways.short == 1


def test_the_day_is_asked_of_each_mail(
    ways: Ways, readers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader whose certificate ends while the program runs is written to no more."""
    reader = readers["ec"]
    assert smime.encrypt(LETTER, to=reader)
    assert ways.short == 1
    end = reader.fitness.not_after
    for seconds in (-1, 0, 1):
        at = end + timedelta(seconds=seconds)
        monkeypatch.setattr(policies, "datetime", _Clock(at))
        monkeypatch.setattr(sole, "time", at.timestamp)
        monkeypatch.setattr(cms_sole, "time", at.timestamp)
        if seconds <= 0:
            smime.encrypt(LETTER, to=reader)
            cms.encrypt(LETTER, to=reader)
        else:
            with pytest.raises(smime.KeyProblem, match="expired"):
                smime.encrypt(LETTER, to=reader)
            with pytest.raises(smime.KeyProblem, match="expired"):
                cms.encrypt(LETTER, to=reader)
    assert (ways.short, ways.short_cms) == (3, 2)


class _Clock(datetime):
    """``datetime`` with another now."""

    def __new__(cls, at: datetime) -> Any:
        return type("datetime", (datetime,), {"now": classmethod(lambda _, __: at)})


def test_a_signed_mail_is_sealed_alike(ways: Ways, world: World, readers: Any) -> None:
    for mail in (LETTER, ENTITY, MAILS["8-bit"], MAILS["blanks at line ends"]):
        for opaque in (False, True):
            signed = smime.sign(mail, by=world.alice, opaque=opaque)
            for given in (signed, bytes(signed)):
                short, full = ways.both(smime.encrypt, given, to=readers["ec"])
                assert short == full
    assert ways.short == 16


def test_several_readers_and_other_arguments_go_the_full_way(
    ways: Ways, world: World, readers: Any
) -> None:
    rsa, other = readers["rsa"], readers["ec"]
    for to in (
        rsa,
        [rsa],
        (rsa,),
        world.bob,
        [world.bob],
        [rsa, other],
        [other, other],
        iter([rsa]),
    ):
        again = [*to] if hasattr(to, "__next__") else to
        smime.encrypt(LETTER, to=again)
    assert ways.short == 6
    cases: list[dict[str, Any]] = [
        {"to": [rsa, other]},
        {"to": [rsa, rsa]},
        {"to": world.bob.certificate},
        {"to": []},
        {"to": None},
        {"to": "bob.pem"},
        {"to": world.bob, "trust": world.anchors},
        {"to": world.bob, "evidence": smime.Evidence()},
    ]
    before = ways.short
    for how in cases:
        short, full = ways.both(smime.encrypt, LETTER, **how)
        assert short == full, how
    for mail in (bytearray(LETTER), memoryview(LETTER), "letter.eml", None):
        short, full = ways.both(smime.encrypt, mail, to=rsa)
        assert short == full
    assert ways.short == before


def test_content_without_mail_is_sealed_alike(ways: Ways, world: World, readers: Any) -> None:
    for policy in POLICIES.values():
        for who, reader in readers.items():
            for octets in (
                0,
                1,
                239,
                240,
                255,
                256,
                257,
                4095,
                4096,
                65_100,
                65_300,
                65_535,
                70_000,
            ):
                for to in (reader, [reader]):
                    short, full = ways.both(cms.encrypt, bytes(octets), to=to, policy=policy)
                    assert short == full, (who, octets)
    assert ways.short_cms > 500
    before = ways.short_cms
    cases: list[dict[str, Any]] = [
        {"to": world.bob.certificate},
        {"to": [readers["rsa"], readers["ec"]]},
        {"to": cms.SharedKey(bytes(32), b"id")},
        {"to": cms.ContentKey(bytes(32))},
        {"to": []},
        {"to": readers["ec"], "content_type": "1.2.3.4", "policy": POLICIES["rfc8551"]},
        {"to": readers["ec"], "unprotected_attributes": [cms.attribute("1.2.3.4", b"\x05\x00")]},
    ]
    for how in cases:
        short, full = ways.both(cms.encrypt, bytes(1000), **how)
        assert short == full, how
    assert ways.short_cms == before


def test_it_opens_and_no_two_are_alike(world: World) -> None:
    """With real random numbers and real keys."""
    for who in (world.rsa, world.bob):
        for policy in (POLICIES["modern"], POLICIES["rfc8551"], POLICIES["oaep"]):
            made = {bytes(smime.encrypt(ENTITY, to=who, policy=policy)) for _ in range(3)}
            assert len(made) == 3
            for one in made:
                assert smime.decrypt(one, keys=who, trust=smime.NoTrust()).content == ENTITY
            blobs = {cms.encrypt(ENTITY, to=who.recipient, policy=policy) for _ in range(3)}
            assert len(blobs) == 3
            assert {cms.decrypt(blob, keys=who) for blob in blobs} == {ENTITY}


# --- signing -----------------------------------------------------------------------

AT = datetime(2026, 11, 20, 12, 0, 1, tzinfo=UTC)
SIGNING = {
    **{name: POLICIES[name] for name in ("modern", "as2", "no headers", "hidden", "compressed")},
    "sha512": smime.Policy(digest="sha512"),
    "as2 with a dash": smime.Policy.as2(micalg="sha-512"),
    "cades": smime.Policy(cades=True),
    "receipts": smime.Policy(receipts_to=["alice@example.org"]),
    "legacy display": smime.Policy(legacy_display=True),
    "exact": smime.Policy(line_ends="exact"),
    "large keys": smime.Policy(rsa_bits_min=3072),
}


@pytest.fixture(scope="module")
def signers(world: World) -> dict[str, smime.Identity]:
    """Signers whose signatures are the same each time, or who may not sign."""
    since = datetime(2026, 11, 1, tzinfo=UTC)
    return {
        "rsa": world.rsa,
        "ed25519, and another key that reads": world.ca.issue(
            "eve@example.org", algorithm="ed25519", at=since
        ),
        "ended before": world.ca.issue(
            "judy@example.org", algorithm="ed25519", at=AT - timedelta(days=9), lifetime_days=2
        ),
        "begins behind": world.ca.issue(
            "ken@example.org", algorithm="ed25519", at=AT + timedelta(days=2)
        ),
    }


@pytest.mark.parametrize("policy", SIGNING)
def test_a_mail_of_any_form_is_signed_alike(ways: Ways, world: World, policy: str) -> None:
    """The signer has an RSA key, for its signatures do not differ from time to time."""
    mails = MAILS if policy in ("modern", "as2") else {name: MAILS[name] for name in SOME}
    for name, mail in mails.items():
        for given in (mail, smime.Mail(mail)):
            how = {"by": world.rsa, "policy": SIGNING[policy], "at": AT}
            short, full = ways.both(smime.sign, given, **how)
            assert short == full, name
    assert (ways.signed > 0) == (policy not in ("compressed", "receipts", "large keys"))


def test_whoever_signs_it_is_signed_alike(ways: Ways, world: World, signers: Any) -> None:
    local = timezone(timedelta(hours=5, minutes=30))
    for who, signer in signers.items():
        for mail in SOME:
            for at in (AT, AT.astimezone(local), AT.replace(tzinfo=None), "now", 0):
                short, full = ways.both(smime.sign, MAILS[mail], by=signer, at=at)
                assert short == full, (who, mail, at)
    for by in ([world.rsa], (world.rsa,), [world.rsa, signers["rsa"]], [], None, "alice.p12"):
        short, full = ways.both(smime.sign, LETTER, by=by, at=AT)
        assert short == full
    short, full = ways.both(smime.sign, LETTER, by=world.rsa, opaque=True, at=AT)
    assert short == full
    # One in an identity alone whose key reads too, at a moment that can be told, and in a list.
    assert ways.signed == 2 * len(SOME) + 2


def test_what_is_signed_by_the_shortest_way_is_good(ways: Ways, world: World) -> None:
    for number in range(4):
        mail = smime.sign(LETTER, by=world.alice)
        assert ways.signed == number + 1
        assert smime.verify(mail, trust=world.anchors).signer == "alice@example.org"


def test_a_signer_whose_certificate_ends_signs_no_more(
    ways: Ways, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = world.rsa.fitness.not_after
    for seconds in (-1, 0, 1):
        monkeypatch.setattr(policies, "datetime", _Clock(end + timedelta(seconds=seconds)))
        if seconds <= 0:
            smime.sign(LETTER, by=world.rsa)
        else:
            with pytest.raises(smime.KeyProblem, match="expired"):
                smime.sign(LETTER, by=world.rsa)
    assert ways.signed == 2


def test_only_so_many_policies_are_kept(world: World) -> None:
    signer = smime.Identity(world.alice._key, world.alice.certificate)
    for _ in range(3 * sole.MAX_POLICIES):
        policy = smime.Policy()
        smime.sign(ENTITY, by=signer, policy=policy)
        assert signer._ways is not None
        assert id(policy) in signer._ways
        assert len(signer._ways) <= sole.MAX_POLICIES
    reader = smime.Recipient(world.bob.certificate)
    for _ in range(3 * cms_sole.MAX_POLICIES):
        policy = smime.Policy()
        smime.encrypt(ENTITY, to=reader, policy=policy)
        cms.encrypt(ENTITY, to=reader, policy=policy)
        assert reader._ways is not None
        assert id(policy) in reader._ways
        assert len(reader._ways) <= cms_sole.MAX_POLICIES
        assert len(reader.recipient_key.ways) <= cms_sole.MAX_POLICIES
