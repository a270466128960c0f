"""The issuing CA changes its key: what it gave out stays good, and can still be taken back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

import pki
import smime
from pki import backup, folder, keys, rollover
from pki.audit import audit
from pki.authority import moment
from pki.cli import main
from pki.folder import Records
from tests.support.peers import Peer

REPOSITORY = Path(__file__).parents[2]
PASS = ("--passphrase-file", "ca-pass")
P12 = ("--p12-passphrase-file", "ca-pass")
OLD = {"crl_url": "http://pki.example/1.crl", "ca_url": "http://pki.example/1.cer"}
NEW = ("--crl-url", "http://pki.example/2.crl", "--ca-url", "http://pki.example/2.cer")
OLD_URLS = ("--crl-url", OLD["crl_url"], "--ca-url", OLD["ca_url"])
ROLL = ("rollover", "--root-key", "club/private/root.key.pem", *NEW, *PASS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA that gave out two certificates. Only copied."""
    place = tmp_path_factory.mktemp("made")
    with pki.Registrar.create(
        place / "club", name="Club", passphrase="secret", domains=["chess.example"], **OLD
    ) as ca:
        for name in ("alice", "bob"):
            made = ca.issue(f"{name}@chess.example", algorithm="p256")
            (place / f"{name}.p12").write_bytes(made.to_p12("secret"))
            pem = made.certificate.public_bytes(Encoding.PEM)
            (place / f"{name}.pem").write_bytes(pem)
    (place / "ca-pass").write_text("secret\n")
    return place


@pytest.fixture
def club(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return Path("club")


def crls() -> dict[str, x509.CertificateRevocationList]:
    main(["crl", *PASS])
    places = {"new": "club/crl/ca.crl", "old": "club/former/1/crl/ca.crl"}
    return {
        name: x509.load_der_x509_crl(Path(place).read_bytes())
        for name, place in places.items()
        if Path(place).exists()
    }


def test_the_new_one_issues_and_the_old_one_takes_back(
    club: Path, capsys: pytest.CaptureFixture[str], openssl: Peer
) -> None:
    main(["crl", *PASS])
    number = x509.CRLNumber
    before = x509.load_der_x509_crl(Path("club/crl/ca.crl").read_bytes())
    capsys.readouterr()

    main([*ROLL, "--json"])

    said = json.loads(capsys.readouterr().out)
    assert said["former"] == [os.path.join("club", "former", "1")]
    assert said["crl_url"] == NEW[1]
    new, old = Records.load("club"), Records.load("club/former/1")
    assert (new.issuing.subject.rfc4514_string(), old.crl_url) == (
        "CN=Club (issuing 2)",
        OLD["crl_url"],
    )
    assert rollover.domains_of(new.issuing) == rollover.domains_of(old.issuing) != ()
    main(["issue", "carol@chess.example", "--key", "p256", *PASS, *P12, "-o", "carol.p12"])
    main(["revoke", "alice@chess.example", "--reason", "keyCompromise"])
    main(["revoke", "carol@chess.example"])
    lists = crls()
    serial = {
        name: x509.load_pem_x509_certificates(Path(f"{name}.pem").read_bytes())[0].serial_number
        for name in ("alice", "bob", "carol")
    }
    assert {one.serial_number for one in lists["old"]} == {serial["alice"]}
    assert {one.serial_number for one in lists["new"]} == {serial["carol"]}
    assert lists["old"].is_signature_valid(old.issuing.public_key())
    assert lists["new"].is_signature_valid(new.issuing.public_key())
    assert (
        lists["old"].extensions.get_extension_for_class(number).value.crl_number
        > before.extensions.get_extension_for_class(number).value.crl_number
    )
    trust = smime.Anchors.load("club/root.pem")
    letter = b"From: bob@chess.example\r\n\r\nhello\r\n"
    bob = smime.Identity.load("bob.p12", passphrase="secret")
    assert smime.verify(bytes(smime.sign(letter, by=bob)), trust=trust).signer
    for name, ca in (("alice", "former/1/"), ("carol", "")):
        check = ("verify", "-CAfile", "club/root.pem", "-crl_check", f"{name}.pem")
        Path("crl.pem").write_bytes(lists["old" if ca else "new"].public_bytes(Encoding.PEM))
        made = openssl.attempt(
            *check[:-1], "-CRLfile", "crl.pem", "-untrusted", f"club/{ca}issuing.pem", check[-1]
        )
        assert b"revoked" in made.stderr
    assert main(["audit"]) == 0


def test_the_old_one_signs_nothing_else(club: Path) -> None:
    main([*ROLL])
    with pytest.raises(pki.RequestRefused, match="successor"):
        main(
            [
                "issue",
                "eve@chess.example",
                *PASS,
                *P12,
                "-o",
                "eve.p12",
                "--ca-dir",
                "club/former/1",
            ]
        )
    assert not Path("eve.p12").exists()
    with pytest.raises(pki.RequestRefused, match="former"):
        main([*ROLL, "--ca-dir", "club/former/1"])
    assert main(["list", "--ca-dir", "club/former/1"]) == 0  # the same ledger
    with Records.load("club").ledger() as ledger:
        assert audit(ledger).unbroken


def test_ocsp_speaks_for_each_of_the_two(club: Path) -> None:
    main([*ROLL])
    main(["issue", "carol@chess.example", "--key", "p256", *PASS, *P12, "-o", "carol.p12"])
    alice, carol = (
        smime.Identity.load(f"{name}.p12", passphrase="secret").certificate
        for name in ("alice", "carol")
    )
    good, unknown = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.UNKNOWN
    for place, statuses in (("club", (unknown, good)), ("club/former/1", (good, unknown))):
        with pki.Registrar.load(place, passphrase="secret") as ca:
            responder = ca.responder()
            for certificate, status in zip((alice, carol), statuses, strict=True):
                issuer = ca.records.issuing
                key = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
                builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
                    hashlib.sha1(issuer.subject.public_bytes()).digest(),
                    key.digest,  # SHA-1 of the key's bits, as a CertID has it
                    certificate.serial_number,
                    SHA1(),
                )
                request = builder.build()
                der = request.public_bytes(Encoding.DER)
                answer = ocsp.load_der_ocsp_response(responder.answer(der, at=moment(None)))
                assert answer.certificate_status is status
            own = alice if place != "club" else carol
            serials = dict(responder.presign(ca.current(moment(None)), at=moment(None)))
            assert own.serial_number in serials
            assert len(serials.keys() & {alice.serial_number, carol.serial_number}) == 1


