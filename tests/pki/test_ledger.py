"""The ledger: what went in is found, by one process or two, and after a crash."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

import pki
from pki.audit import audit
from pki.authority import moment
from pki.files import write_new
from pki.folder import Records, to_pem
from pki.ledger import Ledger
from pki.listing import Wanted
from pki.log_key import sign_checkpoint
from pki.orders import Order
from pki.tables import connect, metadata, sqlite_url
from tests.pki.house import quick

PASSPHRASE = "correct horse"


@pytest.fixture
def ca(tmp_path: Path) -> pki.Registrar:
    with quick(tmp_path / "ca") as made:
        yield made


def request(*addresses: str, key: ec.EllipticCurvePrivateKey | None = None) -> object:
    key = key or ec.generate_private_key(ec.SECP256R1())
    return pki.CertificationRequest(key.public_key(), addresses or ("a@chess.example",))


def test_a_certificate_is_found_by_serial_address_and_fingerprint(ca: pki.Registrar) -> None:
    alice = ca.issue("Alice@chess.example", "al@chess.example", name="Alice", algorithm="p256")
    ca.issue("bob@chess.example", algorithm="p256")
    certificate = alice.certificate

    for asked in (
        {"serial": certificate.serial_number},
        {"address": "ALICE@chess.EXAMPLE"},
        {"address": "al@chess.example"},
        {"fingerprint": certificate.fingerprint(SHA256())},
    ):
        (record,) = ca.ledger.find(**asked)
        assert record.certificate == certificate
        assert record.addresses == ("Alice@chess.example", "al@chess.example")
        assert (record.subject, record.profile) == ("CN=Alice", "mailbox")
        assert record.not_after == certificate.not_valid_after_utc
        assert record.state(moment(None)) == "valid"
        assert record.state(record.not_after + timedelta(seconds=1)) == "expired"
    assert ca.ledger.find(serial=1) == []
    assert ca.ledger.find(address="nobody@chess.example") == []
    with pytest.raises(TypeError):
        ca.ledger.find()
    with pytest.raises(TypeError):
        ca.ledger.find(serial=1, address="a@b.example")


def test_pages_follow_one_another_without_gap_or_repetition(ca: pki.Registrar) -> None:
    orders = [Order(request(f"u{n}@chess.example")) for n in range(25)]
    made = [outcome.certificate.serial_number for outcome in ca.certify_many(orders, group=7)]

    seen: list[int] = []
    after = 0
    while page := ca.ledger.page(after=after, limit=4):
        seen += [record.serial for record in page]
        after = page[-1].number
    assert seen == made
    with pytest.raises(ValueError, match="limit"):
        ca.ledger.page(limit=0)


def test_what_is_due_is_neither_revoked_nor_renewed(ca: pki.Registrar) -> None:
    now = moment(None)
    short, gone, renewed, held, _ = (
        ca.issue(
            f"u{n}@chess.example", algorithm="p256", lifetime_days=days
        ).certificate.serial_number
        for n, days in enumerate((10, 10, 10, 10, 300))
    )
    ca.revoke(gone)
    ca.revoke(held, reason="certificateHold")
    ca.release(held)
    ca.renew(renewed)

    soon = Wanted(ending_before=now + timedelta(days=30), ending_after=now, due=True)
    due, more = ca.ledger.listed(soon, now=now)

    assert more is None
    assert [record.serial for record in due] == [short, held]


def test_the_same_label_gives_the_same_certificate(ca: pki.Registrar) -> None:
    orders = [Order(request(f"u{n}@chess.example"), label=f"row {n}") for n in range(5)]
    first = list(ca.certify_many([*orders, orders[0]], group=4))
    again = list(ca.certify_many([orders[4], *orders]))

    made = [outcome.certificate for outcome in first]
    assert [outcome.again for outcome in first] == [False] * 5 + [True]
    assert made[5] == made[0]
    assert [outcome.certificate for outcome in again] == [made[4], *made[:5]]
    assert all(outcome.again for outcome in again)
    assert ca.ledger.count() == 5


def test_one_bad_order_among_many_is_told_and_the_rest_made(ca: pki.Registrar) -> None:
    orders = [Order(request(f"u{n}@chess.example")) for n in range(20)]
    orders[7] = Order(request("b@chess.example"), profile="no such")
    orders[13] = Order(orders[2].request.authorise("mallory@chess.example"))

    outcomes = list(ca.certify_many(orders))

    assert [n for n, outcome in enumerate(outcomes) if outcome.refused] == [7, 13]
    assert isinstance(outcomes[7].refused, pki.ProfileProblem)
    assert "somebody else" in str(outcomes[13].refused)
    assert ca.ledger.count() == 18


def test_a_key_is_one_persons(ca: pki.Registrar) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    first = ca.certify(request("alice@chess.example", "a@chess.example", key=key))
    ca.certify(request("A@chess.example", key=key))

    with pytest.raises(pki.RequestRefused, match="somebody else"):
        ca.certify(request("bob@chess.example", key=key))
    ca.revoke(first.serial_number, reason="superseded")
    ca.certify(request("a@chess.example", key=key))
    last = ca.certify(request("a@chess.example", key=key))
    ca.revoke(last.serial_number, reason="keyCompromise")
    with pytest.raises(pki.RequestRefused, match="compromised"):
        ca.certify(request("a@chess.example", key=key))


def test_renewed_has_the_same_key_and_names_and_rekeyed_another_key(ca: pki.Registrar) -> None:
    first = ca.issue("alice@chess.example", name="Alice", algorithm="p384", profile="signing")
    serial = first.certificate.serial_number

    renewed = ca.renew(serial, lifetime_days=30)
    rekeyed = ca.rekey(serial)

    assert renewed.public_key() == first.certificate.public_key()
    assert rekeyed.certificate.public_key() != first.certificate.public_key()
    assert rekeyed.certificate.public_key().curve.name == "secp384r1"
    for certificate in (renewed, rekeyed.certificate):
        (record,) = ca.ledger.find(serial=certificate.serial_number)
        assert record.renews == serial
        assert (record.addresses, record.profile) == (("alice@chess.example",), "signing")
        assert certificate.subject == first.certificate.subject
    assert (renewed.not_valid_after_utc - renewed.not_valid_before_utc).days == 29
    ca.revoke(serial, reason="keyCompromise")
    with pytest.raises(pki.RequestRefused, match="revoked"):
        ca.renew(serial)
    assert ca.rekey(serial, algorithm="p256").addresses == ("alice@chess.example",)
    with pytest.raises(pki.RequestRefused, match="no certificate"):
        ca.renew(5)


def test_a_lock_that_stays_is_told(ca: pki.Registrar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pki.tables.LOCK_SECONDS", 0.05)
    with Ledger.open(ca.records.database) as other:
        with (
            ca.ledger.writing(),
            pytest.raises(pki.LedgerProblem, match="locked") as refused,
            other.writing(),
        ):
            pass
        with other.writing():
            pass
    assert refused.value.exit_status == 27


def test_what_fails_inside_a_transaction_leaves_nothing(ca: pki.Registrar) -> None:
    head = ca.ledger.head()

    def fails() -> None:
        with ca.ledger.writing() as log:
            log.note("test", {}, at=moment(None))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()

    assert ca.ledger.head() == head


def test_tables_of_a_newer_version_are_left_alone(ca: pki.Registrar) -> None:
    file = f"{ca.records.folder}/ledger.db"
    ca.close()
    connection = sqlite3.connect(file)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(pki.LedgerProblem, match="newer"):
        Ledger.open(sqlite_url(file))


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 100, None])
def test_a_damaged_or_missing_file_is_told(ca: pki.Registrar, content: bytes | None) -> None:
    file = Path(ca.records.folder, "ledger.db")
    ca.close()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)

    with pytest.raises(pki.LedgerProblem, match=r"damaged|missing"):
        ca.records.ledger()
    assert file.exists() == (content is not None)


@pytest.mark.parametrize("url", ["nowhere", "mysql://h/d", "sqlite://"])
def test_urls_that_are_no_ledger_are_refused(url: str) -> None:
    if url == "sqlite://":
        Ledger.open(url).close()  # in memory: a ledger for as long as it is open
        return
    with pytest.raises(pki.LedgerProblem):
        Ledger.open(url)


def test_the_migrations_make_the_tables_that_the_code_means(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    Ledger.open(sqlite_url(str(tmp_path / "l.db"))).close()
    engine = connect(sqlite_url(str(tmp_path / "l.db")))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


# --- a folder of the first version ------------------------------------------


def first_version(folder: Path) -> tuple[pki.Authority, list[object]]:
    """Make a folder as the first version made it, with three certificates."""
    from pki import keys

    root = pki.Authority.create("Club", algorithm="p384")
    below = root.subordinate("Club (issuing)")
    (folder / "private").mkdir(parents=True)
    (folder / "issued").mkdir()
    write_new(str(folder / "root.pem"), to_pem(root.certificate), mode=0o644)
    write_new(str(folder / "issuing.pem"), to_pem(below.certificate), mode=0o644)
    sealed = keys.seal(below.private_key, PASSPHRASE.encode())
    write_new(str(folder / "private" / "issuing.key.pem"), sealed, mode=0o600)
    text = 'version = 1\nname = "Club"\ncrl_url = "http://ca.example/c.crl"\nca_url = ""\n'
    (folder / "ca.toml").write_text(text)
    made = [
        below.issue(f"{profile}@chess.example", profile=profile).certificate
        for profile in ("mailbox", "signing", "encryption")
    ]
    for certificate in made:
        path = folder / "issued" / f"{certificate.serial_number:032x}.pem"
        path.write_bytes(to_pem(certificate))
    return below, made


def test_a_folder_of_the_first_version_gets_a_ledger(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    _, made = first_version(folder)

    with Records.load(folder).ledger() as ledger:  # no key is needed for that
        assert {record.certificate for record in ledger.page()} == set(made)
        assert {record.profile for record in ledger.page()} == {"mailbox", "signing", "encryption"}
        assert audit(ledger).unbroken
    assert Records.load(folder).version == 2
    assert len(list((folder / "issued").iterdir())) == 3
    with pki.Registrar.load(folder, passphrase=PASSPHRASE) as ca:
        ca.revoke(made[0].serial_number)
        ca.issue("new@chess.example", algorithm="p256")
        assert ca.ledger.count() == 4
        assert sign_checkpoint(ca.records, ca.ledger, PASSPHRASE)
        assert audit(ca.ledger).unbroken
    assert (folder / "private" / "log.key.pem").exists()


def test_a_migration_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    """Killed after the commit, before the settings say so: the next comes to the same."""
    folder = tmp_path / "ca"
    _, made = first_version(folder)
    before = (folder / "ca.toml").read_bytes()
    Records.load(folder).ledger().close()
    (folder / "ca.toml").write_bytes(before)
    (folder / "ca.toml.new").write_bytes(b"half")

    with Records.load(folder).ledger() as ledger:
        assert ledger.count() == len(made)
        assert audit(ledger).unbroken
    assert Records.load(folder).version == 2


def test_a_record_that_is_no_certificate_stops_the_migration(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    first_version(folder)
    other, _ = first_version(tmp_path / "other")
    foreign = other.issue("mallory@chess.example").certificate
    record = folder / "issued" / f"{foreign.serial_number:032x}.pem"
    for content in (to_pem(foreign), b"no certificate"):
        record.write_bytes(content)
        with pytest.raises(pki.LedgerProblem, match="no certificate of this CA"):
            Records.load(folder).ledger()
        assert Records.load(folder).version == 1
    record.unlink()
    with Records.load(folder).ledger() as ledger:
        assert ledger.count() == 3


def test_the_secret_in_a_url_is_not_shown(ca: pki.Registrar) -> None:
    from dataclasses import replace

    records = replace(ca.records, ledger_url="postgresql://u:hunter2@h/d")

    assert "hunter2" not in repr(records)
    assert "hunter2" not in str(records.to_dict())


def test_one_status_is_what_it_is_among_many(ca: pki.Registrar) -> None:
    """One is asked for in another way than many, and sees each change at once."""
    good, gone, held = (
        ca.issue(f"{who}@chess.example", algorithm="p256").certificate.serial_number
        for who in ("good", "gone", "held")
    )
    strange = good ^ 1

    def each() -> dict[int, object]:
        return {
            serial: status
            for asked in (good, gone, held, strange, 0, -1)
            for serial, status in ca.ledger.statuses([asked]).items()
        }

    assert each() == dict.fromkeys((good, gone, held))
    ca.revoke(gone, reason="keyCompromise")
    ca.revoke(held, reason="certificateHold")
    found = each()
    assert found == ca.ledger.statuses([good, gone, held, strange, 0, -1])
    assert (found[gone].reason, found[held].reason) == ("keyCompromise", "certificateHold")
    ca.release(held)
    assert each()[held] is None
    ca.ledger.close()
    assert each()[gone].reason == "keyCompromise"


def test_threads_ask_for_a_status_while_another_writes(ca: pki.Registrar) -> None:
    serials = [
        ca.issue(f"u{n}@chess.example", algorithm="p256").certificate.serial_number
        for n in range(8)
    ]

    def ask(serial: int) -> list[bool]:
        return [ca.ledger.statuses([serial])[serial] is None for _ in range(200)]

    with ThreadPoolExecutor(len(serials)) as pool:
        asked = [pool.submit(ask, serial) for serial in serials]
        for serial in serials[::2]:
            ca.revoke(serial)
        found = [one.result() for one in asked]

    for seen in found:  # good until it is not, and never good again
        assert seen == sorted(seen, reverse=True)
    assert [ask(serial)[0] for serial in serials] == [False, True] * 4
