"""Pages of certificates by state, kind and end: all of them, once, and from an index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pki
from pki import listing
from pki.authority import moment
from pki.keys import generate
from pki.listing import STATES, Wanted
from pki.orders import Order
from pki.tables import sql
from tests.pki.house import quick

NOW = moment(None)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pki.Registrar]:
    """Sixty certificates that end on ten days, before and after now; some taken back."""
    key = generate("p256").public_key()
    with quick(tmp_path_factory.mktemp("listing") / "ca") as made:
        serials = []
        for days in (1, 20, 40, 5, 300):
            for profile in ("mailbox", "signing", "encryption"):
                asked = [pki.CertificationRequest(key, ["u@chess.example"], f"N{days}")] * 4
                orders = [Order(one, profile, lifetime_days=days) for one in asked]
                outcomes = made.certify_many(orders, at=NOW - 10 * DAY)
                serials += [one.certificate.serial_number for one in outcomes]
        made.revoke(*serials[::7], reason="keyCompromise")
        made.revoke(*serials[3::7], reason="certificateHold")
        made.release(*serials[3::14])
        made.renew(serials[1], lifetime_days=60)
        yield made


def walked(ca: pki.Registrar, wanted: Wanted, limit: int) -> list[int]:
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        page, after = ca.ledger.listed(wanted, now=NOW, after=after, limit=limit)
        assert len(page) <= limit
        seen += [record.serial for record in page]
    return seen


def fits(record: pki.Record, wanted: Wanted, renewed: set[int]) -> bool:
    state = record.state(NOW)
    return (
        wanted.state in ("", state)
        and wanted.profile in ("", record.profile)
        and wanted.text.lower() in f"{record.addresses} {record.subject}".lower()
        and (wanted.ending_after is None or record.not_after >= wanted.ending_after)
        and (wanted.ending_before is None or record.not_after < wanted.ending_before)
        and not (wanted.due and (record.revocation is not None or record.serial in renewed))
    )


DATES = st.none() | st.integers(-12, 310).map(lambda days: NOW + days * DAY)


@given(
    wanted=st.builds(
        Wanted,
        text=st.sampled_from(["", "", "n20", "U@", "%"]),
        state=st.sampled_from(["", *STATES]),
        profile=st.sampled_from(["", "signing", "mailbox"]),
        ending_after=DATES,
        ending_before=DATES,
        due=st.booleans(),
    ),
    limit=st.integers(1, 70),
)
def test_all_that_fit_and_each_once(ca: pki.Registrar, wanted: Wanted, limit: int) -> None:
    every = ca.ledger.page(limit=1_000)
    renewed = {record.renews for record in every if record.renews is not None}
    expected = {record.serial for record in every if fits(record, wanted, renewed)}

    found = walked(ca, wanted, limit)

    assert set(found) == expected
    assert len(found) == len(expected)


def test_there_is_something_in_every_state(ca: pki.Registrar) -> None:
    for state in STATES:
        assert walked(ca, Wanted(state=state), 7)
    with pytest.raises(pki.RequestRefused, match="no state"):
        walked(ca, Wanted(state="lost"), 7)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(),
        *(Wanted(state=state) for state in STATES),
        Wanted(profile="mailbox"),
        Wanted(state="valid", profile="mailbox"),
        Wanted(ending_after=NOW, ending_before=NOW + 30 * DAY, due=True),
    ],
    ids=lambda wanted: f"{wanted.state} {wanted.profile} {wanted.due}",
)
@pytest.mark.parametrize("after", [False, True])
def test_a_page_is_read_from_an_index(ca: pki.Registrar, wanted: Wanted, after: bool) -> None:
    """Nothing is sorted, and no table is read from one end to the other."""
    said: list[str] = []
    place = ca.ledger.listed(wanted, now=NOW, limit=1)[1] if after else ""
    assert place is not None
    with ca.ledger.reading() as connection:

        def explain(
            conn: object, cursor: object, statement: str, values: object, *_: object
        ) -> None:
            if not statement.startswith("EXPLAIN"):
                cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
                said.extend(row[-1] for row in cursor.fetchall())

        sql.event.listen(connection, "before_cursor_execute", explain)
        listing.page(connection, wanted, NOW, place, 10)
    assert said
    for line in said:
        assert "TEMP B-TREE" not in line
        assert "INDEX" in line or "SUBQUERY" in line
