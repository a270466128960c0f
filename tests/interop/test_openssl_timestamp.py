"""Time stamps by `openssl ts`: asked for by us, made by OpenSSL, believed or not by us."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import smime
from smime import cms
from tests.support.peers import Peer
from tests.support.stamps import authority
from tests.trust.ca import root, sub_ca, user

pytestmark = pytest.mark.peer("openssl")

# OpenSSL stamps with its own clock.
NOW = datetime.now(UTC).replace(microsecond=0)
BEGIN, LATER = NOW - timedelta(days=2), NOW + timedelta(days=100)
KNOBS = {"begin": BEGIN, "end": NOW + timedelta(days=200)}
TOP, TIME_ROOT = root(**KNOBS), root("Time Root", **KNOBS)
MIDDLE = sub_ca(TOP, **KNOBS)
ALICE = user(MIDDLE, begin=BEGIN, end=NOW + timedelta(days=10))
STAMPER = authority(TIME_ROOT, **KNOBS)
CONFIG = """[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/root.pem
default_policy = 1.2.3.4
other_policies = 1.2.3.4
digests = sha256, sha384, sha512
signer_digest = sha256
accuracy = secs:1, millisecs:500, microsecs:100
ess_cert_id_alg = {essid}
"""


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
@pytest.mark.parametrize("essid", ["sha1", "sha256"])
def test_a_stamp_of_openssl_proves_when(
    openssl: Peer, tmp_path: Path, digest: str, essid: str
) -> None:
    """With the signer's certificate named in either form (RFC 2634, RFC 5816)."""
    pem = Encoding.PEM
    (tmp_path / "tsa.pem").write_bytes(STAMPER.certificate.public_bytes(pem))
    (tmp_path / "root.pem").write_bytes(TIME_ROOT.certificate.public_bytes(pem))
    key = STAMPER.key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "tsa.key").write_bytes(key)
    (tmp_path / "serial").write_text("01\n")
    (tmp_path / "tsa.cnf").write_text(CONFIG.format(folder=tmp_path, essid=essid))
    by = smime.Identity(ALICE.key, ALICE.certificate, [MIDDLE.certificate])
    blob = cms.sign(b"We meet at noon.\r\n", by=by, at=NOW - timedelta(days=1))
    (tmp_path / "query").write_bytes(cms.timestamp_query(blob, digest=digest))
    openssl.run(
        *("ts", "-reply", "-config", tmp_path / "tsa.cnf", "-queryfile", tmp_path / "query"),
        *("-out", tmp_path / "reply"),
    )
    stamped = cms.attach(blob, timestamp=(tmp_path / "reply").read_bytes())
    given = {"trust": smime.Anchors([TOP.certificate]), "at": LATER}
    tsa = smime.Anchors([TIME_ROOT.certificate])

    (check,) = cms.verify(stamped, tsa=tsa, **given).signatures

    assert check.proof == "time-stamp"
    assert abs(check.at - NOW) < timedelta(minutes=10)
    for refused in ({}, {"tsa": smime.Anchors([root("Other").certificate])}):
        with pytest.raises(smime.SignatureRejected, match="expired"):
            cms.verify(stamped, **refused, **given)
