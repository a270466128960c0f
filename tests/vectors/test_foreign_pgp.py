"""OpenPGP vectors that nobody on this project made, judged through GnuPG.

They are looked for where ``foreign`` looks for them. Every entry is judged by what its outcome
demands; an outcome without a rule fails. Where the manifest says that GnuPG cannot, it must refuse.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import smime
from smime import autocrypt
from smime.pgp.backend import STRONG_DIGESTS
from smime.pgp.judging import weakness
from smime.pgp.packets import (
    dearmor,
    read_cleartext,
    read_message,
    read_sealed,
    read_signatures,
)
from smime.protocols import PgpClaim
from tests.vectors.foreign import FOLDER

PLACE = FOLDER / "pgp"
KNOWN = {
    one["id"]: one.get("engines", ["gnupg", "auto"])
    for one in tomllib.loads((Path(__file__).parents[1] / "known.toml").read_text("utf-8"))["pgp"]
}
# Where the manifest says of a signature what is not so; it holds as long as Sequoia agrees.
KNOWN_SIGNATURES = {
    one["id"]: one["signature"]
    for one in tomllib.loads((Path(__file__).parents[1] / "known.toml").read_text("utf-8"))[
        "pgp-signature"
    ]
}
# When the manifest's outcomes hold; Sequoia does not judge as of later than now.
AT = min(datetime(2026, 11, 24, 12, tzinfo=UTC), datetime.now(UTC))
MODERN, LEGACY = smime.Policy.modern(), smime.Policy.legacy_read()
SIGNED = ("detached-signature", "signed-message", "cleartext-signed")
KEYS = ("certificate", "secret-key")
MAX_KNOWN = 0.03
READ_BY_GPG = {"gpg --show-keys rc": 0}

GOOD, LEGACY_ONLY, REFUSED, OPENED, MIXED = "good", "legacy", "refused", "opened", "mixed"
# What must come out of a signature, by the word of the manifest.
OF_SIGNATURES = {
    "valid": GOOD,
    "expired_key": GOOD,  # it was made while the key was alive
    "weak": LEGACY_ONLY,
    "mixed": MIXED,
    "invalid": REFUSED,
    "revoked_key": REFUSED,
    "unknown_signer": REFUSED,
    "unverifiable": REFUSED,
    "malformed": REFUSED,
    "malformed_or_unsigned": REFUSED,
    "unsigned": REFUSED,
}
OF_SEALED = {
    "decrypted": OPENED,
    "no_key": REFUSED,
    "locked_key": REFUSED,
    "tampered": REFUSED,
    "tampered_or_malformed": REFUSED,
    "unprotected": REFUSED,
    "malformed": REFUSED,
}


@cache
def entries() -> list[dict[str, Any]]:
    manifest = PLACE / "manifest.json"
    return json.loads(manifest.read_bytes()) if manifest.exists() else []


pytestmark = [
    pytest.mark.peer("gpg"),
    pytest.mark.skipif(
        not entries(),
        reason=f"platform: other projects' vectors are not kept beside this checkout ({FOLDER})",
    ),
]


@pytest.fixture(scope="module", params=["gnupg", "sequoia", "auto"])
def rings(request: pytest.FixtureRequest) -> Iterator[Rings]:
    if request.param != "gnupg":
        pytest.importorskip("pysequoia", reason="peer pysequoia")
    made = Rings(request.param)
    yield made
    made.close()


class Rings:
    """A keyring for every set of keys that a vector needs."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.verdicts: dict[str, tuple[set[str], str, str]] = {}
        self._made: dict[str, smime.PgpKeyring] = {}

    def of(self, entry: dict[str, Any]) -> smime.PgpKeyring:
        needs = entry["needs"]
        files = dict.fromkeys((*needs.get("key", ()), *needs.get("cert", ())))
        name = f"{list(files)} {needs.get('password')}"
        if name not in self._made:
            ring = self._made[name] = smime.PgpKeyring(
                passphrase=needs.get("password"), engine=self.engine
            )
            for file in files:
                try:
                    ring.add(read(file))
                except (smime.KeyProblem, smime.MalformedMail):
                    continue  # a key that GnuPG does not read
        return self._made[name]

    def close(self) -> None:
        for one in self._made.values():
            one.close()


def read(name: str) -> bytes:
    return (PLACE / name).read_bytes()


