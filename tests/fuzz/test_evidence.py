"""Damaged time stamps, CRLs, OCSP answers and what a web server answers: only our errors.

Nothing of it makes good what would not be without it.
"""

from __future__ import annotations

from random import Random

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

import smime
from smime import cms, fetch
from smime.cms import signatures
from smime.cms.timestamp import check_token
from smime.errors import SmimeError
from smime.policy import Policy
from tests.fuzz.damage import DAMAGE
from tests.support.stamps import authority, stamped, token_for
from tests.trust.ca import AT, claim, root, sub_ca, user
from tests.trust.test_proven_time import ANCHORS, BLOB, CONTENT, LATER, STAMPER, TSA

CASES = 200
REQUIRE = Policy.modern().replace(revocation="require")
TOP = root()
MIDDLE = sub_ca(TOP)
BOB = user(MIDDLE)
HOUSE = smime.Anchors([TOP.certificate])


def damaged(blob: bytes, seed: str) -> bytes:
    chance = Random(seed)
    for _ in range(chance.choice((1, 1, 2))):
        if blob:
            blob = chance.choice(DAMAGE)(blob, chance)
    return blob


def is_good(blob: bytes, at_hand: smime.Anchors = TSA) -> bool:
    try:
        return cms.verify(blob, trust=ANCHORS, tsa=at_hand, at=LATER).content == CONTENT
    except SmimeError:
        return False


def test_damaged_time_stamps() -> None:
    """A token that holds says the time that was signed, whatever was done to it."""
    token = token_for(cms.timestamp_query(BLOB), STAMPER, AT)
    (signer,) = signatures.read(BLOB).signers
    assert check_token(token, signer.value, policy=REQUIRE).holds
    held = 0
    for number in range(CASES):
        changed = damaged(token, f"token {number}")
        found = check_token(changed, signer.value, policy=REQUIRE)
        assert not found.holds or (found.time, found.latest) == (AT, AT)
        held += found.holds and changed != token
    # Few changes are of what nobody signed: a version, an unused certificate.
    assert held < CASES // 5


def test_every_octet_of_a_time_stamp_counts() -> None:
    """Where a changed octet leaves it good, the time that it proves is the same."""
    whole = bytearray(stamped(BLOB, STAMPER, AT))
    for place in range(len(BLOB) - 40, len(whole), 5):
        whole[place] ^= 1
        try:
            (check,) = cms.verify(bytes(whole), trust=ANCHORS, tsa=TSA, at=LATER).signatures
            assert check.at == AT
        except SmimeError:
            pass
        whole[place] ^= 1
    assert is_good(bytes(whole))
    assert not is_good(stamped(BLOB, authority(TOP), AT))


def answer() -> bytes:
    return (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=BOB.certificate,
            issuer=MIDDLE.certificate,
            algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=AT,
            next_update=LATER,
            revocation_time=None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, MIDDLE.certificate)
        .sign(MIDDLE.key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("kind", ["crls", "ocsp"])
def test_damaged_status(kind: str) -> None:
    """Under a policy that demands it: what is damaged is no status, given or sent along."""
    blob = MIDDLE.crl() if kind == "crls" else answer()
    top = TOP.crl()

    def good(changed: bytes) -> tuple[bool, bool]:
        sent = HOUSE.judge(
            claim(BOB, MIDDLE, sender="alice@example.org", policy=REQUIRE,
                  evidence=smime.Evidence(crls=[top]), **{kind: (changed,)})
        )  # fmt: skip
        try:
            given = {"crls": [top], "ocsp": []}
            given[kind] = [*given[kind], changed]
            held = HOUSE.judge(claim(BOB, MIDDLE, policy=REQUIRE, evidence=smime.Evidence(**given)))
        except smime.MalformedMail:
            return sent.good, False
        return sent.good, held.good

    assert good(blob) == (True, True)
    for number in range(CASES):
        changed = damaged(blob, f"{kind} {number}")
        if changed != blob:
            assert good(changed) == (False, False), number


def test_damaged_answers_of_web_servers() -> None:
    whole = (
        b"HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n6; a=b\r\n world\r\n0\r\nTrailer: y\r\n\r\n"
    )
    assert fetch._read_answer(whole, "http://pki.example.org/") == (200, "", b"hello world")
    for number in range(CASES):
        try:
            _, _, body = fetch._read_answer(damaged(whole, f"http {number}"), "http://x.example/")
        except OSError:
            continue
        assert len(body) <= 2 * len(whole) + 70_000
