"""How a foreign vector came out, judged by a table: kind, outcome, rule."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from asn1crypto import pkcs12 as asn1_p12
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import smime
import smime.cms
from tests.vectors.foreign import (
    Entry,
    UnknownWord,
    bare_key,
    blob_of,
    certificates_in,
    evidence_of,
    keys_of,
    mail_of,
    trust_of,
)
from tests.vectors.foreign_algorithms import CLAIMED, WEAK, algorithms, outer_blob

# Findings by which the default policy may refuse what the legacy one accepts.
STRICTER = {"weak-algorithm", "key-too-small", "attributes-missing"}
LEGACY = smime.Policy.legacy_read()
DEFAULT = smime.Policy.modern()
SIGNING_KEYS = (
    *(rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey),
    *(ed448.Ed448PublicKey, mldsa.MLDSA44PublicKey, mldsa.MLDSA65PublicKey),
    mldsa.MLDSA87PublicKey,
)
READING_KEYS = (
    *(rsa.RSAPublicKey, ec.EllipticCurvePublicKey, x25519.X25519PublicKey),
    *(x448.X448PublicKey, mlkem.MLKEM768PublicKey, mlkem.MLKEM1024PublicKey),
)
CLAIMED_KEYS = (*SIGNING_KEYS, *READING_KEYS)

AS_STATED = "as stated"
NOT_CLAIMED = "refused, not claimed"


class Wrong(Exception):
    """What came out is not what the manifest says.

    ``refusal`` says that something good was refused, and nothing worse.
    """

    def __init__(self, message: str, *, refusal: bool = False) -> None:
        super().__init__(message)
        self.refusal = refusal


def judge(entry: Entry, entries: list[Entry]) -> str:
    """Return how the entry came out, ``AS_STATED`` or ``NOT_CLAIMED``; raises ``Wrong``."""
    rule = _RULES.get(entry.kind)
    if rule is None:
        raise UnknownWord(f"there is no rule for the kind {entry.kind!r}")
    if entry.outcome not in OUTCOMES[rule]:
        raise UnknownWord(f"there is no rule for {entry.kind} with {entry.outcome!r}")
    return rule(entry, entries)


def demand(holds: object, what: str, *, refusal: bool = False) -> None:
    if not holds:
        raise Wrong(what, refusal=refusal)


def refused(*kinds: type[smime.SmimeError]) -> Any:
    """Context in which one of our errors of these kinds must be raised, and no other."""
    return _Refused(kinds or (smime.SmimeError,))


class _Refused:
    def __init__(self, kinds: tuple[type[smime.SmimeError], ...]) -> None:
        self.kinds = kinds

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> bool:
        names = "/".join(one.__name__ for one in self.kinds)
        demand(kind is not None, f"accepted, though it must raise {names}")
        assert kind is not None
        demand(issubclass(kind, self.kinds), f"raised {kind.__name__}({error}), not {names}")
        return True


def fits(entry: Entry, content: bytes) -> bool:
    """The content is the one that is stated, with the line ends as they are or bare."""
    stated = {entry.expect.get("plaintext_sha256"), entry.expect.get("plaintext_sha256_lf")}
    digests = {
        hashlib.sha256(form).hexdigest() for form in (content, content.replace(b"\r\n", b"\n"))
    }
    return bool(stated & digests)


class Seen:
    """What the public functions say of one mail under one policy."""

    def __init__(self, entry: Entry, policy: smime.Policy) -> None:
        if entry.needs.get("revocation") == "require":
            policy = policy.replace(revocation=smime.Revocation.REQUIRE)
        self.mail = mail_of(entry)
        self.given: dict[str, Any] = {
            "trust": trust_of(entry),
            "keys": keys_of(entry),
            "evidence": evidence_of(entry),
            "policy": policy,
            "at": entry.at,
        }
        self.report = smime.examine(self.mail, **self.given)
        self.checks = self.report.signatures
        self.codes = {f.code for one in self.checks for f in one.problems}
        if self.report.problem:
            self.codes.add(self.report.problem.code)

    @property
    def good(self) -> bool:
        return self.report.outcome in (smime.Outcome.GOOD, smime.Outcome.GOOD_THEN)

    @property
    def intact(self) -> bool:
        """Every signature holds, by its mathematics."""
        return bool(self.checks) and all(
            one.intact.accepted and one.genuine.accepted for one in self.checks
        )

    @property
    def trusted(self) -> bool:
        """Every signature holds and its key is vouched for; whose address it names is open."""
        return self.intact and all(
            finding.accepted
            for one in self.checks
            for name, finding in one.findings
            if name != "address"
        )

    def why(self) -> str:
        parts = [
            f"{name}: {finding.code}: {finding.reason}"
            for one in self.checks
            for name, finding in one.findings
            if not finding.accepted
        ]
        if self.report.problem:
            parts.append(f"problem: {self.report.problem.code}: {self.report.problem.reason}")
        return f"{self.report.outcome}; " + "; ".join(parts)

    def open(self) -> smime.Opened:
        return smime.open(self.mail, **self.given)

    def verify(self) -> smime.Opened:
        return smime.verify(self.mail, **self.given)

    def decrypt(self) -> smime.Opened:
        return smime.decrypt(self.mail, **self.given)

    def must_not_be_good(self) -> None:
        demand(not self.good and self.report.signer is None, f"called good: {self.report}")
        with refused():
            self.verify()


def judge_signed(entry: Entry, _: list[Entry]) -> str:
    """A signed mail, or one in several layers."""
    legacy, default = Seen(entry, LEGACY), Seen(entry, DEFAULT)
    algorithms_used = algorithms(entry)
    if entry.outcome == "fail" or algorithms_used - CLAIMED:
        for seen in (legacy, default):
            seen.must_not_be_good()
            demand(not seen.trusted, f"accepted: {seen.why()}")
        if entry.expect.get("opens"):
            demand(fits(entry, legacy.open().content), "the sealed layer does not open")
        if entry.outcome == "fail":
            return AS_STATED
        demand("not-supported" in legacy.codes, f"not called unsupported: {legacy.why()}")
        return NOT_CLAIMED
    if algorithms_used & WEAK:
        default.must_not_be_good()
        demand(not default.trusted, "the default policy accepts what is weak")
        demand(default.codes & (STRICTER | {"not-supported"}), f"not called weak: {default.why()}")
    elif legacy.trusted and not default.trusted:
        demand(default.codes & STRICTER, f"refused by the default policy: {default.why()}")
    return _signed_as_stated(entry, legacy)


def _signed_as_stated(entry: Entry, seen: Seen) -> str:
    outcome = entry.outcome
    if outcome == "policy-dependent":
        outcome = _policy_answer(entry, "ok" if seen.trusted else "fail")
    if outcome == "ok":
        demand(seen.trusted, f"not accepted: {seen.why()}", refusal=True)
        stated = entry.expect.get("good")
        demand(stated is None or stated == seen.good, f"good is {seen.good}: {seen.why()}")
    elif outcome == "untrusted":
        demand(seen.intact, f"the mathematics is said wrong: {seen.why()}", refusal=True)
    if outcome != "ok" or not seen.good:
        seen.must_not_be_good()
    if outcome != "ok":
        demand(not seen.trusted, "trusted, though the chain is not good")
        return AS_STATED
    demand(fits(entry, seen.open().content), "the content differs")
    layers = [layer["layer"] for layer in entry.expect.get("layers", [])]
    if layers:
        demand(len(seen.report.layers) == len(layers), f"{len(seen.report.layers)} layers")
    return AS_STATED


def _policy_answer(entry: Entry, ours: str) -> str:
    """Return the answer that the same certificates have with no policy asked for."""
    wanted = entry.raw["file"].rsplit("/")[-1]
    answers = {
        one["expect"]
        for one in _pki_manifest(entry.folder)
        if str(one.get("message")).endswith(wanted)
        and one["policies"] is None
        and not (
            one["explicit_policy"] or one["inhibit_policy_mapping"] or one["inhibit_any_policy"]
        )
    }
    return answers.pop() if len(answers) == 1 else ours


def _pki_manifest(folder: Path) -> list[dict[str, Any]]:
    manifest = folder.parent / "pki" / "manifest.json"
    return json.loads(manifest.read_bytes()) if manifest.exists() else []


def judge_sealed(entry: Entry, _: list[Entry]) -> str:
    """A sealed mail."""
    legacy, default = Seen(entry, LEGACY), Seen(entry, DEFAULT)
    for seen in (legacy, default):
        seen.must_not_be_good()
    found = algorithms(entry)
    if entry.outcome == "parses":
        return _only_parses(entry, legacy)
    if entry.outcome == "fail":
        for seen in (legacy, default):
            with refused(smime.DecryptionFailed, smime.MalformedMail, smime.NotSupported):
                seen.decrypt()
        return AS_STATED
    if found - CLAIMED:
        for seen in (legacy, default):
            with refused(smime.NotSupported):
                seen.decrypt()
        return NOT_CLAIMED
    try:
        content = _outer_content(entry, legacy)
    except smime.SmimeError as problem:
        raise Wrong(f"not opened: {problem}", refusal=True) from problem
    demand(fits(entry, content), "the content differs")
    authenticated = "authenticated_enveloped_data" in found
    demand(legacy.report.layers[0].authenticated == authenticated, "authenticated is said wrongly")
    if found & WEAK:
        with refused(smime.NotSupported):
            default.decrypt()
    else:
        demand(fits(entry, _outer_content(entry, default)), "the content differs by policy")
    return AS_STATED


def _outer_content(entry: Entry, seen: Seen) -> bytes:
    """Return what the outermost layer holds; ``Opened.content`` is of the innermost."""
    opened = seen.decrypt()
    if len(opened.report.layers) == 1:
        return opened.content
    from smime.cms import enveloped
    from smime.keys import opening_keys_of

    keys = opening_keys_of(seen.given["keys"])
    content, _ = enveloped.open_with(enveloped.read(outer_blob(entry)), keys, seen.given["policy"])
    demand(opened.content.strip() in content or opened.report.signatures, "another mail inside")
    return content


def _only_parses(entry: Entry, seen: Seen) -> str:
    told = smime.cms.inspect(blob_of(entry.data))
    demand(told["type"] in _TOLD[entry.kind], f"inspect calls it {told['type']}")
    if "encrypted_content_len" in entry.expect:
        demand(told["content_size"] == entry.expect["encrypted_content_len"], "another length")
    seen.must_not_be_good()
    return AS_STATED


_TOLD = {
    "signed-detached": ("signedData",),
    "certs-only": ("signedData",),
    "enveloped": ("envelopedData",),
    "data": ("data",),
}


def judge_detached_or_alone(entry: Entry, entries: list[Entry]) -> str:
    if entry.outcome == "parses":
        return _only_parses(entry, Seen(entry, LEGACY))
    return judge_signed(entry, entries)


def judge_never_good(entry: Entry, _: list[Entry]) -> str:
    """Nothing is signed or sealed here: certificates only, plain data, no layer around all."""
    for policy in (LEGACY, DEFAULT):
        seen = Seen(entry, policy)
        seen.must_not_be_good()
        with refused():
            seen.decrypt()
        if entry.kind == "mime":
            demand(seen.report.outcome is smime.Outcome.UNSIGNED, str(seen.report.outcome))
            demand(not seen.report.layers, "a layer is told that is not around the mail")
    if entry.kind != "mime":
        told = smime.cms.inspect(blob_of(entry.data))
        demand(told["type"] in _TOLD[entry.kind], f"inspect calls it {told['type']}")
        count = entry.expect.get("certificates")
        if count:
            listed = count if isinstance(count, int) else len(count)
            demand(len(told["certificates"]) == listed, "another number of certificates")
    return AS_STATED


def judge_compressed(entry: Entry, _: list[Entry]) -> str:
    """Compressed content: no mail is inside, so it is for smime.cms alone."""
    blob = blob_of(entry.data)
    demand(fits(entry, smime.cms.decompress(blob)), "the content differs")
    with refused(smime.MalformedMail):
        smime.cms.decompress(blob[:-1])
    Seen(entry, DEFAULT).must_not_be_good()
    return AS_STATED


def judge_other_structure(entry: Entry, _: list[Entry]) -> str:
    """Digested content, or encrypted with a key that both sides have: for smime.cms alone."""
    blob = blob_of(entry.data)
    keys = []
    if "secret_key_hex" in entry.needs:
        keys = [smime.cms.ContentKey(bytes.fromhex(entry.needs["secret_key_hex"]))]
    opened = smime.cms.open(blob, keys=keys, policy=LEGACY)
    demand(fits(entry, opened.content), "the content differs")
    demand(not opened.authenticated, "authenticated is said wrongly")
    with refused(smime.NotSupported):  # SHA-1 and 3DES
        smime.cms.open(blob, keys=keys, policy=DEFAULT)
    with refused(smime.MalformedMail, smime.DecryptionFailed):
        smime.cms.open(blob[:-1], keys=keys, policy=LEGACY)
    for policy in (LEGACY, DEFAULT):
        seen = Seen(entry, policy)
        seen.must_not_be_good()
        for call in (seen.open, seen.decrypt, seen.verify):
            with refused(smime.NotSupported):
                call()
    smime.cms.inspect(blob)
    return AS_STATED


def judge_malformed(entry: Entry, _: list[Entry]) -> str:
    for policy in (LEGACY, DEFAULT):
        seen = Seen(entry, policy)
        seen.must_not_be_good()
        with refused(smime.MalformedMail):
            seen.open()
    with refused(smime.MalformedMail):
        smime.cms.inspect(blob_of(entry.data))
    return AS_STATED


def judge_certificate(entry: Entry, _: list[Entry]) -> str:
    data = entry.data
    known = certificates_in(data)
    if known and all(_claimed_key(one) for one in known):
        vouching = [one for one in known if isinstance(one.public_key(), SIGNING_KEYS)]
        if vouching:
            demand(set(smime.Anchors.parse(data).certificates) == set(known), "other certificates")
        if len(known) == 1 and isinstance(known[0].public_key(), READING_KEYS):
            demand(smime.Recipient.parse(data).recipient_key, "it cannot be written to")
        return AS_STATED
    try:
        smime.Anchors.parse(data)
    except (smime.KeyProblem, smime.NotSupported):
        return NOT_CLAIMED
    return AS_STATED


def _claimed_key(certificate: x509.Certificate) -> bool:
    try:
        return isinstance(certificate.public_key(), CLAIMED_KEYS)
    except (ValueError, UnsupportedAlgorithm):
        return False


def judge_key(entry: Entry, entries: list[Entry]) -> str:
    """A private key, alone, with its certificate, or in a PKCS#12."""
    data, passphrase = entry.data, entry.needs.get("password")
    beside = [] if entry.raw["format"] == "p12" else _certificates_for(data, passphrase, entries)
    try:
        identities = smime.Identity.parse_all(data, *beside, passphrase=passphrase)
    except (smime.KeyProblem, smime.NotSupported) as problem:
        if _is_claimed_key(data):
            if not beside and entry.raw["format"] != "p12":
                return _key_is_used(entry, entries)
            raise Wrong(f"not loaded: {problem}", refusal=True) from problem
        return NOT_CLAIMED
    demand(identities, "no identity")
    useful = [one for one in identities if _is_of_use(one)]
    if not useful:
        demand(not any(_claimed_key(one.certificate) for one in identities), "of no use")
        return NOT_CLAIMED
    if isinstance(passphrase, str) and passphrase:
        with refused(smime.KeyProblem):
            smime.Identity.parse_all(data, *beside, passphrase=passphrase + "x")
    return AS_STATED


