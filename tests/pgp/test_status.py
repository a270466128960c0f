"""The verdict is drawn from gpg's status lines, and from all of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smime
from smime.pgp import status

KEY, PRIMARY = "A" * 24 + "0123456789ABCDEF", "B" * 40
GOOD = (
    "NEWSIG",
    f"KEY_CONSIDERED {PRIMARY} 0",
    "SIG_ID mUYmRCr1b7prZ/q0Bpi5o9JIJUc 2026-11-24 1795501683",
    "GOODSIG 0123456789ABCDEF Alice <alice@example.org>",
    f"VALIDSIG {KEY} 2026-11-24 1795501683 0 4 0 22 8 00 {PRIMARY}",
)
NO_KEY = (
    "NEWSIG",
    "ERRSIG 1111111111111111 1 8 00 1795501683 9 -",
    "NO_PUBKEY 1111111111111111",
)
BAD = ("NEWSIG", "BADSIG 0123456789ABCDEF Alice <alice@example.org>")
OPENED = (
    "ENC_TO 7F6805DCD9B7A3F9 1 0",
    f"DECRYPTION_KEY {KEY} {PRIMARY} u",
    "BEGIN_DECRYPTION",
    "DECRYPTION_INFO 2 9 0",
    "DECRYPTION_OKAY",
    "GOODMDC",
    "END_DECRYPTION",
)
WORDS = [
    "NEWSIG", "GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG", "ERRSIG", "VALIDSIG",
    "DECRYPTION_OKAY", "GOODMDC", "BADMDC", "BEGIN_DECRYPTION", "END_DECRYPTION", "FAILURE",
    "ERROR", "NODATA", "PLAINTEXT", "SIG_ID", "KEY_CONSIDERED", "DECRYPTION_INFO", "SIG_CREATED",
]  # fmt: skip


def stream(*lines: str) -> status.Status:
    return status.read("".join(f"[GNUPG:] {line}\n" for line in lines).encode())


def test_a_good_signature_holds():
    """The positive control of all that is refused below."""
    found = status.checked(stream(*GOOD), 0)

    assert found.state == "holds"
    assert (found.key, found.primary) == (KEY.lower(), PRIMARY.lower())
    assert found.created == datetime(2026, 11, 24, 6, 28, 3, tzinfo=UTC)
    assert (found.expires, found.digest) == (None, "sha256")


@pytest.mark.parametrize(
    ("lines", "state"),
    [(BAD, "bad"), (NO_KEY, "no-key"), (("NEWSIG",), "broken"), ((), "broken")],
)
def test_what_does_not_hold(lines, state):
    assert status.checked(stream(*lines), 0).state == state


@pytest.mark.parametrize("word", ["EXPSIG", "EXPKEYSIG", "REVKEYSIG"])
def test_expired_and_revoked_hold_and_are_judged_by_their_dates(word):
    lines = [line.replace("GOODSIG", word) for line in GOOD]

    assert status.checked(stream(*lines), 0).state == "holds"


@pytest.mark.parametrize("exit_status", [1, 2, 134, -9])
def test_another_exit_status_than_0_is_never_good(exit_status):
    assert status.checked(stream(*GOOD), exit_status).state == "broken"
    with pytest.raises(smime.DecryptionFailed):
        status.opened(stream(*OPENED), exit_status)


@pytest.mark.parametrize("missing", range(len(GOOD)))
def test_no_line_that_makes_it_good_may_be_missing(missing):
    lines = [line for n, line in enumerate(GOOD) if n != missing]
    needed = GOOD[missing].split()[0] in ("NEWSIG", "GOODSIG", "VALIDSIG")

    assert (status.checked(stream(*lines), 0).state == "holds") is not needed


@pytest.mark.parametrize(
    "added",
    [
        GOOD[3], GOOD[4], BAD[1], "FAILURE verify 1", "ERROR check 1", "NODATA 1", "NEWSIG",
        "EXPSIG 0123456789ABCDEF x",
    ],
)  # fmt: skip
def test_no_line_that_contradicts_may_be_added(added):
    assert status.checked(stream(*GOOD, added), 0).state == "broken"


@pytest.mark.parametrize(
    "line",
    [
        f"VALIDSIG {KEY} 2026-11-24 1795501683 0 4 0 22 8 10 {PRIMARY}",  # over a key
        f"VALIDSIG {KEY} 2026-11-24 0 0 4 0 22 8 00 {PRIMARY}",  # made never
        f"VALIDSIG {KEY[:16]} 2026-11-24 1795501683 0 4 0 22 8 00 {PRIMARY}",  # part of a name
        f"VALIDSIG {'C' * 40} 2026-11-24 1795501683 0 4 0 22 8 00 {PRIMARY}",  # another key
        f"VALIDSIG {KEY} 2026-11-24 1795501683 0 4 0 22 8 00",  # by nobody
        "VALIDSIG",
    ],
)
def test_a_validsig_must_be_whole(line):
    assert status.checked(stream(*GOOD[:4], line), 0).state == "broken"


def test_what_is_said_before_newsig_makes_all_odd():
    assert status.checked(stream(GOOD[3], GOOD[4], *GOOD), 0).state == "broken"


@pytest.mark.parametrize(
    "junk", [b"gpg: Good signature\n", b"\n", b"[GNUPG:] x\n", b"[GNUPG:]\n", b"[GNUPG:] NEWSIG"]
)
def test_what_gpg_does_not_write_makes_the_stream_odd(junk):
    whole = "".join(f"[GNUPG:] {line}\n" for line in GOOD).encode()

    assert status.checked(status.read(whole), 0).state == "holds"
    assert status.checked(status.read(whole + junk), 0).state == "broken"


def test_each_signature_has_its_own_answer_in_any_order():
    blocks = {"holds": GOOD, "bad": BAD, "no-key": NO_KEY}
    for order in (
        ("holds", "no-key", "bad"),
        ("no-key", "holds", "bad"),
        ("bad", "no-key", "holds"),
    ):
        lines = [line for name in order for line in blocks[name]]
        assert tuple(one.state for one in stream(*lines).signatures) == order


def test_a_message_is_opened_when_all_is_said_once():
    assert status.opened(stream(*OPENED), 0) == (PRIMARY.lower(), "AES-256 (MDC)")


@pytest.mark.parametrize("missing", range(2, len(OPENED)))
def test_without_any_of_it_nothing_was_opened(missing):
    lines = [line for n, line in enumerate(OPENED) if n != missing]

    with pytest.raises(smime.DecryptionFailed):
        status.opened(stream(*lines), 0)


@pytest.mark.parametrize(
    "added",
    ["BADMDC", "DECRYPTION_FAILED", "FAILURE decrypt 1", "NODATA 3", *OPENED[2:]],
)
def test_nothing_is_opened_twice_or_with_a_fault(added):
    with pytest.raises(smime.DecryptionFailed) as refused:
        status.opened(stream(*OPENED, added), 0)

    assert str(refused.value) == status.FAILED


@pytest.mark.parametrize("info", ["0 9 0", "1 9 0", "3 9 0", "2", ""])
def test_nothing_is_opened_without_protection_against_change(info):
    lines = [line.replace("DECRYPTION_INFO 2 9 0", f"DECRYPTION_INFO {info}") for line in OPENED]

    with pytest.raises(smime.DecryptionFailed):
        status.opened(stream(*lines), 0)


@pytest.mark.parametrize("info", ["0 9 0", "0 9 2", "0 9 1"])
def test_gnupgs_own_form_is_opened_where_it_was_handed_over(info):
    """gpg 2.2 does not tell the mode, so what the packet says counts (tag 20)."""
    lines = [line.replace("DECRYPTION_INFO 2 9 0", f"DECRYPTION_INFO {info}") for line in OPENED]

    assert status.opened(stream(*lines), 0, aead=True)[0] == PRIMARY.lower()
    for bad in (OPENED, lines[:-2] + lines[-1:] if info == "0 9 0" else lines[:-1]):
        with pytest.raises(smime.DecryptionFailed):
            status.opened(stream(*bad), 0, aead=True)


def test_a_locked_key_is_a_matter_of_the_key():
    with pytest.raises(smime.KeyProblem, match="passphrase"):
        status.opened(stream("ENC_TO 1 1 0", "NEED_PASSPHRASE 1 1 18 0", "INQUIRE_MAXLEN 100"), 2)


def test_a_weak_signature_is_not_handed_out():
    fine = f"SIG_CREATED D 22 8 00 1795501683 {KEY}"

    assert status.signed(stream(fine), 0) == ("sha256", KEY.lower())
    with pytest.raises(smime.KeyProblem, match="weak"):
        status.signed(stream(fine.replace(" 8 00", " 2 00")), 0)
    with pytest.raises(smime.KeyProblem):
        status.signed(stream(fine, fine), 0)


def test_only_strong_ciphers_with_mdc_are_written():
    assert status.sealed(stream("BEGIN_ENCRYPTION 2 9", "END_ENCRYPTION"), 0) == "AES-256"
    for numbers in ("0 9", "2 2", "2 10"):
        with pytest.raises(smime.NotSupported):
            status.sealed(stream(f"BEGIN_ENCRYPTION {numbers}", "END_ENCRYPTION"), 0)
    with pytest.raises(smime.KeyProblem, match=PRIMARY.lower()):
        status.sealed(stream(f"INV_RECP 5 {PRIMARY}"), 2)


lines_of_gpg = st.one_of(
    st.sampled_from([*GOOD, *BAD, *NO_KEY, *OPENED]),
    st.builds(
        lambda word, rest: f"{word} {rest}",
        st.sampled_from(WORDS),
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60),
    ),
)


@given(st.binary(max_size=2000), st.integers(-15, 255))
def test_any_octets_are_read_and_never_good(data, exit_status):
    found = status.read(data)

    assert status.checked(found, exit_status).state == "broken"
    with pytest.raises(smime.SmimeError):
        status.opened(found, exit_status)


@given(st.lists(lines_of_gpg, max_size=14), st.integers(0, 3))
def test_hostile_streams_are_good_only_if_they_say_all_of_it(lines, exit_status):
    found = stream(*lines)
    words = [word for word, _ in found.lines]

    for one in found.signatures:
        assert one.state in ("holds", "bad", "no-key", "unsupported", "broken")
    if status.checked(found, exit_status).state == "holds":
        assert exit_status == 0
        assert words.count("NEWSIG") == words.count("VALIDSIG") == 1
        assert not {"BADSIG", "ERRSIG", "FAILURE", "ERROR"} & set(words)
    try:
        status.opened(found, exit_status)
    except (smime.DecryptionFailed, smime.KeyProblem):
        return
    assert exit_status == 0
    assert words.count("DECRYPTION_OKAY") == words.count("GOODMDC") == 1
    assert not {"BADMDC", "DECRYPTION_FAILED", "FAILURE"} & set(words)


@given(st.text(max_size=30))
def test_times_are_read_or_not_at_all(text):
    found = status.moment_of(text)

    assert found is None or found.tzinfo is UTC


def test_a_stream_beyond_its_budget_is_odd():
    line = b"[GNUPG:] KEY_CONSIDERED x\n"
    fits = line * (status.MAX_STATUS // len(line))

    assert not status.read(fits).odd
    assert status.read(fits + line).odd