def test_published_and_backed_up_with_its_former_ones(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*ROLL])
    crls()
    main(["publish", "--static", "www"])
    assert {path.name for path in Path("www").iterdir()} == {
        "root.cer",
        *("1.crl", "1.cer"),
        *("2.crl", "2.cer"),
    }
    main(["backup", "-o", "club.tar"])
    shutil.rmtree("club")
    backup.restore("club.tar", "club")
    assert Path("club/former/1/private").stat().st_mode & 0o777 == 0o700
    assert Path("club/former/1/private/issuing.key.pem").stat().st_mode & 0o777 == 0o600
    main(["revoke", "alice@chess.example"])
    assert len(list(crls()["old"])) == 1


def test_twice(club: Path) -> None:
    main([*ROLL])
    third = [word.replace("/2.", "/3.") for word in ROLL]
    main(third)
    assert Records.load("club").issuing.subject.rfc4514_string() == "CN=Club (issuing 3)"
    main(["crl", *PASS])
    assert len(Records.load("club").former) == 2
    assert Path("club/former/2/crl/ca.crl").exists()


def test_a_root_on_another_machine(club: Path) -> None:
    Path("stick/private").mkdir(parents=True)
    shutil.move("club/private/root.key.pem", "stick/private/root.key.pem")
    shutil.copy("club/root.pem", "stick/root.pem")
    main(["root", "request", "new", "--name", "Club Post", *PASS, "-o", "request"])
    sign = ("root", "sign-request", "request", "--root-dir", "stick", "--name", "Club Post", *PASS)
    main([*sign, "--domain", "chess.example", "-o", "answer"])

    main(
        ["rollover", "--request-dir", "new", "--answer", "answer", *NEW, *PASS, "--ca-dir", "club"]
    )

    assert Records.load("club").issuing.subject.rfc4514_string() == "CN=Club Post"
    main(["issue", "c@chess.example", "--key", "p256", *PASS, *P12, "-o", "c.p12"])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((*ROLL[:3], *PASS), SystemExit),  # no new address
        ((*ROLL[:3], "--crl-url", OLD["crl_url"], *NEW[2:], *PASS), pki.RequestRefused),
        ((*ROLL[:3], *NEW[:2], "--ca-url", OLD["ca_url"], *PASS), pki.RequestRefused),
        ((*ROLL[:3], *NEW, "--ocsp-url", "no url", *PASS), pki.RequestRefused),
        ((*ROLL[:2], "club/private/issuing.key.pem", *NEW, *PASS), pki.RequestRefused),
        ((*ROLL[:3], *NEW, "--passphrase-env", "NOWHERE"), pki.Unattended),
        ((*ROLL[:3], *NEW), pki.Unattended),
    ],
)
def test_what_is_refused_changes_nothing(
    club: Path, arguments: tuple[str, ...], error: type[Exception]
) -> None:
    before = {path: path.read_bytes() for path in club.rglob("*") if path.is_file()}
    with pytest.raises(error):
        main(list(arguments))
    assert {path: path.read_bytes() for path in club.rglob("*") if path.is_file()} == before


