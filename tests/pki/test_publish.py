"""What is published: read back as directory, zone and web server would."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given
from hypothesis import strategies as st

import pki
from pki import publish
from pki.bundle import to_der
from pki.cli.publish import People
from tests.pki.house import quick
from tests.support.peers import Peer

DN = "mail={address},ou=people,dc=example,dc=org"


@pytest.fixture(scope="module")
def ca() -> pki.Authority:
    root = pki.Authority.create("Test CA")
    below = root.subordinate("Test CA (issuing)")
    return pki.Authority(
        below.private_key,
        below.certificate,
        (root.certificate,),
        crl_url="http://pki.example.org/lists/ca.crl?new",
        ca_url="http://pki.example.org/ca.cer",
    )


@pytest.fixture(scope="module")
def alice(ca: pki.Authority) -> x509.Certificate:
    return ca.issue("alice@example.org").certificate


def read_ldif(data: bytes) -> list[list[tuple[str, bytes]]]:
    """Unfold and decode, record by record (RFC 2849)."""
    records = []
    for block in data.decode("ascii").replace("\n ", "").split("\n\n"):
        fields = []
        for line in block.strip("\n").split("\n"):
            if line == "-":
                continue
            name, coded, value = re.fullmatch(r"([^:]+):(:?) (.*)", line).groups()
            fields.append((name, base64.b64decode(value) if coded else value.encode()))
        records.append(fields)
    return records


def test_ldif_sets_the_certificates_of_people(alice: x509.Certificate) -> None:
    data = publish.ldif([("alice@example.org", [alice, alice]), ("bob@example.org", [])], DN)

    assert all(len(line) <= 76 for line in data.split(b"\n"))
    head, first, second = read_ldif(data)
    assert head == [("version", b"1")]
    assert first == [
        ("dn", b"mail=alice@example.org,ou=people,dc=example,dc=org"),
        ("changetype", b"modify"),
        ("replace", b"userCertificate;binary"),
        ("userCertificate;binary", to_der(alice)),
        ("userCertificate;binary", to_der(alice)),
    ]
    assert second[1:] == [("changetype", b"modify"), ("replace", b"userCertificate;binary")]


def test_a_name_in_ldif_is_one_entry(alice: x509.Certificate) -> None:
    """Nothing that can stand in an address ends the value of a name, or begins a line."""
    [_, odd] = read_ldif(publish.ldif([("#a+b=c@example.org", [alice])], DN))
    [_, far] = read_ldif(publish.ldif([("grüße@example.org", [alice])], "uid={local},dc=x"))

    assert odd[0] == ("dn", rb"mail=\#a\+b\=c@example.org,ou=people,dc=example,dc=org")
    assert far[0] == ("dn", "uid=grüße,dc=x".encode())
    for address in ("a@example.org\ndn: x", "a@example.org,dc=x"):
        with pytest.raises(pki.RequestRefused):
            publish.ldif([(address, [alice])], DN)
    with pytest.raises(ValueError, match="something else"):
        publish.ldif([("a@example.org", [alice])], "uid={address.__class__.x}")


def test_ldif_of_a_ca(ca: pki.Authority) -> None:
    crl = ca.crl()

    [_, change] = read_ldif(publish.ldif_authority("cn=CA,dc=x", ca.certificate, crl))

    assert ("cACertificate;binary", to_der(ca.certificate)) in change
    assert ("certificateRevocationList;binary", crl) in change


@pytest.mark.parametrize("generic", [False, True])
def test_smimea_records_hold_the_certificate(alice: x509.Certificate, generic: bool) -> None:
    text = publish.smimea([("alice@example.org", [alice])], generic=generic)

    record = re.fullmatch(
        r"([0-9a-f]{56}\._smimecert\.example\.org\.) 3600 IN (.*) \(\n(.*)\n\)\n", text, re.DOTALL
    )
    assert record[1] == publish.smimea_owner("alice@example.org")
    data = bytes.fromhex(record[3].replace("\n", ""))
    if generic:
        assert record[2] == f"TYPE53 \\# {len(data)}"
        assert data == b"\3\0\0" + to_der(alice)
    else:
        assert (record[2], data) == ("SMIMEA 3 0 0", to_der(alice))


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_an_owner_is_always_one_name(local: str) -> None:
    """Whatever stands before the @, the label is 56 digits, or the address is refused."""
    try:
        owner = publish.smimea_owner(f"{local}@example.org")
    except pki.RequestRefused:
        return
    assert re.fullmatch(r"[0-9a-f]{56}\._smimecert\.example\.org\.", owner)


def test_static_files_are_what_the_addresses_name(ca: pki.Authority, tmp_path: Path) -> None:
    crl = ca.crl()
    files = publish.static_files(ca, crl)

    assert files == {
        "root.cer": to_der(ca.root),
        "ca.cer": to_der(ca.certificate),
        "ca.crl": crl,
    }
    (tmp_path / "ca.crl").write_bytes(b"old")
    before = os.umask(0o077)
    try:
        publish.write_static(tmp_path, files)
    finally:
        os.umask(before)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == files
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o644}


def test_a_p7c_address_serves_the_chain(ca: pki.Authority) -> None:
    other = pki.Authority(
        ca.private_key, ca.certificate, (ca.root,), ca_url="http://pki.example.org/ca.p7c"
    )

    [certificate] = pkcs7.load_der_pkcs7_certificates(publish.static_files(other)["ca.p7c"])

    assert certificate == ca.certificate


@pytest.mark.parametrize(
    "url",
    [
        "http://pki.example.org",
        "http://pki.example.org/",
        "http://pki.example.org/a/..",
        "http://pki.example.org/root.cer",
        "http://pki.example.org/a%2fb",
    ],
)
def test_addresses_that_name_no_file(ca: pki.Authority, url: str) -> None:
    bad = pki.Authority(ca.private_key, ca.certificate, (ca.root,), ca_url=url)

    with pytest.raises(pki.RequestRefused, match="no file"):
        publish.static_files(bad)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publish.write_static(tmp_path / "none", {"a": b""})


@pytest.mark.parametrize("generic", [False, True], ids=["smimea", "type53"])
def test_a_name_server_takes_the_zone(
    bind: Peer, alice: x509.Certificate, ca: pki.Authority, tmp_path: Path, generic: bool
) -> None:
    """What it reads is the certificate; one digit less and it takes nothing."""
    people = [("alice@example.org", [alice, ca.certificate]), ("grüße@example.org", [alice])]
    head = (
        "$TTL 3600\n@ IN SOA ns.example.org. hostmaster.example.org. (1 3600 600 86400 600)\n"
        "@ IN NS ns.example.org.\nns IN A 192.0.2.1\n"
    )
    made = publish.smimea(people, ttl=300, generic=generic)
    zone, read = tmp_path / "zone", tmp_path / "read"
    zone.write_text(head + made)

    bind.run("-D", "-s", "full", "-o", read, "example.org", zone)

    found = re.findall(
        r"^(\S+)\s+300 IN\s+SMIMEA\s+3 0 0 (.*)$", read.read_text(), flags=re.MULTILINE
    )
    held = {(owner, bytes.fromhex(value.replace(" ", ""))) for owner, value in found}
    assert held == {
        (publish.smimea_owner(address), to_der(one)) for address, many in people for one in many
    }
    start = made.index("\n", made.index("(")) + 1
    zone.write_text(head + made[:start].rstrip(" ") + made[start:].lstrip()[1:])
    assert bind.attempt("example.org", zone).returncode


def test_people_of_a_ledger_are_spelt_as_in_their_certificates(tmp_path: Path) -> None:
    with quick(tmp_path / "ca") as ca:
        many = ("Zoe@chess.example", "alice@chess.example")
        first, second, gone = (
            ca.issue(*addresses, algorithm="p256").certificate
            for addresses in (many, ("zoe@chess.example",), ("bob@chess.example",))
        )
        ca.revoke(gone.serial_number)
        later = ca.certify(pki.CertificationRequest(first.public_key(), many))
        people = People(ca.ledger)

        found = list(people)

        assert found == [
            ("alice@chess.example", [first, later]),
            ("bob@chess.example", []),
            ("Zoe@chess.example", [first, later]),
            ("zoe@chess.example", [second]),
        ]
        assert people.held == 3
        assert list(people) == found  # and again
