"""A pinned key met before: the shortest way says yes only where the full way does, of the same."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import smime
from smime import cms
from smime.cms import der, met
from tests.cms import forge
from tests.cms.signers import AT, KEYS, certificate_of, identity

ADDRESS = "rsa-0@example.org"


class Ways:
    """Counts what was taken by the shortest way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.short = 0
        real = met.Met.opened

        def counting(*given: Any, **how: Any) -> Any:
            found = real(*given, **how)
            self.short += found is not None
            return found

        monkeypatch.setattr(met.Met, "opened", counting)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


def content(number: int) -> bytes:
    return b"%d invoices, %s" % (number, b"each of another length" * (number % 17))


def signed(
    kind: str, number: int = 0, *, detached: bool = True, at: datetime = AT, **how: Any
) -> tuple[bytes, bytes | None]:
    """Return a signature, and what has to be given beside it."""
    data = content(number)
    blob = cms.sign(data, by=identity(kind), detached=detached, at=at, **how)
    return blob, data if detached else None


def pinned(kind: str, **how: Any) -> smime.Pinned:
    return smime.Pinned(certificate_of(kind), **how)


def warm(kind: str, *, trust: smime.Pinned | None = None, **how: Any) -> smime.Pinned:
    """Return a pin that has met the signer, in each length that its signatures have."""
    trust = pinned(kind) if trust is None else trust
    for number in range(12 if kind == "rsa" else 60):
        blob, beside = signed(kind, number, at=AT - timedelta(hours=number), **how)
        cms.verify(blob, content=beside, trust=trust, at=AT)
    assert trust.met
    return trust


def outcome(blob: bytes, beside: bytes | None, trust: Any, **how: Any) -> object:
    """Return all that comes of it."""
    how.setdefault("at", AT)
    try:
        opened = cms.verify(blob, content=beside, trust=trust, **how)
    except smime.SmimeError as refused:
        report = getattr(refused, "report", None)
        return type(refused), str(refused), report.to_dict() if report is not None else None
    return opened


DETACHED = pytest.mark.parametrize("detached", [True, False], ids=["detached", "inside"])


@DETACHED
@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        *((kind, smime.Policy.modern()) for kind in KEYS),
        ("rsa", smime.Policy(signature="rsa-pss")),
        ("rsa", smime.Policy(cades=True, digest="sha512")),
    ],
    ids=[*KEYS, "rsa-pss", "cades"],
)
def test_what_is_alike_goes_the_shortest_way(
    ways: Ways, kind: str, policy: smime.Policy, detached: bool
) -> None:
    trust, times = pinned(kind), 24 if kind[0] in "pb" else 4
    for number in range(times):
        at = AT - timedelta(hours=number)
        blob, beside = signed(kind, number, detached=detached, at=at, policy=policy)
        opened = cms.verify(blob, content=beside, trust=trust, at=AT)
        full = cms.verify(blob, content=beside, trust=pinned(kind), at=AT)
        assert opened.content == content(number)
        assert opened == full
        assert pickle.loads(pickle.dumps(opened)) == full
        (check,) = opened.signatures
        assert check.good
        assert check.signed_at == at
        assert check.chain == full.signatures[0].chain
        assert check.certificate == certificate_of(kind)
        assert opened.attributes == full.attributes
    assert ways.short >= (times - 2 if times == 4 else times // 2)
    assert len(trust.met or ()) <= met.MAX_ALIKE


@pytest.mark.parametrize("octets", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000, 0xFFFFFF])
def test_content_inside_may_have_any_length(ways: Ways, octets: int) -> None:
    trust = warm("rsa", detached=False)
    before = ways.short
    for near in range(max(octets - 4, 0), octets + 5 if octets < 0xFFFF else octets + 1):
        blob = cms.sign(bytes(near), by=identity("rsa"), at=AT)
        opened = cms.verify(blob, trust=trust, at=AT)
        assert opened.content == bytes(near)
        assert opened == cms.verify(blob, trust=pinned("rsa"), at=AT)
    assert ways.short > before or octets == 0xFFFFFF  # beyond what is usual


