"""Anchors, pinned keys and evidence as objects: reading, keeping, sharing."""

from __future__ import annotations

import pickle
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

import smime.trust.facts as facts_module
from smime.errors import KeyProblem, LimitExceeded, MalformedMail
from smime.policy import Policy, Revocation
from smime.report import Answer
from smime.trust import CODES, Anchors, Evidence, NoTrust, Pinned
from smime.trust.facts import Cache
from tests.trust.ca import (
    ADDRESS,
    AT,
    TLS_CLIENT,
    claim,
    codes,
    key_usage,
    root,
    sub_ca,
    user,
)

TOP, OTHER = root(), root("Other CA")
ALICE = user(TOP)
PEM, DER = Encoding.PEM, Encoding.DER


def pem(*entities) -> bytes:
    return b"".join(one.certificate.public_bytes(PEM) for one in entities)


FORMS = {
    "pem": pem(TOP),
    "pem of two": pem(OTHER, TOP),
    "pem with text around": b"Subject: us\n" + pem(TOP) + b"\nthe end\n",
    "pem with CRLF": pem(TOP).replace(b"\n", b"\r\n"),
    "der": TOP.certificate.public_bytes(DER),
    "pkcs7 der": pkcs7.serialize_certificates([OTHER.certificate, TOP.certificate], DER),
    "pkcs7 pem": pkcs7.serialize_certificates([TOP.certificate], PEM),
}


@pytest.mark.parametrize("form", FORMS)
def test_anchors_are_read_in_every_usual_form(form, tmp_path):
    file = tmp_path / "anchors"
    file.write_bytes(FORMS[form])

    for anchors in (Anchors.parse(FORMS[form]), Anchors.load(file), Anchors.load(str(file))):
        assert TOP.certificate in anchors.certificates
        assert anchors.judge(claim(ALICE)).good


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no certificate at all",
        b"\x30\x03\x02\x01\x05",
        pem(TOP)[:200],
        pem(TOP) + pem(OTHER).replace(b"M", b"N", 9),
        b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        pkcs7.serialize_certificates([TOP.certificate], DER)[:100],
    ],
    ids=range(8),  # fresh certificates in a name would differ between xdist's workers
)
def test_what_holds_no_certificate_is_a_key_problem(data):
    with pytest.raises(KeyProblem) as caught:
        Anchors.parse(data)
    assert caught.value.hint


def test_nobody_is_no_set_of_anchors():
    with pytest.raises(KeyProblem, match="no anchors"):
        Anchors([])
    with pytest.raises(KeyProblem, match="no anchors"):
        Anchors.load()
    with pytest.raises(TypeError, match="use Anchors"):
        Anchors(["root.pem"])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        Anchors.parse("text")  # type: ignore[arg-type]


def test_folders_are_read_one_level_deep(tmp_path):
    (tmp_path / "a.pem").write_bytes(pem(TOP))
    (tmp_path / "b.cer").write_bytes(OTHER.certificate.public_bytes(DER))
    (tmp_path / "README").write_text("our roots")
    (tmp_path / ".hidden.pem").write_text("broken")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.pem").write_bytes(pem(root("Deep CA")))

    assert {*Anchors.load(tmp_path).certificates} == {TOP.certificate, OTHER.certificate}
    (tmp_path / "c.pem").write_text("broken")
    with pytest.raises(KeyProblem, match=r"c\.pem"):
        Anchors.load(tmp_path)


def test_a_folder_without_certificates_and_a_missing_file(tmp_path):
    with pytest.raises(KeyProblem, match="no certificate"):
        Anchors.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        Anchors.load(tmp_path / "nothing.pem")


def test_a_huge_file_is_refused(tmp_path):
    file = tmp_path / "huge.pem"
    with file.open("wb") as out:
        out.truncate(17 * 1024 * 1024)

    with pytest.raises(LimitExceeded):
        Anchors.load(file)


def test_repeated_anchors_count_once():
    assert len(Anchors([TOP.certificate, TOP.certificate]).certificates) == 1


def test_repr_names_the_anchors_and_steers_no_terminal():
    evil = root("Evil\x1b[2J CA")

    assert repr(Anchors([TOP.certificate])) == "<Anchors: Chess Club CA>"
    assert "\x1b" not in repr(Anchors([evil.certificate]))


def test_trusts_and_evidence_can_be_pickled():
    middle = sub_ca(TOP)
    asked = claim(user(middle))
    evidence = Evidence(certificates=[middle.certificate], crls=[TOP.crl()])

    anchors = pickle.loads(pickle.dumps(Anchors([TOP.certificate])))
    again = pickle.loads(pickle.dumps(evidence))
    assert anchors.certificates == (TOP.certificate,)
    assert (again.certificates, again.crls) == (evidence.certificates, evidence.crls)
    assert codes(anchors.judge(asked)) == {"path": "no-anchor"}
    pinned = pickle.loads(pickle.dumps(Pinned(ALICE.certificate, sender="x@example.org")))
    assert repr(pinned) == repr(Pinned(ALICE.certificate, sender="x@example.org"))


