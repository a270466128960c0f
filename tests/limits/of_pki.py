"""The limits of pki: each refusal is the error that its part documents."""

from __future__ import annotations

import io

import pytest

import pki
import smime
from pki import archive, bulk, ceremony, keys, names, requests
from pki.cli import common
from pki.errors import NoAuthority, ProfileProblem, RequestRefused
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


TABLE: Table = {
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