def beyond(entry: dict[str, Any], engine: str) -> bool:
    """Whether the manifest says that only other engines read it: then it may be refused."""
    if engine == "sequoia":
        return True  # what it has to refuse is another test's matter
    if engine == "auto":
        return False
    if entry["kind"] in KEYS:
        return entry["expect"]["outcome"] == "parsed" and entry["observed"] != READ_BY_GPG
    said = f"{entry['expect'].get('reason')} {entry['established_by']}"
    return "GnuPG 2.2.40 cannot" in said or "only pysequoia" in said


# --- what comes out -------------------------------------------------------------


def answers(ring: smime.PgpKeyring, facts: Any, policy: smime.Policy) -> list[bool]:
    """Whether each signature is good but for the address, of which a bare file says nothing."""
    found = []
    for one in facts:
        good = one.state == "holds"
        if good:
            # What Sequoia says while it opens is as of now, and bears no other date.
            at = max(AT, one.created) if one.vetted else AT
            judgement = ring.judge_openpgp(PgpClaim(one, None, at, policy=policy))
            asked = (judgement.path, judgement.revocation, judgement.usage, judgement.time)
            good = all(finding.accepted for finding in asked)
        found.append(good)
    return found


def word_of(ring: smime.PgpKeyring, facts: Any) -> str:
    if any(answers(ring, facts, MODERN)):
        return GOOD
    return LEGACY_ONLY if any(answers(ring, facts, LEGACY)) else REFUSED


def forms(content: bytes) -> set[str]:
    """Digests of a content with the line ends that engines give to text."""
    lines = content.replace(b"\r\n", b"\n")
    ends = (content, lines, content + b"\r\n", lines + b"\n")
    return {hashlib.sha256(one).hexdigest() for one in ends}


def same_content(entry: dict[str, Any], content: bytes) -> bool:
    said = {entry["expect"].get("plaintext_sha256"), entry["expect"].get("plaintext_sha256_gpg")}
    return said == {None} or bool(said & forms(content))


def signed_verdict(entry: dict[str, Any], ring: smime.PgpKeyring) -> tuple[str, str]:
    data = read(entry["file"])
    try:
        if entry["kind"] == "detached-signature":
            content, signatures = read(entry["data"]), read_signatures(data)
        else:
            whole = entry["kind"] == "signed-message"
            message = read_message(dearmor(data)) if whole else read_cleartext(data)
            content, signatures = message.content, message.signatures
    except (smime.MalformedMail, smime.NotSupported) as refused:
        return REFUSED, str(refused)
    facts = ring.engine.check(content, signatures)
    word = word_of(ring, facts)
    if word != REFUSED and not same_content(entry, content):
        return "another content", ""
    states = [one.state for one in facts]
    if entry["expect"]["outcome"] == "mixed":
        # One answer for each: as many hold as GnuPG calls good, those of unknown keys do not.
        sigs = entry["observed"]["gpg 2.2.40"]["sigs"]
        good = sum(one.startswith("GOODSIG") for one in sigs)
        held = states.count("holds")
        fits = held == good if ring.engine.name == "gnupg" else held <= good
        fits = fits and len(states) == len(sigs)
        return (MIXED if fits else f"{states}"), ""
    return word, f"{states}"


def sealed_verdict(entry: dict[str, Any], ring: smime.PgpKeyring) -> tuple[str, str]:
    passphrase = (entry["needs"].get("password") or "").encode() or None
    data = read(entry["file"])
    if entry["kind"] == "autocrypt-setup-message":
        data = data[data.index(b"-----BEGIN PGP") :].partition(b"-----END PGP MESSAGE-----")[0]
        data += b"-----END PGP MESSAGE-----"
    try:
        opened = ring.engine.decrypt(read_sealed(data), list(ring), passphrase=passphrase)
    except (
        smime.DecryptionFailed,
        smime.KeyProblem,
        smime.MalformedMail,
        smime.NotSupported,
    ) as refused:
        return REFUSED, f"{type(refused).__name__}: {refused}"
    if not same_content(entry, opened.content):
        return "another content", ""
    inside = entry["expect"].get("signature")
    if inside is not None:
        found = ring.engine.check(opened.content, opened.signatures)
        word = word_of(ring, (*found, *opened.checked))
        wanted = OF_SIGNATURES[inside["outcome"]]
        if says_good(entry) and opened.checked:
            wanted = GOOD  # by what Sequoia said, while it opened it
        elif says_good(entry) and sequoia_says_good(entry, opened.content, opened.signatures):
            wanted = GOOD
        if ring.engine.name == "sequoia" and word == REFUSED and wanted != REFUSED:
            return REFUSED, "its signature"
        if word != wanted and not (wanted == MIXED and word != REFUSED):
            return f"opened, signature {word} and not {wanted}", ""
    return OPENED, ""


