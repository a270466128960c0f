"""A CA in a folder: what is in it, who may read it, and that nothing half made stays."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

import pki
from pki.files import write_new
from pki.folder import Records
from tests.support.peers import Peer

PASSPHRASE = "correct horse"
FILES = {
    "ca.toml",
    "root.pem",
    "issuing.pem",
    "private/root.key.pem",
    "private/issuing.key.pem",
    "private/log.key.pem",
    "ledger.db",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA as ``create`` leaves it. Shared: issue from it, change nothing else."""
    folder = tmp_path_factory.mktemp("house") / "ca"
    pki.Registrar.create(
        folder,
        name='Chess "Club" CA, Zürich',
        passphrase=PASSPHRASE,
        crl_url="http://ca.example/ca.crl",
        ca_url="http://ca.example/ca.cer",
    ).close()
    return folder


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA that is only copied; its keys are slow to encrypt, on purpose."""
    folder = tmp_path_factory.mktemp("untouched") / "ca"
    pki.Registrar.create(folder, name="Club", passphrase=PASSPHRASE).close()
    return folder


@pytest.fixture
def own(tmp_path: Path, untouched: Path) -> Path:
    """A CA to break."""
    return Path(shutil.copytree(untouched, tmp_path / "ca"))


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_create_leaves_these_files_and_no_other(own: Path) -> None:
    assert files(own) == FILES


def test_keys_are_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        pki.Registrar.create(tmp_path / "ca", name="Club", passphrase=PASSPHRASE).close()
    finally:
        os.umask(before)

    private = tmp_path / "ca" / "private"
    assert mode(private) == 0o700
    assert {mode(file) for file in private.iterdir()} == {0o600}
    others = {p: mode(p) & 0o022 for p in (tmp_path / "ca").rglob("*")}
    assert set(others.values()) == {0}


def test_keys_are_p384_above_p256(own: Path) -> None:
    keys = [certificate(own / f"{name}.pem").public_key() for name in ("root", "issuing")]

    assert all(isinstance(key, ec.EllipticCurvePublicKey) for key in keys)
    assert [key.key_size for key in keys] == [384, 256]


def test_keys_are_rsa_4096_if_asked(tmp_path: Path) -> None:
    pki.Registrar.create(tmp_path / "ca", name="Club", passphrase=PASSPHRASE, rsa=True).close()

    keys = [certificate(tmp_path / "ca" / f"{n}.pem").public_key() for n in ("root", "issuing")]
    assert all(isinstance(key, rsa.RSAPublicKey) and key.key_size == 4096 for key in keys)


def test_the_keys_are_those_of_the_certificates(made: Path) -> None:
    for name in ("root", "issuing"):
        sealed = (made / "private" / f"{name}.key.pem").read_bytes()
        key = load_pem_private_key(sealed, PASSPHRASE.encode())
        assert key.public_key() == certificate(made / f"{name}.pem").public_key()


def test_openssl_opens_the_keys(openssl: Peer, made: Path) -> None:
    for name in ("root", "issuing"):
        file = made / "private" / f"{name}.key.pem"
        said = openssl.run("pkey", "-in", file, "-passin", f"pass:{PASSPHRASE}", "-pubout")
        shown = openssl.run("x509", "-in", made / f"{name}.pem", "-noout", "-pubkey")
        assert said == shown
        assert openssl.attempt("pkey", "-in", file, "-passin", "pass:wrong").returncode != 0


def test_the_folder_is_read_without_a_key(made: Path) -> None:
    records = Records.load(made)

    assert records.name == 'Chess "Club" CA, Zürich'
    assert (records.crl_url, records.ca_url) == (
        "http://ca.example/ca.crl",
        "http://ca.example/ca.cer",
    )
    assert records.root.issuer == records.root.subject
    assert records.root.subject != records.issuing.subject


def test_issued_is_recorded_before_it_is_given_out(made: Path) -> None:
    with pki.Registrar.load(made, passphrase=PASSPHRASE) as ca:
        alice = ca.issue("alice@chess.example", name="Alice", algorithm="p256")
        bob = ca.issue("bob@chess.example", algorithm="p256")

    with Records.load(made).ledger() as ledger:
        for identity in (alice, bob):
            (record,) = ledger.find(serial=identity.certificate.serial_number)
            assert record.certificate == identity.certificate
            assert record.addresses == identity.addresses


def test_users_get_rsa_3072_the_chain_and_the_urls(made: Path) -> None:
    with pki.Registrar.load(made, passphrase=lambda: PASSPHRASE) as ca:
        alice = ca.issue("alice@chess.example")

    key = alice.certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 3072
    assert alice.chain == (certificate(made / "issuing.pem"),)
    text = alice.certificate.public_bytes(Encoding.DER)
    assert b"http://ca.example/ca.crl" in text
    assert b"http://ca.example/ca.cer" in text


def test_openssl_believes_what_was_issued(openssl: Peer, made: Path, tmp_path: Path) -> None:
    with pki.Registrar.load(made, passphrase=PASSPHRASE) as ca:
        alice = ca.issue("alice@chess.example", algorithm="p256")
    file = tmp_path / "alice.pem"
    file.write_bytes(alice.certificate.public_bytes(Encoding.PEM))
    check = ("verify", "-x509_strict", "-purpose", "smimesign", "-CAfile", made / "root.pem")

    openssl.run(*check, "-untrusted", made / "issuing.pem", file)
    assert openssl.attempt(*check, file).returncode != 0


def test_a_request_is_certified_and_recorded(made: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = pki.CertificationRequest(key.public_key()).authorise("carol@chess.example")

    with pki.Registrar.load(made, passphrase=PASSPHRASE) as ca:
        got = ca.certify(request)

    assert got.public_key() == key.public_key()
    with Records.load(made).ledger() as ledger:
        assert ledger.find(serial=got.serial_number)


def test_a_refused_name_leaves_no_record(own: Path) -> None:
    with pki.Registrar.load(own, passphrase=PASSPHRASE) as ca:
        with pytest.raises(pki.RequestRefused):
            ca.issue("alice")
        with pytest.raises(pki.ProfileProblem):
            ca.issue("alice@chess.example", lifetime_days=1000)

    assert files(own) == FILES
    with Records.load(own).ledger() as ledger:
        assert ledger.count() == 0


def test_the_root_key_may_be_elsewhere(own: Path) -> None:
    (own / "private" / "root.key.pem").unlink()

    with pki.Registrar.load(own, passphrase=PASSPHRASE) as ca:
        assert ca.issue("a@example.org", algorithm="p256").addresses == ("a@example.org",)


def test_domains_hold_after_loading(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    pki.Registrar.create(
        folder, name="Club", passphrase=PASSPHRASE, domains=["chess.example"]
    ).close()

    with pki.Registrar.load(folder, passphrase=PASSPHRASE) as ca:
        ca.issue("a@chess.example", algorithm="p256")
        with pytest.raises(pki.RequestRefused, match="outside"):
            ca.issue("a@example.org", algorithm="p256")


def test_a_closed_registrar_issues_nothing(own: Path) -> None:
    ca = pki.Registrar.load(own, passphrase=PASSPHRASE)
    assert ca.issue("a@example.org", algorithm="p256")
    ca.close()
    ca.close()

    with pytest.raises(ValueError, match="closed"):
        ca.issue("a@example.org")
    assert "closed" in repr(ca)


def test_a_ca_is_never_made_over_another(own: Path) -> None:
    before = {name: (own / name).read_bytes() for name in files(own)}

    with pytest.raises(pki.AuthorityExists) as refused:
        pki.Registrar.create(own, name="Other", passphrase="x")

    assert refused.value.exit_status == 21
    assert {name: (own / name).read_bytes() for name in files(own)} == before


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")

    with pytest.raises(FileExistsError):
        pki.Registrar.create(tmp_path, name="Club", passphrase="x")
    with pytest.raises(FileExistsError):
        pki.Registrar.create(tmp_path / "letter", name="Club", passphrase="x")

    assert files(tmp_path) == {"letter"}


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    pki.Registrar.create(tmp_path, name="Club", passphrase="x").close()

    assert files(tmp_path) == FILES


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, pki.RequestRefused),
        ({"name": "x" * 55}, pki.RequestRefused),
        ({"name": "a\nb"}, pki.RequestRefused),
        ({"passphrase": ""}, ValueError),
        ({"crl_url": "nowhere"}, pki.RequestRefused),
        ({"ca_url": "ftp://x"}, pki.RequestRefused),
        ({"domains": ["a@b"]}, pki.RequestRefused),
    ],
)
def test_what_cannot_be_leaves_nothing(
    tmp_path: Path, change: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        pki.Registrar.create(
            tmp_path / "ca", **{"name": "Club", "passphrase": PASSPHRASE, **change}
        )

    assert list(tmp_path.iterdir()) == []


def test_no_parent_folder_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pki.Registrar.create(tmp_path / "a" / "b", name="Club", passphrase="x")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [4_000_000, 70_000, 4_000, 700, 550, 300, 1])
def test_a_disk_that_fills_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """With a limit on file sizes some file of the CA fails, each time an earlier one."""
    resource = pytest.importorskip("resource", reason="platform: no resource limits")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        pki.Registrar.create(tmp_path / "ca", name="Club", passphrase="x").close()
    except (OSError, pki.LedgerProblem):
        assert list(tmp_path.iterdir()) == []
    else:
        assert files(tmp_path / "ca") == FILES
        assert limit > max(file.stat().st_size for file in tmp_path.rglob("*"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_another_passphrase_is_refused(made: Path) -> None:
    with pytest.raises(pki.WrongPassphrase):
        pki.Registrar.load(made, passphrase="wrong")


@pytest.mark.parametrize(
    "damage",
    [
        lambda ca: (ca / "ca.toml").unlink(),
        lambda ca: (ca / "ca.toml").write_text("version = 3"),
        lambda ca: (ca / "ca.toml").write_text("version = true"),
        lambda ca: (ca / "ca.toml").write_text("version = 2\nshards = 0"),
        lambda ca: (ca / "ca.toml").write_text("version = 2\nshards = 2"),
        lambda ca: (ca / "ca.toml").write_text("version = 2\nname = 3"),
        lambda ca: (ca / "ca.toml").write_text("version = 2\nname = '\u202e'", "utf-8"),
        lambda ca: (ca / "ca.toml").write_text("version = 2\ncrl_url = 'nowhere'"),
        lambda ca: (ca / "ca.toml").write_text("version"),
        lambda ca: (ca / "ca.toml").write_bytes(b"\xff"),
        lambda ca: (ca / "ca.toml").write_bytes(b"#" * 1_048_577),
        lambda ca: (ca / "root.pem").unlink(),
        lambda ca: (ca / "root.pem").write_bytes(b"no certificate"),
        lambda ca: (ca / "root.pem").write_bytes((ca / "issuing.pem").read_bytes()),
        lambda ca: (ca / "issuing.pem").write_bytes((ca / "root.pem").read_bytes()),
        lambda ca: (ca / "private" / "issuing.key.pem").write_bytes(b"no key"),
        lambda ca: (ca / "private" / "root.key.pem").rename(ca / "private" / "issuing.key.pem"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(own: Path, damage: object) -> None:
    pki.Registrar.load(own, passphrase=PASSPHRASE).close()
    damage(own)

    with pytest.raises(pki.NoAuthority) as refused:
        pki.Registrar.load(own, passphrase=PASSPHRASE)
    assert refused.value.exit_status == 22


def test_a_folder_without_a_ca_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(pki.NoAuthority) as refused:
        pki.Registrar.load(tmp_path, passphrase="x")

    assert "smimetool ca init" in refused.value.hint


def test_write_new_writes_over_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_new(str(file), b"first", mode=0o600)

    with pytest.raises(FileExistsError):
        write_new(str(file), b"second", mode=0o600)
    assert file.read_bytes() == b"first"