@pytest.mark.parametrize("kind", ["1.2.840.113549.1.7.3", "1.2.840.113549.1.9.16.1.4", "2.5.4.3"])
@DETACHED
def test_content_of_another_type(ways: Ways, kind: str, detached: bool) -> None:
    trust = pinned("rsa")
    for number in range(4):
        blob, beside = signed("rsa", number, detached=detached, content_type=kind)
        opened = cms.verify(blob, content=beside, trust=trust, at=AT)
        full = cms.verify(blob, content=beside, trust=pinned("rsa"), at=AT)
        assert opened == full
        assert opened.content_type == kind
        assert opened.encrypted is full.encrypted
    assert ways.short == 2
    other, beside = signed("rsa", 9, detached=detached)
    assert outcome(other, beside, trust) == outcome(other, beside, pinned("rsa"))
    assert ways.short == 2


def changes(blob: bytes) -> Iterator[bytes]:
    """Yield a blob with each octet another; some in two ways, gone, twice; and cut short."""
    draw = random.Random(len(blob))
    for at in range(len(blob)):
        yield blob[:at] + bytes([blob[at] ^ 1 << at % 8]) + blob[at + 1 :]
        if at % 5 == 0:
            yield blob[:at] + bytes([draw.randrange(256)]) + blob[at + 1 :]
            yield blob[:at] + blob[at + 1 :]
            yield blob[:at] + blob[at : at + 1] + blob[at:]
            yield blob[:at]


@DETACHED
@pytest.mark.parametrize("kind", ["rsa", "p256", "ed25519"])
def test_a_blob_changed_anywhere_is_judged_as_ever(ways: Ways, kind: str, detached: bool) -> None:
    """The control is the blob itself, which goes the shortest way."""
    trust = warm(kind, detached=detached)
    blob, beside = signed(kind, detached=detached)
    good = 0
    for changed in changes(blob):
        found = outcome(changed, beside, trust)
        assert found == outcome(changed, beside, pinned(kind))
        good += isinstance(found, cms.Opened)
    assert good < len(blob) / 5  # most octets are signed, or say who did
    # Among what nobody signs some changes are good: those were met too, and are forms like others.
    for _ in range(2):
        before = ways.short
        assert isinstance(outcome(blob, beside, trust), cms.Opened)
    assert ways.short == before + 1
    if beside is not None:
        for at in range(0, len(beside), 5):
            other = beside[:at] + bytes([beside[at] ^ 4]) + beside[at + 1 :]
            assert outcome(blob, other, trust) == outcome(blob, other, pinned(kind))


def test_parts_of_two_good_ones_make_no_good_one(ways: Ways) -> None:
    """Digest, time and value of one in the other: each place that may differ, in turn."""
    for detached in (True, False):
        trust = warm("rsa", detached=detached)
        one, beside = signed("rsa", 17, detached=detached)
        other, _ = signed("rsa", 0, detached=detached, at=AT - timedelta(days=1))
        behind = len(one) if detached else len(one) - one.index(content(17)) - len(content(17))
        first, second = one[-behind:], other[-behind:]
        assert len(first) == len(second)
        differ = [n for n in range(behind) if first[n] != second[n]]
        for start, end in ((0, 300), (behind - 300, behind), *((n, n + 1) for n in differ[::9])):
            mixed = one[:-behind] + first[:start] + second[start:end] + first[end:]
            found = outcome(mixed, beside, trust)
            assert found == outcome(mixed, beside, pinned("rsa"))
            assert mixed == one or not isinstance(found, cms.Opened)
        assert isinstance(outcome(one, beside, trust), cms.Opened)


