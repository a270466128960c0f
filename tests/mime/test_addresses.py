"""Addresses of From and its like: what a careful reader sees, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime.mime.addresses import addresses
from smime.mime.entity import split_entity

GOOD = [
    ("alice@example.org", ["alice@example.org"]),
    ("Alice <alice@example.org>", ["alice@example.org"]),
    ("  <alice@example.org>  ", ["alice@example.org"]),
    ("Alice Q. Example <a.b+c@example.org>", ["a.b+c@example.org"]),
    ('"Example, Alice" <a@b.example>, Bob <b@b.example>', ["a@b.example", "b@b.example"]),
    ('"alice@example.org" <mallory@evil.example>', ["mallory@evil.example"]),
    ('"alice@example.org,\\" <x@y.z>" <mallory@evil.example>', ["mallory@evil.example"]),
    ("=?utf-8?q?alice=40example.org?= <mallory@evil.example>", ["mallory@evil.example"]),
    ("=?utf-8?b?YWxpY2VAZXhhbXBsZS5vcmc=?= <m@evil.example>", ["m@evil.example"]),
    ("(alice@example.org) mallory@evil.example", ["mallory@evil.example"]),
    ("mallory@evil.example (alice@example.org)", ["mallory@evil.example"]),
    ("mallory(alice@example.org)@evil.example", ["mallory@evil.example"]),
    ("m@evil.example (a (nested \\) <alice@example.org>) comment)", ["m@evil.example"]),
    ("alice@example.org, mallory@evil.example", ["alice@example.org", "mallory@evil.example"]),
    ("alice@example.org <alice@Example.ORG>", ["alice@Example.ORG"]),
    (",alice@example.org,, bob@example.org,", ["alice@example.org", "bob@example.org"]),
    ("Team: alice@example.org, Bob <bob@example.org>;, c@d.example",
     ["alice@example.org", "bob@example.org", "c@d.example"]),
    ("undisclosed-recipients:;", []),
    ("Team:;, a@b.example", ["a@b.example"]),
    ("<@relay.example,@two.example:alice@example.org>", ["alice@example.org"]),
    ('"alice"@example.org', ["alice@example.org"]),
    ('"alice \\"x\\""@example.org', ['"alice \\"x\\""@example.org']),
    ('"alice@example.org"@evil.example', ['"alice@example.org"@evil.example']),
    ("root@[192.0.2.1]", ["root@[192.0.2.1]"]),
    ("root@localhost", ["root@localhost"]),
    ("Jürgen Größe <jürgen@bücher.example>", ["jürgen@bücher.example"]),
    ("张三 <zhang@例子.example>", ["zhang@例子.example"]),
    ("[list] News <news@example.org>", ["news@example.org"]),
    ("folded\r\n <alice@example.org>", ["alice@example.org"]),
    ("alice @ example.org", ["alice@example.org"]),
    ("", []),
    (" ", []),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), GOOD, ids=[value for value, _ in GOOD])
def test_addresses(value, expected):
    """Groups are flattened, and display names and comments never give an address."""
    mail = split_entity(f"From: {value}\r\n\r\n".encode())

    assert addresses(mail, "From") == tuple(expected)
    assert addresses(mail.fields, "from") == tuple(expected)


BROKEN = [
    "alice@example.org <mallory@evil.example>",
    "alice@example.org Alice <mallory@evil.example>",
    "Alice alice@example.org",
    "alice@example.org mallory@evil.example",
    "alice@example.org; mallory@evil.example",
    "<alice@example.org> <mallory@evil.example>",
    "<alice@example.org> mallory@evil.example",
    "Alice <alice@example.org",
    "Alice <alice@example.org>>",
    "Alice <<alice@example.org>>",
    "Alice <alice@example.org, mallory@evil.example>",
    "alice@example.org@evil.example",
    "<@evil.example>",
    "<>",
    '"alice@example.org',
    '"alice\\"@example.org',
    "(alice@example.org",
    "alice@example.org)",
    "alice@example.org\0 <mallory@evil.example>",
    "alice@example.org\r<mallory@evil.example>",
    "alice\0@example.org",
    "alice@example.org\x1b[2J",
    "alice\u202e@example.org",
    "alice\u200b@example.org",
    "alice@example\u00a0.org",
    "=?utf-8?q?alice=40example.org?=",
    "=?utf-8?q?alice?=@example.org",
    "=?utf-8?q?alice=40example.org_=3C?=mallory@evil.example>",
    "alice@=?utf-8?q?example.org?=",
    "Example, Alice <alice@example.org>",
    "alice",
    "alice@",
    "@example.org",
    "alice@example.org.",
    "alice..b@example.org",
    "alice@example..org",
    "alice. b@example.org",
    'a"b"@example.org',
    '"a""b"@example.org',
    "alice@[evil example]",
    "alice\\@example.org",
    "Team: alice@example.org",
    "Team: Inner: alice@example.org;;",
    "a@b.example: c@d.example;",
    "[alice@example.org] <mallory@evil.example>",
    "alice@example.org,=mallory",
]


@pytest.mark.parametrize("value", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_field_gives_no_address(value):
    """Neither the one nor the other, nor those of a good field beside it."""
    broken = f"From: {value}\r\n".encode()
    good = b"From: alice@example.org\r\n"

    assert addresses(split_entity(broken + b"\r\n"), "From") == ()
    assert addresses(split_entity(good + broken + b"\r\n"), "From") == ()
    assert addresses(split_entity(broken + good + b"\r\n"), "From") == ()
    assert addresses(split_entity(good + b"To: " + broken[6:] + b"\r\n"), "From") == (
        "alice@example.org",
    )


def test_several_fields_are_one_list():
    mail = split_entity(b"From: a@x.example\nTo: t@x.example\nfrom : b@x.example, c@x.example\n\n")

    assert addresses(mail, "From") == ("a@x.example", "b@x.example", "c@x.example")
    assert addresses(mail, "To") == ("t@x.example",)
    assert addresses(mail, "Cc") == ()


@pytest.mark.parametrize("charset", ["gb18030", "big5", "euc-kr", "windows-1252", "shift_jis"])
def test_raw_text_of_other_charsets_may_be_a_display_name(charset):
    name = {"euc-kr": "한글", "windows-1252": "Jürgen", "shift_jis": "日本"}.get(charset, "中文")
    field = b'From: "' + name.encode(charset) + b'" <a@b.example>\n\n'

    assert addresses(split_entity(field), "From") == ("a@b.example",)


@pytest.mark.parametrize(
    "raw",
    [
        b"From: \x95\x40evil <a@b.example>",  # 0x40 is an at sign, or half a character
        b'From: "\x95\\" <a@b.example>, "x" <c@d.example>',
        b"From: a\xe9@b.example",
        b"From: <a@b\xe9.example>",
        b"From: \x95[\x95] <a@b.example>",
    ],
)
def test_raw_text_that_charsets_cut_differently_gives_nothing(raw):
    assert addresses(split_entity(raw + b"\n\n"), "From") == ()


HOSTILE = [
    "(" * 500_000, "()" * 250_000, "<" * 500_000, '"' * 500_001, "\\" * 500_000, "a " * 250_000,
    "a@" * 250_000, "a." * 250_000, "a@b.c," * 100_000, "<a@b.c>," * 100_000, "@" * 500_000,
    ":" * 500_000, "x:;," * 120_000, "[" * 500_000, "<a" * 200_000 + ">", "=?" * 200_000 + "@b.c",
    "a " * 200_000 + "<a@b.c>", '"a"' * 100_000 + "@b", "(a" * 200_000 + ")" * 200_000,
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_fields_take_bounded_time(value, bounded):
    mail = split_entity(f"From: {value}\r\n\r\n".encode())
    with bounded():
        addresses(mail, "From")


NAMES = st.text(st.sampled_from('ab@.,;:<>()"\\ é=?'), max_size=12)


@given(name=NAMES)
def test_a_quoted_name_or_a_comment_changes_nothing(name):
    """Whatever is quoted properly in front, the address is the one in brackets."""
    quoted = "".join(f"\\{c}" if c in '"\\' else c for c in name)
    comment = "".join(f"\\{c}" if c in "()\\" else c for c in name)
    for value in (f'"{quoted}" <m@evil.example>', f"({comment}) m@evil.example"):
        mail = split_entity(f"From: {value}\r\n\r\n".encode())
        assert addresses(mail, "From") == ("m@evil.example",)


@given(value=st.lists(NAMES | st.sampled_from(["a@b.c", "<a@b.c>", "x:", ";", ","])).map("".join))
def test_every_address_is_one(value):
    """Any field gives addresses with both sides, or none, and nothing else is raised."""
    for address in addresses(split_entity(f"To: {value}\r\n\r\n".encode()), "To"):
        local, at, domain = address.rpartition("@")
        assert (bool(local), at, bool(domain)) == (True, "@", True)
        assert address.isprintable()
