"""The limits of pki: each refusal is the error that its part documents."""

from __future__ import annotations

import io

import pytest

import pki
import smime
from pki import archive, audit, bulk, ceremony, escrow, keys, names, requests
from pki.cli import common
from pki.errors import LedgerProblem, NoAuthority, ProfileProblem, RequestRefused
from pki.profiles import Profile
from tests.limits.walk import Bench, Elsewhere, Passed, Refused, Table


def reason(count: int, bench: Bench) -> None:
    archive._demand_reason("x" * count)


def rows(count: int, bench: Bench) -> None:
    file = io.StringIO("address\n" + "a@example.org\n" * count)
    assert len(list(bulk.read_rows(file, bulk.Defaults()))) == count


def addresses(count: int, bench: Bench) -> None:
    key = bench.world.bob.certificate.public_key()
    bench.patch.setattr(requests, "MAX_HOSTS", 1 << 30)
    pki.CertificationRequest(key, [f"a{n}@example.org" for n in range(count)])


def profile(count: int, bench: Bench) -> None:
    data = b'based_on = "mailbox"\n#'
    Profile.parse(data + b"x" * (count - len(data)))


def name(count: int, bench: Bench) -> None:
    assert names.checked_name("x" * count)


def request(count: int, bench: Bench) -> None:
    """Of so many octets it is looked at, and is none."""
    try:
        pki.CertificationRequest.parse(bytes(count))
    except RequestRefused as refused:
        if "octets" in str(refused):
            raise


def chain_octets(count: int, bench: Bench) -> None:
    try:
        ceremony.accept(keys.generate("p256"), bytes(count))
    except NoAuthority as refused:
        if "octets" in str(refused):
            raise


def mistyped(limit: int, bench: Bench) -> None:
    """A person is asked so often, and no more."""
    asked = []
    bench.patch.setattr(common, "demand_terminal", lambda *_: None)
    bench.patch.setattr(common, "secret", lambda question, _: asked.append(question) or "")
    with pytest.raises(common.Unattended):
        common.new_passphrase("Passphrase", "--passphrase-file")
    assert len(asked) == limit


def hosts(count: int, bench: Bench) -> None:
    key = bench.world.bob.certificate.public_key()
    pki.CertificationRequest(key, hosts=[f"h{n}.example.org" for n in range(count)])


def local_octets(count: int, bench: Bench) -> None:
    names.checked_address("x" * count + "@example.org")


def address_octets(count: int, bench: Bench) -> None:
    domain = "@" + "example." * 28 + "org"
    names.checked_address("x" * (count - len(domain)) + domain)


def host(count: int, bench: Bench) -> None:
    names.checked_host("x" * (count - len(".example" * 25)) + ".example" * 25)


def checkpoint(count: int, bench: Bench) -> None:
    """Of so many octets it is looked at, and is none."""
    try:
        audit.Checkpoint.parse(bytes(count))
    except LedgerProblem as refused:
        if "too large" in str(refused.__cause__):
            raise


def record(count: int, bench: Bench) -> None:
    """Of so many octets a record is looked at, and is none."""
    try:
        escrow._parse(b"\x30\x00" + bytes(count - 2))
    except smime.LimitExceeded:
        raise
    except smime.MalformedMail:
        pass


def stem(limit: int, bench: Bench) -> None:
    for octets in (limit, limit + 1, 10 * limit):
        found = bulk._stem("x" * octets, ["x" * octets])
        assert len(found) <= limit + len("-") + 12
        assert (found == "x" * octets) is (octets <= limit)


TABLE: Table = {
    "pki.audit.MAX_CHECKPOINT_OCTETS": Refused(checkpoint, LedgerProblem),
    "pki.bulk.MAX_STEM": Passed(stem, "a longer one is cut, and told apart by its hash"),
    "pki.escrow.MAX_RECORD_OCTETS": Refused(record),
    "pki.names.MAX_ADDRESS_OCTETS": Refused(address_octets, RequestRefused),
    "pki.names.MAX_HOST": Refused(host, RequestRefused),
    "pki.names.MAX_LOCAL_OCTETS": Refused(local_octets, RequestRefused),
    "pki.requests.MAX_HOSTS": Refused(hosts, RequestRefused),
    "pki.ceremony.MAX_CHAIN_OCTETS": Refused(chain_octets, NoAuthority, says="octets"),
    "pki.cli.common.MAX_ASKED": Passed(mistyped, "then nothing is done"),
    "pki.ocsp.MAX_QUESTIONS": Elsewhere(
        "tests/pki/test_ocsp.py::test_several_questions_up_to_the_limit"
    ),
    "pki.requests.MAX_REQUEST_OCTETS": Refused(request, RequestRefused, says="octets"),
    "pki.archive.MAX_REASON": Refused(reason, RequestRefused, says="a reason has"),
    "pki.bulk.MAX_ROWS": Refused(rows, smime.LimitExceeded, lower=20),
    "pki.names.MAX_NAME": Refused(name, RequestRefused),
    "pki.profiles.MAX_PROFILE_OCTETS": Refused(profile, ProfileProblem, says="octets"),
    "pki.requests.MAX_ADDRESSES": Refused(addresses, RequestRefused, says="addresses"),
}
