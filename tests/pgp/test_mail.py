"""The verbs take OpenPGP keys as they take certificates: PGP/MIME out and in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

import smime
from smime.pgp.packets import read_sealed
from tests.support.world import LETTER

pytestmark = pytest.mark.peer("gpg")

SHORT = (
    b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: lunch\r\n\r\nWe meet at noon.\r\n"
)


def parsed(mail):
    return message_from_bytes(bytes(mail), policy=policy.default)


def shown(opened):
    return opened.mail.body if not opened.message.is_multipart() else bytes(opened.mail)


# --- signed -------------------------------------------------------------------


@pytest.mark.parametrize("letter", [LETTER, SHORT, SHORT.replace(b"\r\n", b"\n")])
def test_signed_and_verified(ring, alice, letter):
    signed = smime.sign(letter, by=alice)
    opened = smime.verify(signed, trust=ring)

    assert opened.signer == "alice@example.org"
    assert opened.message["Subject"] == parsed(letter)["Subject"]
    (check,) = opened.report.signatures
    assert check.good
    assert check.fingerprint == alice.fingerprint
    assert opened.report.layers[0].form == "multipart/signed"


def test_the_form_is_that_of_rfc_3156(ring, alice):
    signed = smime.sign(LETTER, by=alice)
    message = parsed(signed)
    used = smime.verify(signed, trust=ring).report.signatures[0].digest_algorithm

    assert message.get_content_type() == "multipart/signed"
    assert message.get_param("protocol") == "application/pgp-signature"
    assert message.get_param("micalg") == f"pgp-{used}"
    content, signature = message.get_payload()
    assert content.get_content_type() == "multipart/mixed"
    assert signature.get_content_type() == "application/pgp-signature"


def test_micalg_is_what_was_used(ring, alice):
    signed = smime.sign(LETTER, by=alice, policy=smime.Policy.modern().replace(digest="sha512"))

    assert parsed(signed).get_param("micalg") == "pgp-sha512"
    assert smime.verify(signed, trust=ring).report.signatures[0].digest_algorithm == "sha512"


def test_every_changed_letter_is_refused(ring, alice):
    signed = bytes(smime.sign(SHORT, by=alice))
    assert smime.verify(signed, trust=ring).signer

    with pytest.raises(smime.SignatureRejected, match="changed after signing"):
        smime.verify(signed.replace(b"noon", b"dusk"), trust=ring)
    report = smime.examine(signed.replace(b"noon", b"dusk"), trust=ring)
    assert report.outcome == smime.Outcome.REJECTED


def test_another_sender_is_refused(ring, alice):
    signed = smime.sign(SHORT.replace(b"From: alice", b"From: bob"), by=alice)

    with pytest.raises(smime.SignatureRejected, match="the key names alice@"):
        smime.verify(signed, trust=ring)
    assert smime.verify(signed, trust=ring, sender="alice@example.org").signer


def test_line_ends_that_were_changed_are_put_back(ring, alice):
    signed = bytes(smime.sign(SHORT, by=alice)).replace(b"\r\n", b"\n")
    opened = smime.verify(signed, trust=ring)

    assert [note.code for note in opened.report.signatures[0].notes] == ["line-ends"]
    exact = smime.Policy.modern().replace(line_ends="exact")
    with pytest.raises(smime.SignatureRejected):
        smime.verify(signed, trust=ring, policy=exact)


def test_an_unknown_key_is_named(ring, alice, bob, gpg):
    signed = smime.sign(SHORT, by=alice)
    with smime.PgpKeyring(ring.export(bob)) as other:
        report = smime.examine(signed, trust=other)

    (check,) = report.signatures
    assert (check.good, check.genuine.code) == (False, "no-certificate")
    assert check.fingerprint == alice.fingerprint
    assert report.outcome == smime.Outcome.UNKNOWN


@pytest.mark.parametrize("trust", ["none", "anchors"])
def test_without_a_keyring_nothing_is_good(ring, alice, world, trust):
    signed = smime.sign(SHORT, by=alice)
    trusted = smime.NoTrust() if trust == "none" else world.anchors

    assert smime.examine(signed, trust=trusted).outcome == smime.Outcome.UNKNOWN
    # The key is at hand to check with, and nobody vouches for it.
    report = smime.examine(signed, trust=trusted, keys=alice)
    assert report.outcome == smime.Outcome.UNKNOWN
    assert report.signatures[0].genuine.answer == smime.Answer.YES
    assert report.signatures[0].path.code == "no-trust"


def test_one_trust_for_each_form(ring, alice, world):
    trust = [world.anchors, ring]

    assert smime.verify(smime.sign(SHORT, by=alice), trust=trust).signer
    assert smime.verify(smime.sign(SHORT, by=world.alice), trust=trust).signer
    with pytest.raises(smime.SignatureRejected):
        smime.verify(smime.sign(SHORT, by=world.alice), trust=ring)


def test_signed_at_a_moment(ring, alice):
    then = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    signed = smime.sign(SHORT, by=alice, at=then)

    assert smime.verify(signed, trust=ring, at=then).report.signatures[0].signed_at == then
    with pytest.raises(smime.SignatureRejected):
        smime.verify(signed, trust=ring)


def test_a_second_signature_by_the_sender_that_is_bad_counts(ring, alice):
    """Two signatures in one part: one of this content, one of another."""
    from smime.pgp.packets import dearmor

    one = smime.sign(SHORT, by=alice)
    other = smime.sign(SHORT.replace(b"noon", b"dusk"), by=alice)
    begin, end = b"-----BEGIN PGP SIGNATURE-----", b"-----END PGP SIGNATURE-----"

    def armour(mail):
        return begin + bytes(mail).partition(begin)[2].partition(end)[0] + end

    import base64

    both = base64.b64encode(dearmor(armour(other)) + dearmor(armour(one)))
    mixed = bytes(one).replace(armour(one), begin + b"\r\n\r\n" + both + b"\r\n" + end)
    report = smime.examine(mixed, trust=ring)

    assert sorted(check.good for check in report.signatures) == [False, True]
    assert report.signer is None


# --- sealed -------------------------------------------------------------------


def test_protected_and_opened(ring, alice, bob):
    sealed = smime.protect(LETTER, by=alice, to=[bob])
    opened = smime.open(sealed, keys=bob, trust=ring)

    assert opened.signer == "alice@example.org"
    assert opened.encrypted
    assert opened.message["Subject"] == parsed(LETTER)["Subject"]
    assert parsed(sealed)["Subject"] == "[...]"
    assert "会议" not in bytes(sealed).decode()
    encrypted, signed = opened.report.layers
    assert encrypted.authenticated
    assert (encrypted.algorithm, encrypted.opened_by) == ("AES-256 (MDC)", "bob@example.org")
    assert (signed.kind, signed.form) == ("signed", "multipart/encrypted")
    assert opened.safe_to_render
    assert opened.report.addressed_to_me.answer == smime.Answer.YES


def test_the_sealed_form_is_that_of_rfc_3156(ring, alice, bob):
    message = parsed(smime.protect(LETTER, by=alice, to=bob))

    assert message.get_content_type() == "multipart/encrypted"
    assert message.get_param("protocol") == "application/pgp-encrypted"
    version, content = message.get_payload()
    assert version.get_content_type() == "application/pgp-encrypted"
    assert version.get_payload().strip() == "Version: 1"
    assert content.get_content_type() == "application/octet-stream"


def test_the_sender_reads_too_unless_told_otherwise(ring, alice, bob):
    assert smime.open(smime.protect(SHORT, by=alice, to=bob), keys=alice, trust=ring).signer
    without = smime.protect(SHORT, by=alice, to=bob, to_self=False)
    with pytest.raises(smime.DecryptionFailed, match="other OpenPGP keys"):
        smime.open(without, keys=alice, trust=ring)


def test_encrypted_without_a_signature(ring, bob):
    opened = smime.decrypt(smime.encrypt(LETTER, to=bob), keys=bob, trust=ring)

    assert (opened.signer, opened.encrypted) == (None, True)
    assert opened.report.outcome == smime.Outcome.UNSIGNED
    assert opened.safe_to_render  # its content shows whether it was changed


def test_keys_may_be_a_whole_ring(ring, bob):
    assert smime.open(smime.encrypt(SHORT, to=bob), keys=ring, trust=ring).encrypted


def test_no_key_and_other_keys(ring, alice, bob, world):
    sealed = smime.encrypt(SHORT, to=bob)

    with pytest.raises(smime.DecryptionFailed, match="no OpenPGP key was given") as missing:
        smime.open(sealed, keys=world.bob, trust=ring)
    assert bob.facts.keys[1].key_id in missing.value.hint
    with pytest.raises(smime.DecryptionFailed, match="other OpenPGP keys"):
        smime.open(sealed, keys=alice, trust=ring)
    report = smime.examine(sealed, trust=ring)
    assert report.outcome == smime.Outcome.SEALED
    assert report.layers[0].recipients == (bob.facts.keys[1].key_id,)


def test_the_public_half_opens_nothing(ring, bob, gpg):
    sealed = smime.encrypt(SHORT, to=bob)
    with (
        smime.PgpKeyring(ring.export(bob)) as public,
        pytest.raises(smime.KeyProblem, match="public half"),
    ):
        smime.open(sealed, keys=public.find("bob@example.org"), trust=ring)


def test_the_signers_key_may_be_in_another_ring(ring, alice, bob, gpg):
    sealed = smime.protect(SHORT, by=alice, to=bob)
    with (
        smime.PgpKeyring(ring.export(bob, secret=True)) as mine,
        smime.PgpKeyring(ring.export(alice)) as friends,
    ):
        key = mine.find("bob@example.org")
        assert smime.verify(sealed, keys=key, trust=friends).signer == "alice@example.org"
        assert smime.open(sealed, keys=key, trust=mine).signer is None


@pytest.mark.parametrize("place", [0.3, 0.5, 0.9])
def test_a_changed_sealed_mail_gives_nothing(ring, bob, place, tmp_path):
    sealed = bytes(smime.encrypt(LETTER, to=bob))
    begin, end = b"-----BEGIN PGP MESSAGE-----\r\n\r\n", b"\r\n-----END PGP"
    at = sealed.index(begin) + len(begin)
    at += int((sealed.index(end) - at) * place)
    changed = sealed[:at] + (b"A" if sealed[at : at + 1] != b"A" else b"B") + sealed[at + 1 :]
    out = tmp_path / "out.eml"

    with pytest.raises((smime.DecryptionFailed, smime.MalformedMail)):
        smime.open(changed, keys=bob, trust=ring, out=out)
    assert not out.exists()


def test_a_bcc_reader_reads_and_is_not_named(ring, alice, bob, gpg):
    with smime.PgpKeyring(ring.export(alice, secret=True), ring.export(bob)) as mine:
        mine.generate("carol@example.org")
        sender, reader = mine.find("alice@example.org"), mine.find("bob@example.org")
        blind = mine.find("carol@example.org")
        letter = SHORT.replace(b"Subject:", b"Bcc: carol@example.org\r\nSubject:")
        sealed = smime.protect(letter, by=sender, to=[reader, blind])

        assert b"carol" not in bytes(sealed)
        assert "carol@example.org" in sealed.recipients
        armour = bytes(sealed)[bytes(sealed).index(b"-----BEGIN") :].partition(b"\r\n--pgp")[0]
        named = read_sealed(armour).recipients
        assert named.count("0" * 16) == 1
        assert blind.facts.keys[1].key_id not in named
        assert smime.verify(sealed, keys=blind, trust=mine).signer == "alice@example.org"


def test_a_copy_for_each_reader(ring, alice, bob):
    copies = list(smime.protect_each(SHORT, by=alice, to=[alice, bob], to_self=False))

    assert [copy.recipients for copy in copies] == [("alice@example.org",), ("bob@example.org",)]
    for copy, key in zip(copies, (alice, bob), strict=True):
        assert smime.verify(copy, keys=key, trust=ring).signer == "alice@example.org"
    with pytest.raises(smime.DecryptionFailed):
        smime.open(copies[1], keys=alice, trust=ring)


def test_expired_readers_are_all_named(gpg):
    with smime.PgpKeyring() as ring:
        for name in ("bob", "carol"):
            key = ring.generate(f"{name}@example.org")
            ring.add(ring.make_revocation(key))
        readers = [ring.find("bob@example.org"), ring.find("carol@example.org")]
        with pytest.raises(smime.KeyProblem, match=r"revoked.*revoked"):
            smime.encrypt(SHORT, to=readers)


# --- layers and forms ---------------------------------------------------------


def test_a_signature_around_sealed_content_says_nothing_of_its_author(ring, alice, bob):
    sealed = smime.encrypt(SHORT, to=bob)
    around = smime.sign(sealed, by=alice)
    opened = smime.open(around, keys=bob, trust=ring)

    assert opened.signer is None
    assert [layer.covers for layer in opened.report.layers] == ["sealed form", "content"]


def test_layers_of_both_forms_are_peeled_in_one_loop(ring, alice, bob, world):
    inside = smime.sign(SHORT, by=world.alice)
    sealed = smime.encrypt(inside, to=bob)
    opened = smime.verify(sealed, keys=bob, trust=world.anchors)
    assert opened.signer == "alice@example.org"
    assert [layer.form for layer in opened.report.layers] == [
        "multipart/encrypted",
        "multipart/signed",
    ]

    other = smime.encrypt(smime.sign(SHORT, by=alice), to=world.bob)
    assert smime.verify(other, keys=[world.bob, bob], trust=[world.anchors, ring]).signer


def test_a_signed_part_beside_others_is_not_the_mail(ring, alice):
    signed = bytes(smime.sign(SHORT, by=alice))
    head = b"From: alice@example.org\r\nMIME-Version: 1.0\r\n"
    mixed = (
        head
        + b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n\r\nPay Eve.\r\n--x\r\n'
        + signed[signed.index(b"Content-Type: multipart/signed") :]
        + b"\r\n--x--\r\n"
    )
    report = smime.examine(mixed, trust=ring)

    assert (report.outcome, report.signer) == (smime.Outcome.UNSIGNED, None)
    assert [part.path for part in report.parts] == ["2"]


def test_many_layers_are_refused(ring, alice):
    mail = smime.Mail(SHORT)
    for _ in range(9):
        mail = smime.sign(mail, by=alice)
    with pytest.raises(smime.LimitExceeded):
        smime.open(mail, trust=ring)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Version: 1", b"Version: 2"),
        (b"application/pgp-encrypted\r\n", b"text/plain\r\n"),
        (b"-----BEGIN PGP MESSAGE-----", b"-----BEGIN PGP SIGNATURE-----"),
    ],
)
def test_a_sealed_form_that_is_not_whole_is_refused(ring, bob, old, new):
    sealed = bytes(smime.encrypt(SHORT, to=bob))
    assert old in sealed

    with pytest.raises(smime.MalformedMail):
        smime.open(sealed.replace(old, new), keys=bob, trust=ring)


def test_a_damaged_signature_leaves_the_content_readable(ring, alice):
    signed = bytes(smime.sign(SHORT, by=alice)).replace(b"-----END PGP SIGNATURE-----", b"")
    opened = smime.open(signed, trust=ring)

    assert b"noon" in bytes(opened.mail)
    assert opened.signer is None
    assert opened.report.outcome == smime.Outcome.REJECTED
    with pytest.raises(smime.MalformedMail):
        smime.verify(signed, trust=ring)


def test_mixtures_of_forms_are_refused_with_what_to_do(ring, alice, bob, world):
    for call in (
        lambda: smime.encrypt(SHORT, to=[bob, world.bob.recipient]),
        lambda: smime.protect(SHORT, by=alice, to=[world.bob.recipient]),
        lambda: smime.protect(SHORT, by=world.alice, to=[bob]),
        lambda: smime.sign(SHORT, by=[alice, world.alice]),
        lambda: list(smime.protect_each(SHORT, by=world.alice, to=[bob])),
        lambda: list(smime.protect_each(SHORT, by=alice, to=[world.bob.recipient])),
    ):
        with pytest.raises(TypeError, match="one form"):
            call()
    with pytest.raises(TypeError, match="one OpenPGP key"):
        smime.sign(SHORT, by=[alice, bob])
    with pytest.raises(TypeError, match="opaque"):
        smime.sign(SHORT, by=alice, opaque=True)


def test_keys_of_two_rings_are_brought_together_first(ring, alice, bob, gpg):
    with (
        smime.PgpKeyring(ring.export(bob)) as other,
        pytest.raises(smime.KeyProblem, match="another keyring"),
    ):
        smime.protect(SHORT, by=alice, to=other.find("bob@example.org"))


def test_reports_pickle_and_say_who(ring, alice, bob):
    import pickle

    opened = smime.open(smime.protect(SHORT, by=alice, to=bob), keys=bob, trust=ring)
    again = pickle.loads(pickle.dumps(opened))

    assert again.report == opened.report
    assert "signed by alice@example.org" in str(again.report)
    assert again.report.to_dict()["layers"][1]["signatures"][0]["good"]


def test_gpg_by_hand_reads_our_mail_and_we_read_what_it_makes(ring, alice, bob, gpg):
    """The interoperability of the two forms, with what mutt and KMail call."""
    whose = ["--homedir", ring.gnupg.home, "--batch", "--trust-model", "always"]
    sealed = parsed(smime.protect(SHORT, by=alice, to=bob))
    inside = gpg.run(*whose, "--decrypt", input=sealed.get_payload(1).get_payload().encode())
    assert b"Subject: lunch" in inside

    body = b"Content-Type: text/plain\r\n\r\nWe meet at noon.\r\n"
    armour = gpg.run(
        *whose, "-u", alice.fingerprint, "-r", bob.fingerprint, "--armor", "-se", input=body
    )
    from smime.formats.pgpmime import wrap_sealed

    mail = wrap_sealed(armour, b"From: alice@example.org\r\nTo: bob@example.org\r\n")
    assert smime.verify(mail, keys=bob, trust=ring).signer == "alice@example.org"


def _signed_as_lines(ring, alice, line_end):
    """Sign the letter with these line ends, and return the mail with bare LF."""
    from smime.formats.pgpmime import wrap_signed

    inner = b"Content-Type: text/plain\n\nWe meet at noon.\n".replace(b"\n", line_end)
    made = ring.engine.sign(inner, alice.fingerprint)
    outer = b"From: alice@example.org\r\n"
    return wrap_signed(inner, made.signature, f"pgp-{made.digest}", outer).replace(b"\r\n", b"\n")


def test_no_line_ends_but_crlf_are_signed(ring, alice):
    """What was signed with LF is bad for all who put CRLF back first (RFC 3156 §5)."""
    for line_end, outcome in ((b"\r\n", smime.Outcome.GOOD), (b"\n", smime.Outcome.REJECTED)):
        mail = _signed_as_lines(ring, alice, line_end)
        report = smime.examine(mail, trust=ring)
        assert report.outcome is outcome
        assert smime.examine(mail.replace(b"noon", b"dusk"), trust=ring).signer is None
    assert report.signatures[0].usage.code == "weak-algorithm"
    assert smime.examine(mail, trust=ring, policy=smime.Policy.legacy_read()).signer
    exact = smime.Policy.modern().replace(line_ends="exact")
    assert smime.examine(mail, trust=ring, policy=exact).signer


def test_openpgp_mail_is_not_compressed(alice: smime.PgpKey) -> None:
    packed = smime.Policy.modern().replace(compress=True)

    for work in (
        lambda: smime.sign(LETTER, by=alice, policy=packed),
        lambda: smime.encrypt(LETTER, to=alice, policy=packed),
        lambda: smime.protect(LETTER, by=alice, to=alice, policy=packed),
        lambda: smime.protect_each(LETTER, by=alice, to=[alice], policy=packed),
    ):
        with pytest.raises(smime.NotSupported, match="for S/MIME"):
            work()
