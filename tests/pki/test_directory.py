"""What is put into a directory is there for others: a real slapd, asked by ldapsearch."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import pki
from pki.bundle import to_der, to_pem
from pki.directory import Directory
from tests.pki.house import kept, quick
from tests.support.peers import Peer, peer

pytestmark = [pytest.mark.server, pytest.mark.peer("slapd")]

ROOT = Path(__file__).parents[2]
BASE = "dc=example,dc=org"
ADMIN = f"cn=pki,{BASE}"
SECRET = "läuft auf 127.0.0.1"
DN = f"mail={{address}},ou=people,{BASE}"
CA_DN = f"cn=Club CA,{BASE}"
PEOPLE = f"""\
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,{BASE}
objectClass: organizationalUnit
ou: people

dn: mail=alice@example.org,ou=people,{BASE}
objectClass: inetOrgPerson
mail: alice@example.org
cn: Alice
sn: Example

dn: mail=a\\2Bb\\3Dc@example.org,ou=people,{BASE}
objectClass: inetOrgPerson
mail: a+b=c@example.org
cn: Odd
sn: Example

dn: uid=bare,ou=people,{BASE}
objectClass: account
uid: bare

dn: {CA_DN}
objectClass: applicationProcess
objectClass: pkiCA
cn: Club CA
"""


@dataclass(frozen=True)
class Server:
    """A running slapd: where it listens, and whose certificate it shows."""

    ldaps: str
    ldap: str
    ca_file: str
    other_ca_file: str

    def open(self, **changed: str) -> Directory:
        how = {"url": self.ldaps, "name": ADMIN, "passphrase": SECRET, "ca_file": self.ca_file}
        how |= changed
        return Directory.open(how.pop("url"), **how)

    def read(self, dn: str, attribute: str) -> list[bytes]:
        """Ask as a mail program does, by another client."""
        done = subprocess.run(
            [
                *("ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", self.ldap),
                *("-b", dn, "-s", "base", "(objectClass=*)", attribute),
            ],
            capture_output=True,
            timeout=30,
            check=True,
        )
        values = re.findall(rb"^[^:\n]+;binary:: (.*)$", done.stdout, re.MULTILINE)
        return [base64.b64decode(value) for value in values]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _host_certificate(root: pki.Authority, folder: Path, names: list[x509.GeneralName]) -> None:
    """A server's certificate for an address of this machine, which our CAs do not certify."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .sign(root.private_key, SHA256())
    )
    (folder / "server.pem").write_bytes(to_pem(made))
    (folder / "server.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def _start(folder: Path, slapd: Peer, root: pki.Authority, names: list[x509.GeneralName]) -> tuple:
    _host_certificate(root, folder, names)
    (folder / "root.pem").write_bytes(to_pem(root.certificate))
    (folder / "data").mkdir()
    (folder / "slapd.conf").write_text(
        "".join(
            f"include /etc/ldap/schema/{one}.schema\n"
            for one in ("core", "cosine", "inetorgperson")
        )
        + f"pidfile {folder}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
        + f"TLSCertificateFile {folder}/server.pem\nTLSCertificateKeyFile {folder}/server.key\n"
        + f'database mdb\nsuffix "{BASE}"\ndirectory {folder}/data\n'
        + f'rootdn "{ADMIN}"\nrootpw "{SECRET}"\n',
        encoding="utf-8",
    )
    (folder / "people.ldif").write_text(PEOPLE, encoding="utf-8")
    subprocess.run(
        ["slapadd", "-f", folder / "slapd.conf", "-l", folder / "people.ldif"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    ports = _free_port(), _free_port()
    urls = [f"ldaps://127.0.0.1:{ports[0]}", f"ldap://127.0.0.1:{ports[1]}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [slapd.path, "-f", folder / "slapd.conf", "-h", " ".join(urls), "-d", "none"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    for port in ports:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
    return process, urls


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("slapd")
    root = pki.Authority.create("Host CA")
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    process, urls = _start(folder, peer("slapd"), root, [local])
    other = pki.Authority.create("Host CA")
    (folder / "other.pem").write_bytes(to_pem(other.certificate))
    try:
        yield Server(*urls, str(folder / "root.pem"), str(folder / "other.pem"))
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def ca() -> pki.Authority:
    return pki.Authority.create("Test CA").subordinate("Club CA")


@pytest.mark.parametrize("how", ["ldaps", "ldap"])
def test_people_get_their_certificates(server: Server, ca: pki.Authority, how: str) -> None:
    """Set, changed, taken away; who has no entry is named, and the rest goes on."""
    addresses = ("alice@example.org", "nobody@example.org", "a+b=c@example.org")
    first, second = (ca.issue("alice@example.org").certificate for _ in range(2))
    entry = f"mail=alice@example.org,ou=people,{BASE}"
    odd = f"mail=a\\2Bb\\3Dc@example.org,ou=people,{BASE}"

    with server.open(url=getattr(server, how)) as directory:
        missing = directory.put([(one, [first, second]) for one in addresses], DN)
        assert missing == ["nobody@example.org"]
        assert sorted(server.read(entry, "userCertificate;binary")) == sorted(
            map(to_der, (first, second))
        )
        assert len(server.read(odd, "userCertificate;binary")) == 2
        directory.put([("alice@example.org", [second])], DN)
        assert server.read(entry, "userCertificate;binary") == [to_der(second)]
        directory.put([("alice@example.org", []), ("a+b=c@example.org", [])], DN)

    assert server.read(entry, "userCertificate;binary") == []
    assert server.read(odd, "userCertificate;binary") == []


def test_a_ca_gets_its_certificate_and_lists(server: Server, ca: pki.Authority) -> None:
    gone = ca.issue("gone@example.org").certificate
    lists = ca.crl(), ca.crl(gone)

    with server.open() as directory:
        directory.put_authority(CA_DN, ca.certificate, lists[0])
        assert server.read(CA_DN, "certificateRevocationList;binary") == [lists[0]]
        directory.put_authority(CA_DN, ca.certificate, lists[1])
        directory.put_authority(CA_DN, ca.certificate)  # without a list the last one stays
        with pytest.raises(pki.DirectoryProblem, match="no entry"):
            directory.put_authority(f"cn=Nobody,{BASE}", ca.certificate)

    assert server.read(CA_DN, "cACertificate;binary") == [to_der(ca.certificate)]
    [read] = server.read(CA_DN, "certificateRevocationList;binary")
    assert [one.serial_number for one in x509.load_der_x509_crl(read)] == [gone.serial_number]


def test_an_entry_that_cannot_hold_it_is_named(server: Server, ca: pki.Authority) -> None:
    alice = ca.issue("alice@example.org").certificate
    with server.open() as directory, pytest.raises(pki.DirectoryProblem, match="bare") as refused:
        directory.put([("bare@example.org", [alice])], f"uid={{local}},ou=people,{BASE}")
    assert "inetOrgPerson" in refused.value.hint
    assert refused.value.exit_status == 29


@pytest.mark.parametrize("how", ["ldaps", "ldap"])
def test_a_server_that_is_not_the_one_learns_no_secret(server: Server, how: str) -> None:
    url = getattr(server, how)
    with pytest.raises(pki.DirectoryProblem, match=r"(?i)certificate verify failed"):
        server.open(url=url, ca_file=server.other_ca_file)
    with pytest.raises(pki.DirectoryProblem, match=r"(?i)certificate"):
        server.open(url=url.replace("127.0.0.1", "localhost"))
    with pytest.raises(pki.DirectoryProblem) as refused:
        server.open(url=url, passphrase="wrong")
    assert "name and passphrase" in str(refused.value)
    assert "wrong" not in str(refused.value)
    with server.open(url=url) as directory:
        assert SECRET not in repr(directory)


def test_nobody_there(server: Server) -> None:
    with pytest.raises(pki.DirectoryProblem, match="cannot be reached"):
        server.open(url=f"ldaps://127.0.0.1:{_free_port()}")


def test_the_command_publishes_there(server: Server, tmp_path: Path) -> None:
    """What was revoked since is taken away again; who has no entry is named."""
    with quick(tmp_path / "ca") as ca:
        alice = ca.issue("alice@example.org", algorithm="p256").certificate
        ca.issue("nobody@example.org", algorithm="p256")
        kept(ca)

        def publish(*more: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "smime", "ca", "publish", "--ca-dir", tmp_path / "ca"]
            return subprocess.run(
                [*command, "--dn", DN, "--ldap", server.ldaps, "--ldap-ca", server.ca_file, *more],
                env={**os.environ, "PYTHONPATH": str(ROOT), "DIRECTORY": SECRET},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        login = ("--ldap-name", ADMIN, "--ldap-passphrase-env", "DIRECTORY", "--ca-dn", CA_DN)
        entry = f"mail=alice@example.org,ou=people,{BASE}"
        first = publish(*login)
        assert first.returncode == 0, first.stderr
        assert "nobody@example.org has no entry" in first.stderr
        assert server.read(entry, "userCertificate;binary") == [to_der(alice)]
        assert server.read(CA_DN, "cACertificate;binary") == [to_der(ca.records.issuing)]
        ca.revoke(alice.serial_number)
        assert publish(*login).returncode == 0
        assert server.read(entry, "userCertificate;binary") == []
        assert publish().returncode == 2
        assert publish("--ldap-name", ADMIN).returncode == 26  # no terminal to ask on
        wrong = publish("--ldap-name", ADMIN, "--ldap-passphrase-env", "HOME")
        assert (wrong.returncode, wrong.stdout) == (29, "")


@pytest.mark.parametrize(
    "url",
    ["http://x", "ldap:///", "ldaps://u:p@x", "ldaps://x/dc=org", "ldaps://x:y", "x", "ldapi://x"],
)
def test_what_is_no_url_of_a_directory(url: str) -> None:
    with pytest.raises(pki.DirectoryProblem, match="like ldaps"):
        Directory.open(url, name=ADMIN, passphrase=SECRET)


def test_no_warning_of_a_library_reaches_users(server: Server, ca: pki.Authority) -> None:
    """In a program that makes errors of warnings: ldap3 and pyasn1 have some."""
    script = (
        "import sys; from pki.directory import Directory\n"
        "with Directory.open(sys.argv[1], name=sys.argv[2], passphrase=sys.argv[3],"
        " ca_file=sys.argv[4]) as it:\n"
        f"    print(it.put([('nobody@example.org', [])], {DN!r}))\n"
    )
    arguments = (server.ldaps, ADMIN, SECRET, server.ca_file)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['nobody@example.org']\n"