def says_good(entry: dict[str, Any]) -> bool:
    """Whether the signature inside is called weak for not having been seen by Sequoia."""
    return KNOWN_SIGNATURES.get(entry["id"]) == GOOD


def sequoia_says_good(entry: dict[str, Any], content: bytes, signatures: tuple[bytes, ...]) -> bool:
    """Ask Sequoia of exactly what was opened, which it could not open itself."""
    import pysequoia

    (one,) = signatures
    certs = [
        cert for file in entry["needs"]["cert"] for cert in pysequoia.Cert.split_bytes(read(file))
    ]
    found = pysequoia.verify(
        content, store=lambda _: certs, signature=pysequoia.Sig.from_bytes(one)
    )
    return [one.certificate for one in found.valid_sigs] == [certs[0].fingerprint]


def key_verdict(entry: dict[str, Any], engine: str) -> tuple[str, str]:
    with smime.PgpKeyring(engine=engine) as ring:
        try:
            ring.add(read(entry["file"]))
        except (smime.KeyProblem, smime.MalformedMail) as refused:
            return REFUSED, str(refused)
        found = {one.fingerprint: one for one in ring}
    listed = {one["fingerprint"]: one for one in entry["expect"].get("certs", ())}
    if entry["expect"]["outcome"] == "rejected":
        # GnuPG takes in some that nobody may use: weak, expired, revoked.
        return ("parsed" if any(map(is_sound, found.values())) else REFUSED), ""
    if set(found) != set(listed):
        return f"{len(found)} keys of {len(listed)}", ""
    for fingerprint, said in listed.items():
        key = found[fingerprint]
        if "uids" in said and not set(said["uids"]) <= set(key.user_ids):
            return f"other user IDs: {key.user_ids}", ""
        if "revoked" in said and said["revoked"] != key.facts.primary.revoked_at(AT):
            return "otherwise revoked", ""
    return "parsed", ""


def announced_verdict(entry: dict[str, Any], engine: str) -> tuple[str, str]:
    """Return which key the field of a mail announces, as the manifest says and as it is read."""
    expect = entry["expect"]
    wanted = "none"
    if expect["outcome"] == "accepted":
        mutual = expect["prefer_encrypt"] == "mutual"
        wanted = f"{expect['addr']} {mutual} {expect['fingerprint']}"
    found = autocrypt.announced(read(entry["file"]))
    if found is None:
        return wanted, "none"
    with smime.PgpKeyring(found.keydata, engine=engine) as ring:
        (key,) = ring
        return wanted, f"{found.address} {found.mutual} {key.fingerprint}"


def is_sound(key: smime.PgpKey) -> bool:
    """Whether a signature by the primary key could be good today."""
    primary = key.facts.primary
    strong = bool(primary.marks) and primary.marks[0].digest in STRONG_DIGESTS
    return strong and primary.valid_at(AT) and weakness(primary, MODERN) is None


def mail_verdict(entry: dict[str, Any], ring: smime.PgpKeyring) -> tuple[str, str]:
    """Judge the whole mail: its outermost layer, and who signed all of it."""
    expect = entry["expect"]
    report = smime.examine(read(entry["file"]), keys=ring, trust=ring, at=AT)
    outer = report.layers[0] if report.layers else None
    why = f"{report.outcome}, {[layer.kind for layer in report.layers]}"
    if report.problem:
        why += f", {report.problem.reason}"
    # Not one signature in it, whatever it covers, and not only that of the sender.
    good = report.signer is not None
    if any(check.good for layer in report.layers for check in layer.signatures) and not good:
        good = expect["outcome"] in ("invalid", "malformed", "unknown_signer", "no_crypto")
    if good and expect.get("from_equals_signer") is False:
        return "good for another sender", why
    outcome = expect["outcome"]
    if outcome in ("partial", "no_crypto", "unknown_signer", "invalid", "malformed"):
        return ("good, and must not be" if good else REFUSED), why
    if outcome == "smime_outer":
        return (REFUSED if outer is not None and outer.form != "multipart/encrypted" else why), why
    if outcome == "valid":
        if expect.get("from_equals_signer") is False:
            holds = outer is not None and outer.signatures[0].genuine.answer == smime.Answer.YES
            return (GOOD if holds else why), why
        return (GOOD if good else REFUSED), why
    if outcome in OF_SEALED:
        opened = outer is not None and outer.kind == "encrypted" and outer.opened
        return (OPENED if opened else REFUSED), why
    pytest.fail(f"{entry['id']}: there is no rule for {outcome}")


