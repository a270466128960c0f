"""Every entry of other projects' S/MIME vectors comes out as its manifest says.

The vectors are looked for in the folder that SMIMETOOL_VECTORS names, else beside the checkout.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import smime
from tests.vectors.foreign import FOLDER, UnknownWord, load_manifest
from tests.vectors.foreign_algorithms import CLAIMED, algorithms
from tests.vectors.foreign_verdict import Wrong, judge

ENTRIES = load_manifest("smime")
KINDS = sorted({entry.kind for entry in ENTRIES})
KNOWN = {
    one["id"]: one["reason"]
    for one in tomllib.loads((Path(__file__).parents[1] / "known.toml").read_text("utf-8"))["smime"]
}
MAX_KNOWN_SHARE = 0.03

pytestmark = [
    pytest.mark.skipif(
        not ENTRIES,
        reason=f"platform: other projects' vectors are not kept beside this checkout ({FOLDER})",
    ),
    # Old keys are read on purpose; the library that reads them warns of it.
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_vectors_come_out_as_stated(kind, record_property):
    """All of a kind: as stated, or refused for an algorithm that is not claimed, or known."""
    counts: Counter[str] = Counter()
    wrong = []
    mine = [entry for entry in ENTRIES if entry.kind == kind]
    for entry in mine:
        try:
            verdict = judge(entry, ENTRIES)
        except Wrong as problem:
            verdict = "known" if entry.id in KNOWN and problem.refusal else f"wrong: {problem}"
        if verdict.startswith("wrong"):
            wrong.append(f"{entry.id}: {verdict}")
        elif verdict != "known" and entry.id in KNOWN:
            wrong.append(f"{entry.id}: it passes, so it has to leave known.toml")
        else:
            counts[verdict] += 1

    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    record_property("vectors", f"foreign {kind}: {counts.total()} of {len(mine)} ({told})")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("stated", "claimed_instead"), [("ok", "fail"), ("fail", "ok"), ("untrusted", "ok")]
)
def test_a_wrong_expectation_is_noticed(stated, claimed_instead):
    """Positive control: no rule lets everything pass."""
    kinds = ("signed-detached", "signed-opaque", "nested", "enveloped", "auth-enveloped")
    chosen = [
        entry
        for entry in ENTRIES
        if entry.kind in kinds and entry.outcome == stated and algorithms(entry) <= CLAIMED
    ][::5]
    assert chosen
    for entry in chosen:
        turned = replace(
            entry, raw={**entry.raw, "expect": {**entry.expect, "outcome": claimed_instead}}
        )
        with pytest.raises(Wrong):
            judge(turned, ENTRIES)


@pytest.mark.parametrize("field", ["kind", "outcome"])
def test_an_unknown_word_is_an_error(field):
    """What the runner has no rule for is never passed over."""
    raw = dict(ENTRIES[0].raw)
    if field == "kind":
        raw["kind"] = "something new"
    else:
        raw["expect"] = {**raw["expect"], "outcome": "perhaps"}
    with pytest.raises(UnknownWord):
        judge(replace(ENTRIES[0], raw=raw), ENTRIES)


def test_what_is_known_is_few_and_real():
    """The list names entries that exist, says why, and stays short."""
    assert set(KNOWN) <= {entry.id for entry in ENTRIES}
    assert all(reason.strip() for reason in KNOWN.values())
    assert len(KNOWN) <= MAX_KNOWN_SHARE * len(ENTRIES)


def test_most_claimed_algorithms_are_shown_by_a_foreign_vector():
    """Positive control: the runner saw the algorithms that are claimed, and judged them."""
    seen = {
        name
        for entry in ENTRIES
        if entry.kind in ("signed-detached", "signed-opaque", "enveloped", "auth-enveloped")
        for name in algorithms(entry)
    }
    must = {
        *("sha1", "sha256", "sha512", "rsassa_pkcs1v15", "sha512_ecdsa"),
        *("aes128_cbc", "aes192_cbc", "aes256_cbc", "aes128_gcm", "tripledes_3key"),
        *("rsaes_pkcs1v15", "rsaes_oaep", "aes128_wrap", "aes192_wrap"),
        *("1.3.133.16.840.63.0.2", "1.3.132.1.11.1", "1.3.132.1.11.2"),
    }
    assert must <= seen & CLAIMED


MANAGER, EVE = "manager@bigcorporation.de", "eve@bigcorporation.de"


@pytest.mark.parametrize(
    ("name", "signer", "senders"),
    [
        ("valid_email_from_manager", MANAGER, [MANAGER]),
        ("manager-smime", MANAGER, [MANAGER]),
        ("i1-from-unequals-signer-smime", None, [MANAGER]),
        ("i2-from-is-empty-smime", None, [""]),
        ("i3-from1-sender-from2-signer-smime", None, [MANAGER, EVE]),
        ("i3-from1-signer-from2-sender-smime", None, [EVE, MANAGER]),
        ("m1-smime", None, [MANAGER]),
        ("m4-smime", None, [MANAGER]),
        ("multiple_signerInfos_append_johnny", None, [EVE]),
        ("multiple_signerInfos_prepend_johnny", None, [EVE]),
    ],
)
def test_what_a_reader_is_shown_of_johnny_s_mails(name, signer, senders):
    """Everything of the chain is believed here, and still no mail is by whom it claims to be."""
    folder = FOLDER / "smime/johnny"
    trust = smime.Anchors.load(folder / "intermediate_ca.crt")

    opened = smime.open(folder / f"{name}.eml", trust=trust, at=datetime(2019, 6, 1, tzinfo=UTC))
    view = smime.view(opened)

    assert opened.signer == signer
    assert [one.value for one in view.headers if one.name == "From"] == senders
    assert {str(one.protection) for one in view.headers} == {"none"}
    good = f"signed by {signer} (good)"
    assert (view.verdict == good) if signer else view.verdict.startswith(("signature NOT", "unsigned"))