CHILD = """
import os, signal, sys
import pki.keys
pki.keys.SEAL_ROUNDS = 1_000
from pki import folder
count = int(sys.argv[1])

def dying(real):
    def step(*given):
        global count
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)
    return step

os.rename, os.replace, os.mkdir, os.rmdir = map(dying, (os.rename, os.replace, os.mkdir, os.rmdir))
from pki.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="platform: no kill -9")
@pytest.mark.parametrize("count", range(9))
def test_killed_at_each_step_there_is_one_ca_and_all_goes_on(club: Path, count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(count), *ROLL],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (-signal.SIGKILL, 0), done.stderr.decode()

    with pki.Registrar.load("club", passphrase="secret") as ca:  # the old one or the new
        ca.issue("dora@chess.example", algorithm="p256")
        changed = ca.records.crl_url == NEW[1]
    if not changed:
        main([*ROLL])
    assert len(Records.load("club").former) == 1
    main(["revoke", "alice@chess.example"])
    lists = crls()
    assert len(list(lists["old"])) == 1
    assert lists["new"].is_signature_valid(Records.load("club").issuing.public_key())
    assert main(["audit"]) == 0
    assert not Path("club/next").exists()


def test_names_are_counted_on() -> None:
    names = ["Club (issuing)", "Club (issuing 2)", "Club (issuing 41)", "Club"]
    subjects = [pki.Authority.create(name).certificate for name in names]
    assert [rollover.next_name(one) for one in subjects] == [
        "Club (issuing 2)",
        "Club (issuing 3)",
        "Club (issuing 42)",
        "Club 2",
    ]


def test_a_former_one_without_its_successor_is_told(club: Path) -> None:
    main([*ROLL])
    shutil.copytree("club/former/1", "alone/x/y")
    with pytest.raises(pki.NoAuthority):
        Records.load("alone/x/y").ledger()
    assert folder.FORMER_OF == "../.."


def test_the_next_one_is_of_the_same_kind_as_the_one_before(
    tmp_path: Path, quick_locks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA for servers gets a successor for servers; the root's key may have its own lock."""
    monkeypatch.chdir(tmp_path)
    Path("ca-pass").write_text("secret\n")
    Path("root-pass").write_text("of the root\n")
    main(["init", "club", "--name", "Club", "--kind", "issuing-services", *PASS, *OLD_URLS])
    path = Path("club/private/root.key.pem")
    path.write_bytes(keys.seal(keys.unseal(path.read_bytes(), b"secret"), b"of the root"))
    with pytest.raises(pki.WrongPassphrase):
        main([*ROLL])
    main([*ROLL, "--root-passphrase-file", "root-pass"])

    purposes = x509.ExtendedKeyUsage
    now, before = (
        Records.load(place).issuing.extensions.get_extension_for_class(purposes).value
        for place in ("club", "club/former/1")
    )
    assert now == before