def test_judgements_can_be_pickled_by_parts():
    found = Anchors([TOP.certificate]).judge(claim(ALICE))

    assert pickle.loads(pickle.dumps(found.path)) == found.path


# --- what is kept between calls ----------------------------------------------


def test_a_warm_cache_keeps_no_verdict():
    middle = sub_ca(TOP)
    alice = user(middle)
    anchors = Anchors([TOP.certificate])
    assert anchors.judge(claim(alice, middle)).good

    later = AT + timedelta(days=3650)
    assert codes(anchors.judge(claim(alice, middle, at=later))) == {"time": "expired"}
    crl = middle.crl(alice)
    assert codes(anchors.judge(claim(alice, middle, crls=(crl,)))) == {"revocation": "revoked"}
    strict = Policy.modern().replace(revocation=Revocation.REQUIRE)
    assert codes(anchors.judge(claim(alice, middle, policy=strict))) == {
        "revocation": "revocation-unknown"
    }
    assert codes(anchors.judge(claim(alice, middle, sender="bob@example.org"))) == {
        "address": "address-differs"
    }
    assert codes(anchors.judge(claim(alice, middle, digest_algorithm="sha1"))) == {
        "usage": "weak-algorithm"
    }
    assert codes(anchors.judge(claim(alice))) == {"path": "no-anchor"}
    assert codes(Anchors([OTHER.certificate]).judge(claim(alice, middle))) == {"path": "no-anchor"}
    assert anchors.judge(claim(alice, middle)).good


def test_the_cache_is_bounded_and_drops_the_oldest():
    cache = Cache(size=3)
    people = [user(TOP) for _ in range(5)]
    first = cache.facts(people[0].certificate)
    for one in people[1:3]:
        cache.facts(one.certificate)
    assert cache.facts(people[0].certificate) is first
    for one in people[3:]:
        cache.facts(one.certificate)

    assert len(cache) == 3
    assert cache.facts(people[0].certificate) is first


def test_signatures_are_verified_once(monkeypatch):
    counted = []
    verify = facts_module._verify
    monkeypatch.setattr(
        facts_module, "_verify", lambda *pair: counted.append(pair) or verify(*pair)
    )
    middle = sub_ca(TOP)
    alice = user(middle)
    anchors = Anchors([TOP.certificate])

    for _ in range(3):
        assert anchors.judge(claim(alice, middle)).good
    assert len(counted) == 2


def test_threads_share_an_object():
    anchors = Anchors([TOP.certificate])
    middle = sub_ca(TOP, permitted=(x509.RFC822Name("example.org"),))
    claims = [claim(user(middle), middle), claim(user(OTHER)), claim(user(TOP))] * 10
    expected = [anchors.judge(one).good for one in claims]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda one: anchors.judge(one).good, claims)) == expected
    assert expected[:3] == [True, False, True]


# --- Pinned and NoTrust ------------------------------------------------------


def test_a_pinned_key_needs_no_chain(tmp_path):
    (tmp_path / "alice.pem").write_bytes(pem(ALICE))
    digest = facts_module.Facts(ALICE.certificate).digest.hex()

    for pinned in (
        Pinned(ALICE.certificate),
        Pinned(digest),
        Pinned(digest.upper()),
        Pinned(":".join(digest[n : n + 2] for n in range(0, 64, 2))),
        Pinned.load(tmp_path / "alice.pem"),
    ):
        found = pinned.judge(claim(ALICE))
        assert found.good
        assert found.chain == (ALICE.certificate,)
        assert codes(pinned.judge(claim(user(TOP)))) == {"path": "pinned-differs"}


def test_pinning_is_about_the_whole_certificate():
    renewed = user(TOP, key=ALICE.key)

    assert codes(Pinned(ALICE.certificate).judge(claim(renewed))) == {"path": "pinned-differs"}


def test_pinning_replaces_chain_and_revocation_only():
    pinned = Pinned(ALICE.certificate)

    assert codes(pinned.judge(claim(ALICE, at=AT + timedelta(days=3650)))) == {"time": "expired"}
    assert codes(pinned.judge(claim(ALICE, sender="bob@example.org"))) == {
        "address": "address-differs"
    }
    strict = Policy.modern().replace(revocation=Revocation.REQUIRE)
    assert pinned.judge(claim(ALICE, policy=strict)).good