OF_MAILS = {
    **dict.fromkeys(("partial", "no_crypto", "unknown_signer", "invalid", "malformed"), REFUSED),
    "smime_outer": REFUSED,
    "valid": GOOD,
}


def verdict_of(entry: dict[str, Any], rings: Rings) -> tuple[set[str], str, str]:
    """Return what may come out, what did, and why; worked out once for each entry."""
    if entry["id"] not in rings.verdicts:
        rings.verdicts[entry["id"]] = _verdict(entry, rings)
    return rings.verdicts[entry["id"]]


def _verdict(entry: dict[str, Any], rings: Rings) -> tuple[set[str], str, str]:
    kind, outcome = entry["kind"], entry["expect"]["outcome"]
    if kind in SIGNED:
        wanted, (found, why) = OF_SIGNATURES[outcome], signed_verdict(entry, rings.of(entry))
    elif kind in ("encrypted", "autocrypt-setup-message"):
        wanted, (found, why) = OF_SEALED[outcome], sealed_verdict(entry, rings.of(entry))
    elif kind in ("mail", "mail-unobtrusive-signature"):
        wanted = {**OF_SEALED, **OF_MAILS}[outcome]
        found, why = mail_verdict(entry, rings.of(entry))
    elif kind == "autocrypt-header":
        wanted, found = announced_verdict(entry, rings.engine)
        why = ""
    elif kind in KEYS:
        wanted = {"parsed": "parsed", "parsed_by_gpg_only": "parsed", "rejected": REFUSED}[outcome]
        found, why = key_verdict(entry, rings.engine)
    else:
        pytest.fail(f"{entry['id']}: there is no rule for {kind}")
    return ({wanted, REFUSED} if beyond(entry, rings.engine) else {wanted}), found, why


def table(counts: dict[tuple[str, str], Counter[str]]) -> list[str]:
    lines = [f"{'kind':<28}{'outcome':<24}{'as stated':>10}{'refused':>14}{'known':>7}"]
    for (kind, outcome), row in sorted(counts.items()):
        stated, beyond, known = row["stated"], row["beyond"], row["known"]
        lines.append(f"{kind:<28}{outcome:<24}{stated:>10}{beyond:>14}{known:>7}")
    return lines


def test_foreign_openpgp_vectors_come_out_as_stated(rings, record_property, capsys):
    """Every entry, through each engine; what is known otherwise is refused, and nothing else."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    wrong = []
    mine = entries()
    for entry in mine:
        wanted, found, why = verdict_of(entry, rings)
        row = counts.setdefault((entry["kind"], entry["expect"]["outcome"]), Counter())
        known = rings.engine in KNOWN.get(entry["id"], ())
        if found in wanted and not known:
            row["beyond" if found == REFUSED and len(wanted) > 1 else "stated"] += 1
        elif found in wanted:
            wrong.append(f"{entry['id']}: it passes, so it has to leave known.toml")
        elif known and (found == REFUSED or entry["kind"] in KEYS):
            row["known"] += 1
        else:
            wrong.append(f"{entry['id']}: {found}, and not {wanted} ({why})")

    judged = sum(row.total() for row in counts.values())
    refused = sum(row["beyond"] for row in counts.values())
    lines = [
        *table(counts),
        f"foreign OpenPGP vectors, {rings.engine}: {judged} of {len(mine)} judged, "
        f"{refused} of them beyond it and refused",
    ]
    record_property("vectors", lines[-1])
    with capsys.disabled():
        print("", *lines, sep="\n")
    assert not wrong, "\n".join(wrong)
    assert judged == len(mine)
    assert sum(row["known"] for row in counts.values()) <= MAX_KNOWN * len(mine)


def test_both_answers_occur(rings):
    """Positive control: nothing here passes for refusing or accepting everything."""
    for kind in (*SIGNED, "encrypted"):
        found = Counter(
            verdict_of(entry, rings)[1] == REFUSED for entry in entries() if entry["kind"] == kind
        )
        assert min(found[True], found[False]) > 3, kind