def _is_of_use(one: smime.Identity) -> bool:
    """It signs, or opens what is sealed for its certificate."""
    try:
        return bool(one.signing_key)
    except (smime.NotSupported, smime.KeyProblem):
        return _opens(one)


def _opens(one: smime.Identity) -> bool:
    from smime.cms import enveloped

    try:
        reader = smime.cms.RecipientKey(one.certificate)
    except smime.NotSupported:
        return False
    blob = enveloped.build(b"x", [reader], cipher="aes-256-gcm", transport="rsa-oaep")
    return smime.cms.decrypt(blob, keys=one) == b"x"


def _is_claimed_key(data: bytes) -> bool:
    try:
        key = bare_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # A PKCS#12, or a kind of key that nobody here reads.
        return _is_p12(data)
    return isinstance(key.public_key(), CLAIMED_KEYS)


def _is_p12(data: bytes) -> bool:
    try:
        return len(asn1_p12.Pfx.load(data)["auth_safe"]) > 0
    except (ValueError, TypeError, KeyError):
        return False


def _certificates_for(data: bytes, passphrase: Any, entries: list[Entry]) -> list[bytes]:
    """Return the certificates of the manifest that belong to a bare key."""
    try:
        public = _spki(bare_key(data).public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return []
    found = []
    for one in entries:
        if one.kind in ("cert", "key+cert"):
            raw = one.data
            if any(_spki_of(each) == public for each in certificates_in(raw)):
                found.append(raw)
                break
    return found


def _spki(public: Any) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _spki_of(certificate: x509.Certificate) -> bytes:
    try:
        return _spki(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _key_is_used(entry: Entry, entries: list[Entry]) -> str:
    """A key without any certificate is shown to work by an entry that it opens."""
    users = [one for one in entries if entry.raw["file"] in one.listed("key")]
    demand(users, "no certificate belongs to it and no entry uses it")
    for one in users:
        judge(one, entries)
    return AS_STATED


def judge_crl(entry: Entry, _: list[Entry]) -> str:
    evidence = smime.Evidence(crls=[entry.data])
    revoked = {f"{one.serial_number:X}" for one in x509.load_der_x509_crl(evidence.crls[0])}
    stated = {one.lstrip("0") for one in entry.expect["revoked_serials_hex"]}
    demand(revoked == stated, f"revoked {revoked}")
    return AS_STATED


def judge_content(entry: Entry, entries: list[Entry]) -> str:
    """A file that other entries are compared with, or that documents them."""
    demand(entry.data, "empty")
    return AS_STATED


_RULES = {
    "auth-enveloped": judge_sealed,
    "cert": judge_certificate,
    "certs-only": judge_never_good,
    "compressed": judge_compressed,
    "content": judge_content,
    "crl": judge_crl,
    "data": judge_never_good,
    "digested": judge_other_structure,
    "encrypted": judge_other_structure,
    "enveloped": judge_sealed,
    "key": judge_key,
    "key+cert": judge_key,
    "malformed": judge_malformed,
    "mime": judge_never_good,
    "nested": judge_signed,
    "p12": judge_key,
    "signed-detached": judge_detached_or_alone,
    "signed-opaque": judge_signed,
}
OUTCOMES = {
    judge_sealed: {"ok", "fail", "parses"},
    judge_certificate: {"parses"},
    judge_never_good: {"ok", "parses", "parts-only", "no-smime-layer"},
    judge_compressed: {"ok"},
    judge_other_structure: {"ok"},
    judge_content: {"ok"},
    judge_crl: {"parses"},
    judge_key: {"ok", "parses"},
    judge_malformed: {"fail"},
    judge_signed: {"ok", "fail", "untrusted", "ok-per-rfc"},
    judge_detached_or_alone: {"ok", "fail", "untrusted", "policy-dependent", "parses"},
}