def test_a_pinned_sender_replaces_what_the_certificate_names():
    pinned = Pinned(ALICE.certificate, sender="shop@example.org")

    assert pinned.judge(claim(ALICE, sender="shop@EXAMPLE.org")).good
    assert codes(pinned.judge(claim(ALICE, sender=ADDRESS))) == {"address": "address-differs"}
    assert codes(pinned.judge(claim(ALICE, sender=None))) == {"address": "sender-unknown"}


def test_a_pinned_key_is_for_what_it_was_pinned_for():
    """Partners in AS2 pin TLS certificates; key usage and strength are judged all the same."""
    partner = user(TOP, purposes=TLS_CLIENT)
    assert Pinned(partner.certificate).judge(claim(partner)).good
    assert codes(NoTrust().judge(claim(partner)))["usage"] == "eku-wrong"

    sealing = user(TOP, usage=key_usage(key_agreement=True))
    assert codes(Pinned(sealing.certificate).judge(claim(sealing))) == {"usage": "usage-wrong"}


def test_dates_and_address_are_left_out_on_demand_only():
    late = AT + timedelta(days=3650)

    undated = Pinned(ALICE.certificate, ignore_dates=True)
    assert undated.judge(claim(ALICE, at=late)).good
    another = undated.judge(claim(ALICE, at=late, sender="bob@example.org"))
    assert codes(another) == {"address": "address-differs", "time": "not-asked"}
    anybody = Pinned(ALICE.certificate, any_address=True)
    assert anybody.judge(claim(ALICE, sender="bob@example.org")).good
    assert "time" in codes(anybody.judge(claim(ALICE, at=late)))
    assert not anybody.judge(claim(user(TOP))).good
    assert repr(anybody).endswith(", any_address=True)")
    with pytest.raises(ValueError, match="not for both"):
        Pinned(ALICE.certificate, sender=ADDRESS, any_address=True)


@pytest.mark.parametrize("text", ["", "alice.pem", "00" * 19, "0x" + "00" * 31, "g" * 64])
def test_a_text_that_is_no_fingerprint_is_a_mistake(text):
    with pytest.raises(ValueError, match="fingerprint"):
        Pinned(text)


def test_only_one_certificate_can_be_pinned(tmp_path):
    (tmp_path / "two.pem").write_bytes(pem(TOP, ALICE))

    with pytest.raises(KeyProblem, match="exactly one"):
        Pinned.load(tmp_path / "two.pem")
    with pytest.raises(TypeError):
        Pinned(b"")  # type: ignore[arg-type]


def test_no_trust_is_never_good_and_still_tells():
    found = NoTrust().judge(claim(ALICE))

    assert not found.good
    assert found.path.code == "no-trust"
    assert found.path.answer is Answer.NOT_CHECKED
    assert (found.usage.code, found.address.code, found.time.code) == ("ok", "ok", "ok")
    assert found.chain == ()


# --- Evidence ---------------------------------------------------------------


def test_evidence_refuses_what_it_cannot_honour():
    for given in ({"crls": [b"junk"]}, {"crls": [b""]}, {"ocsp": [b"junk"]}):
        with pytest.raises(MalformedMail):
            Evidence(**given)
    with pytest.raises(TypeError):
        Evidence(certificates=[b"junk"])  # type: ignore[list-item]
    with pytest.raises(LimitExceeded):
        Evidence(crls=[bytes(1024 * 1024)] * 51)
    with pytest.raises(LimitExceeded):
        Evidence(ocsp=[b""] * 1001)


def test_evidence_is_frozen():
    evidence = Evidence()

    with pytest.raises(AttributeError):
        evidence.crls = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del evidence.crls


# --- codes and imports -----------------------------------------------------


def test_every_code_that_is_given_has_its_line_and_no_other_has():
    given = {"ok"}
    for file in Path(facts_module.__file__).parent.glob("*.py"):
        text = file.read_text()
        given |= set(re.findall(r'Finding\.(?:no|open)\(\s*"([a-z-]+)"', text))
        given |= set(re.findall(r'code, what = "([a-z-]+)"', text)) | set(
            re.findall(r'else "(chain-expired)"', text)
        )

    assert given == set(CODES)
    assert all(text and not text.endswith(".") for text in CODES.values())


def test_the_engine_stays_away_until_it_is_needed():
    import subprocess

    program = (
        "import sys; from tests.trust.ca import *; from smime.trust import Anchors\n"
        "top = root(); assert Anchors([top.certificate]).judge(claim(user(top))).good\n"
        "assert 'pyhanko_certvalidator' not in sys.modules\n"
        "assert 'asn1crypto' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_moments_in_other_zones_are_the_same_moment():
    anchors = Anchors([TOP.certificate])
    zone = timezone(timedelta(hours=-11))

    assert anchors.judge(claim(ALICE, at=AT.astimezone(zone))).time == (
        anchors.judge(claim(ALICE, at=AT.astimezone(UTC))).time
    )
