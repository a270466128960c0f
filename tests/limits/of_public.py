"""The limits of smime's own modules: what is shown, fetched and kept for one mail."""

from __future__ import annotations

from typing import Any

import pytest

import smime
from smime import fetch, protocols
from tests.limits.of_formats import HEAD, TEXT, both, mixed
from tests.limits.walk import Bench, Elsewhere, Passed, Refused, Table
from tests.public.test_receipts import ASKS
from tests.support.web import moved, web


def layers(count: int, bench: Bench) -> None:
    """In memory and in a file."""
    mail: Any = HEAD + TEXT + b"hi\r\n"
    for _ in range(count):
        mail = smime.sign(mail, by=bench.world.alice)
    for one in both(bytes(mail), bench):
        assert smime.open(one, trust=bench.world.anchors).content


def checked_parts(limit: int, bench: Bench) -> None:
    part = bytes(smime.sign(TEXT + b"hi\r\n", by=bench.world.alice))
    report = smime.examine(HEAD + mixed(*[part] * (limit + 1)), trust=bench.world.anchors)
    assert [len(one.signatures) for one in report.parts] == [1] * limit + [0]


def layer_names(limit: int, bench: Bench) -> None:
    to = [bench.world.bob] * (limit + 1)
    blob = smime.cms.encrypt(TEXT + b"hi\r\n", to=to)
    from smime.formats.smime import wrap_sealed

    mail = wrap_sealed(blob, "authEnvelopedData", HEAD)
    for one in both(mail, bench):
        report = smime.examine(one, trust=bench.world.anchors)
        assert 1 <= len(report.layers[0].recipients) <= limit


def opened(mail: bytes, bench: Bench) -> Any:
    return smime.view(smime.open(mail, trust=bench.world.anchors))


def shown_value(limit: int, bench: Bench) -> None:
    for octets, whole in ((limit, True), (limit + 1, False)):
        view = opened(b"From: a@b.c\r\nSubject: " + b"x" * octets + b"\r\n\r\nhi\r\n", bench)
        (subject,) = [one.value for one in view.headers if one.name == "Subject"]
        assert (subject == "x" * octets) is whole
        assert len(subject) <= limit + len(" […] ")


def shown_alike(limit: int, bench: Bench) -> None:
    view = opened(b"From: a@b.c\r\n" + b"To: b@c.d\r\n" * (limit + 1) + b"\r\nhi\r\n", bench)
    assert [one.name for one in view.headers].count("To") == limit


def shown_depth(limit: int, bench: Bench) -> None:
    for depth, text in ((limit, "hi"), (limit + 1, "")):
        made = TEXT + b"hi"
        for n in range(depth):
            made = mixed(made, edge=b"e%d" % n)
        assert opened(HEAD + made, bench).text.strip() == text


def shown_parts(limit: int, bench: Bench) -> None:
    for count in (limit, limit + 1):
        view = opened(HEAD + mixed(*[b"\r\nx"] * count), bench)
        assert view.text.count("x") == limit


def fetched_octets(count: int, bench: Bench) -> None:
    with web() as site:
        site.pages["/x"] = b"x" * count
        got = smime.HttpFetcher(allow_private=True, timeout_seconds=5).get(site.url("/x"))
    assert len(got) == count


def redirects(count: int, bench: Bench) -> None:
    with web() as site:
        for n in range(count):
            site.pages[f"/{n}"] = moved(f"/{n + 1}")
        site.pages[f"/{count}"] = b"here"
        got = smime.HttpFetcher(allow_private=True, timeout_seconds=5).get(site.url("/0"))
    assert got == b"here"


def url_length(count: int, bench: Bench) -> None:
    with web() as site:
        path = "/" + "x" * (count - len(site.url("/")))
        site.pages[path] = b"here"
        fetcher = smime.HttpFetcher(allow_private=True, timeout_seconds=5)
        assert fetcher.get(site.url(path)) == b"here"


def tried_addresses(limit: int, bench: Bench) -> None:
    """Nobody listens at the first ones of a name; the last that is tried answers."""
    with web() as site:
        good = (2, 1, 6, "", (site.host, site.port))
        bad = (2, 1, 6, "", (site.host, 1))
        site.pages["/"] = b"here"
        for wrong, got in ((limit - 1, True), (limit, False)):
            answer = [bad] * wrong + [good]
            bench.patch.setattr(fetch, "_resolve", lambda *_, answer=answer: answer)
            fetcher = smime.HttpFetcher(allow_private=True, timeout_seconds=5)
            if got:
                assert fetcher.get(site.url("/")) == b"here"
            else:
                with pytest.raises(OSError, match="refused"):
                    fetcher.get(site.url("/"))