def test_the_attributes_shown_as_content_are_refused(ways: Ways) -> None:
    trust = warm("rsa", detached=False)
    blob, _ = signed("rsa", detached=False)
    attributes = cms.verify(blob, trust=trust, at=AT).attributes_der[0]
    value = blob[-256:]
    info = forge.signer_info("rsa", over=attributes, attributes=[], sign=lambda _: value)
    certificates = [certificate_of("rsa").public_bytes(forge.Encoding.DER)]
    for inside in (attributes, None):
        beside = attributes if inside is None else None
        forged = forge.message(info, certificates=certificates, content=inside)
        for policy in (smime.Policy.modern(), smime.Policy.legacy_read()):
            found = outcome(forged, beside, trust, policy=policy)
            assert not isinstance(found, cms.Opened)
            assert found == outcome(forged, beside, pinned("rsa"), policy=policy)
    assert ways.short > 0


@DETACHED
def test_all_that_is_asked_is_asked_each_time(ways: Ways, detached: bool) -> None:
    """Each of these is no yes, or no yes of the shortest way; and all as by the full way."""
    trust = warm("rsa", detached=detached)
    blob, beside = signed("rsa", detached=detached)
    certificate = certificate_of("rsa")
    long_ago = AT - timedelta(days=9999)
    before = ways.short
    hows: list[dict[str, Any]] = [
        {"sender": "bob@example.org"},
        {"sender": ""},
        {"sender": ADDRESS.replace("rsa", "RSA"), "policy": smime.Policy(local_part="any-case")},
        {"at": certificate.not_valid_after_utc + timedelta(seconds=1)},
        {"at": certificate.not_valid_before_utc - timedelta(microseconds=1)},
        {"at": long_ago},
        {"policy": smime.Policy(rsa_bits_min=3072)},
        {"policy": smime.Policy(rsa_bits_min=1024, rsa_bits_max=1024)},
        {"policy": smime.Policy.legacy_read().replace(weak_until=AT)},
        {"evidence": smime.Evidence()},
        {"evidence": smime.Evidence(certificates=[certificate])},
        {"received_at": AT},
        {"tsa": smime.NoTrust()},
    ]
    for how in hows:
        found = outcome(blob, beside, trust, **how)
        assert found == outcome(blob, beside, pinned("rsa"), **how), how
    others: list[tuple[bytes, bytes | None]] = [
        (blob, None if detached else content(0)),
        (blob, b"" if detached else b"something else"),
        (blob + b"\0", beside),
        (b"\r\n" + blob, beside),
        (b"", beside),
    ]
    for one, given in others:
        assert outcome(one, given, trust) == outcome(one, given, pinned("rsa"))
    assert ways.short == before
    same: list[dict[str, Any]] = [
        {},
        {"sender": ADDRESS},
        {"purpose": "any"},
        {"purpose": "1.3.6.1.5.5.7.3.4"},
        {"purpose": "1.2.3.4"},
        {"require": "any"},
        {"at": certificate.not_valid_after_utc + timedelta(microseconds=999_999)},
        {"at": certificate.not_valid_before_utc},
        {"policy": smime.Policy(revocation="require")},
        {"policy": smime.Policy.legacy_read()},
    ]
    for how in same:
        found = outcome(blob, beside, trust, **how)
        assert isinstance(found, cms.Opened)
        assert found == outcome(blob, beside, pinned("rsa"), **how)
    assert ways.short == before + len(same)
    for wrong in ({"require": "none"}, {"at": AT.replace(tzinfo=None)}):
        with pytest.raises(ValueError, match=r"require=|no time zone"):
            cms.verify(blob, content=beside, trust=trust, **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_what_the_pin_says_now_counts(ways: Ways) -> None:
    """Its fields are asked at each call: they may have been changed."""
    blob, beside = signed("rsa")
    late = certificate_of("rsa").not_valid_after_utc + timedelta(days=1)
    trust = warm("rsa")
    assert outcome(blob, beside, trust, at=late) == outcome(blob, beside, pinned("rsa"), at=late)
    trust.ignore_dates = True
    before = ways.short
    assert outcome(blob, beside, trust, at=late) == outcome(
        blob, beside, pinned("rsa", ignore_dates=True), at=late
    )
    assert ways.short == before + 1
    trust.sender = "partner-as2-id"
    for sender in ("partner-as2-id", ADDRESS, "partner"):
        assert outcome(blob, beside, trust, sender=sender) == outcome(
            blob, beside, pinned("rsa", ignore_dates=True, sender="partner-as2-id"), sender=sender
        )
    trust.sender, trust.any_address = None, True
    assert outcome(blob, beside, trust, sender="anybody@example.org") == outcome(
        blob,
        beside,
        pinned("rsa", ignore_dates=True, any_address=True),
        sender="anybody@example.org",
    )
    assert ways.short == before + 3


def test_another_pin_knows_nothing_of_it(ways: Ways) -> None:
    """What was met is kept by the one that pinned it, and stands for no other certificate."""
    trust = warm("rsa")
    blob, beside = signed("rsa")
    stranger = pinned("p256")
    assert not stranger.met
    assert outcome(blob, beside, stranger)[0] is smime.SignatureRejected  # type: ignore[index]  # a refusal is a pair
    before = ways.short
    stranger.met = trust.met
    assert outcome(blob, beside, stranger)[0] is smime.SignatureRejected  # type: ignore[index]  # a refusal is a pair
    assert ways.short == before
    by_name = warm("rsa", trust=smime.Pinned(trust.fingerprint))
    before = ways.short
    assert outcome(blob, beside, by_name) == outcome(blob, beside, pinned("rsa"))
    assert ways.short == before + 1
    again = pickle.loads(pickle.dumps(trust))
    assert not again.met
    assert outcome(blob, beside, again) == outcome(blob, beside, trust)


def test_a_pin_that_judges_otherwise_is_asked_itself(ways: Ways) -> None:
    class Refusing(smime.Pinned):
        off = False

        def judge(self, claim: Any) -> Any:
            return (smime.NoTrust() if self.off else super()).judge(claim)

    trust = Refusing(certificate_of("rsa"))
    for number in range(3):
        blob, beside = signed("rsa", number)
        cms.verify(blob, content=beside, trust=trust, at=AT)
    trust.off = True
    assert outcome(blob, beside, trust)[0] is smime.SignatureRejected  # type: ignore[index]  # a refusal is a pair
    assert ways.short == 0


class Pipe:
    """Content whose size shows at its end."""

    def __init__(self, data: bytes) -> None:
        self.read = io.BytesIO(data).read


def strange(number: int) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Yield what is good, and of no usual form."""
    own = certificate_of("rsa").public_bytes(forge.Encoding.DER)
    one = forge.signer_info("rsa", more=[_time(number)])
    two = forge.signer_info("rsa", more=[forge.attribute("1.2.3", der.integer(1)), _time(number)])
    yield "two signers", forge.message(one, two, certificates=[own]), None
    beside = [forge.attribute("1.2.3.4", der.integer(1))]
    unsigned = forge.signer_info("rsa", more=[_time(number)], unsigned=beside)
    yield "unsigned attributes", forge.message(unsigned, certificates=[own]), None
    as_is = [forge.message_digest(forge.digest("sha256", forge.CONTENT)), forge.content_type()]

    def in_order_sent(_: bytes) -> bytes:
        return forge.plain_sign("rsa", der.tlv(0x31, b"".join(as_is)), "sha256")

    sent = forge.signer_info("rsa", attributes=as_is, sign=in_order_sent)
    swapped = sent.replace(b"".join(sorted(as_is)), b"".join(as_is))
    assert swapped != sent
    yield "not in order", forge.message(swapped, certificates=[own]), None
    yield "indefinite lengths", cms.sign(Pipe(content(number)), by=identity("rsa"), at=AT), None
    yield "octets behind", signed("rsa", number, detached=False)[0] + b"\0\0", None


def test_what_is_not_of_the_usual_form_goes_the_full_way(ways: Ways) -> None:
    trusts: dict[str, smime.Pinned] = {}
    for number in range(4):
        for name, blob, beside in strange(number):
            trust = trusts.setdefault(name, pinned("rsa"))
            found = outcome(blob, beside, trust)
            assert isinstance(found, cms.Opened), name
            assert found == outcome(blob, beside, pinned("rsa")), name
            assert ways.short == 0, name
    weak = smime.Policy.legacy_read()
    trust = pinned("rsa")
    for number in range(4):
        blob = forge.signed_by("rsa", name="sha1", more=[_time(number)])
        assert isinstance(outcome(blob, None, trust, policy=weak), cms.Opened)
        assert outcome(blob, None, trust)[0] is smime.SignatureRejected  # type: ignore[index]  # a refusal is a pair
    assert ways.short == 0
    trust = pinned("rsa")
    for number in range(4):  # the control: the same by a digest that is not weak
        blob = forge.signed_by("rsa", more=[_time(number)])
        assert isinstance(outcome(blob, None, trust), cms.Opened)
    assert ways.short == 2


def _time(number: int) -> bytes:
    return forge.attribute("1.2.840.113549.1.9.5", der.time(AT - timedelta(days=number)))


def test_a_time_that_is_none_is_told_as_ever(ways: Ways) -> None:
    trust = pinned("rsa")
    for number in range(4):
        time = forge.attribute("1.2.840.113549.1.9.5", der.tlv(0x17, b"26111%dnonsense" % number))
        blob = forge.signed_by("rsa", more=[time])
        found = outcome(blob, None, trust)
        assert found == outcome(blob, None, pinned("rsa"))
        assert isinstance(found, cms.Opened)
        assert found.signatures[0].signed_at is None
    assert ways.short == 2


def test_a_certificate_whose_purpose_is_not_mail(ways: Ways) -> None:
    """Whoever pins a key has said what it is for: passes and documents are signed by such ones."""
    certificate = certificate_of("rsa", 0, ADDRESS, "time")
    own = certificate.public_bytes(forge.Encoding.DER)
    trust = smime.Pinned(certificate)
    for number in range(4):
        blob = forge.signed_by("rsa", cert_der=own, more=[_time(number)])
        found = outcome(blob, None, trust)
        assert found == outcome(blob, None, smime.Pinned(certificate))
        assert isinstance(found, cms.Opened)
    assert ways.short == 2


@pytest.mark.parametrize("twin", [True, False])
def test_a_second_certificate_that_is_meant_is_asked_too(ways: Ways, twin: bool) -> None:
    """Two of one issuer and number, of one key: who signed is not clear, and never good."""
    trust = warm("rsa")
    before = ways.short
    own = certificate_of("rsa").public_bytes(forge.Encoding.DER)
    other = certificate_of("rsa", twin=1).public_bytes(forge.Encoding.DER)
    for number in range(4):
        info = forge.signer_info("rsa", more=[_time(number)])
        blob = forge.message(info, certificates=[own, other] if twin else [own])
        found = outcome(blob, None, trust)
        assert found == outcome(blob, None, pinned("rsa"))
        assert isinstance(found, cms.Opened) is not twin
    assert ways.short == before + (0 if twin else 2)


def test_a_copy_elsewhere_is_not_kept_in_the_result(tmp_path: Path, ways: Ways) -> None:
    """Files and ``out`` go the full way, before and after."""
    trust = warm("rsa")
    blob, beside = signed("rsa")
    assert beside is not None
    (tmp_path / "content").write_bytes(beside)
    (tmp_path / "blob").write_bytes(blob)
    before = ways.short
    for given in (tmp_path / "content", io.BytesIO(beside), bytearray(beside)):
        cms.verify(blob, content=given, trust=trust, at=AT)
    cms.verify(tmp_path / "blob", content=beside, trust=trust, at=AT)
    cms.verify(blob, content=beside, trust=trust, at=AT, out=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == beside
    assert ways.short == before