def fetches(limit: int, bench: Bench) -> None:
    budget = protocols.FetchBudget()
    assert [budget.take() for _ in range(limit + 1)] == [True] * limit + [False]


def setup_octets(limit: int, bench: Bench) -> None:
    from smime.autocrypt import _setup_block
    from smime.mime.entity import split_entity

    block = b"-----BEGIN PGP MESSAGE-----\r\n\r\nabc\r\n-----END PGP MESSAGE-----\r\n"
    part = b"Content-Type: application/autocrypt-setup\r\n\r\n" + block
    made = mixed(part)
    made += b"x" * (limit - len(made))
    assert b"abc" in _setup_block(split_entity(made))
    with pytest.raises(smime.MalformedMail, match="too large"):
        _setup_block(split_entity(made + b"x"))


def head_octets(limit: int, bench: Bench) -> None:
    """Head and content of an answer are counted together while they come."""

    def padded(octets: int) -> Any:
        def answer(handler: Any) -> None:
            start = b"HTTP/1.0 200 OK\r\nX: "
            handler.wfile.write(start + b"x" * (octets - len(start) - 4) + b"\r\n\r\n")

        return answer

    fetcher = smime.HttpFetcher(allow_private=True, timeout_seconds=5, limit_octets=100)
    with web() as site:
        site.pages["/"] = padded(limit + 100)
        assert fetcher.get(site.url("/")) == b""
        site.pages["/"] = padded(limit + 101)
        with pytest.raises(smime.LimitExceeded):
            fetcher.get(site.url("/"))


def receipt_for(limit: int, bench: Bench) -> None:
    """A receipt names no longer Message-ID, and is one for the mail all the same."""
    for count, named in ((limit, True), (limit + 1, False)):
        identifier = b"<" + b"x" * (count - 2) + b">"
        mail = b"Message-ID: " + identifier + b"\r\n" + HEAD + TEXT + b"hi\r\n"
        world = bench.world
        asking = smime.sign(mail, by=world.alice, policy=ASKS)
        made = smime.make_receipt(asking, by=world.bob, trust=world.anchors)
        assert (b"In-Reply-To: " + identifier in bytes(made)) is named


TABLE: Table = {
    "smime.receipts.MAX_IDENTIFIER": Passed(receipt_for, "it is not named"),
    "smime.fetch.MAX_HEAD_OCTETS": Passed(head_octets, "LimitExceeded", lower=2000),
    "smime.viewing.MAX_FILES": Elsewhere("tests/public/test_view.py::test_limits"),
    "smime.viewing.MAX_TEXT": Elsewhere("tests/public/test_view.py::test_limits"),
    "smime.wkd.MAX_OCTETS": Elsewhere(
        "tests/pgp/test_wkd.py::test_a_server_that_is_not_there_or_not_the_one"
    ),
    "smime.autocrypt.MAX_SETUP_OCTETS": Passed(setup_octets, "it is no setup message"),
    "smime.fetch.MAX_ADDRESSES": Passed(tried_addresses, "no more are tried"),
    "smime.fetch.MAX_OCTETS": Refused(fetched_octets),
    "smime.fetch.MAX_REDIRECTS": Refused(redirects),
    "smime.fetch.MAX_URL": Refused(url_length, smime.NotSupported),
    "smime.judged.MAX_CHECKED_PARTS": Passed(checked_parts, "the others are not looked at"),
    "smime.judged.MAX_LAYERS": Refused(layers),
    "smime.judged.MAX_NAMED": Passed(layer_names, "the report names no more"),
    "smime.protocols.MAX_FETCHES": Passed(fetches, "no more is fetched, and a note says so"),
    "smime.swift.MAX_LENGTHS": Elsewhere(
        "tests/public/test_swift.py::test_signers_are_forgotten_when_they_are_many"
    ),
    "smime.swift.MAX_KEPT_OCTETS": Elsewhere(
        "tests/public/test_swift.py::test_what_is_large_is_not_kept"
    ),
    "smime.cli.files.MAX_INPUT_OCTETS": Elsewhere(
        "tests/cli/test_files.py::test_input_above_the_limit_is_refused"
    ),
    "smime.cli.passphrase.MAX_PASSPHRASE_OCTETS": Elsewhere(
        "tests/cli/test_passphrase.py::test_a_file_without_lines_is_no_passphrase_file"
    ),
    "smime.viewing.MAX_DEPTH": Passed(shown_depth, "deeper text is not shown"),
    "smime.viewing.MAX_PARTS": Passed(shown_parts, "no more are looked at"),
    "smime.viewing.MAX_SAME": Passed(shown_alike, "no more are shown"),
    "smime.viewing.MAX_VALUE": Passed(shown_value, "its middle is left out"),
}
