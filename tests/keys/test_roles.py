"""by=, to= and keys=: one or several, and the line to type instead of a mistake."""

from __future__ import annotations

import pytest

from smime.keys import Identity, Recipient, opening_keys_of, recipients_of, signers_of
from tests.keys.people import Elsewhere, person

KEY, CERTIFICATE = person("alice@example.org")
ALICE = Identity(KEY, CERTIFICATE)
BOB = Recipient(person("bob@example.org", number=1)[1])
TOKEN = Elsewhere(KEY, CERTIFICATE)


@pytest.mark.parametrize("given", [ALICE, [ALICE], (ALICE,)])
def test_signers(given):
    assert signers_of(given) == (ALICE,)


def test_a_signer_becomes_an_identity():
    (signer,) = signers_of(TOKEN)

    assert signer.certificate == CERTIFICATE
    assert signer.opening_keys == ()
    assert [one.certificate for one in signers_of([ALICE, TOKEN])] == [CERTIFICATE] * 2


@pytest.mark.parametrize("given", [BOB, [BOB], BOB.certificate, (one for one in [BOB])])
def test_recipients(given):
    assert recipients_of(given) == (BOB,)


def test_an_identity_is_written_to_by_its_recipient():
    assert recipients_of([ALICE, BOB]) == (ALICE.recipient, BOB)


def test_opening_keys():
    assert opening_keys_of(()) == ()
    assert opening_keys_of(ALICE) == ALICE.opening_keys
    (alone,) = opening_keys_of(KEY)
    assert alone.certificate is None
    assert len(opening_keys_of([ALICE, KEY])) == 2


def test_an_opener_is_known_by_its_certificate():
    class Opener:
        certificate = CERTIFICATE

        def decrypt(self, wrapped, algorithm):
            return wrapped

        agree = decrypt

    (alone,) = opening_keys_of(Opener())
    (among,) = opening_keys_of([Opener()])

    assert alone.label == among.label == "alice@example.org"
    assert alone.certificate == CERTIFICATE


@pytest.mark.parametrize(
    ("take", "given", "said"),
    [
        (
            signers_of,
            "alice.p12",
            r"by= takes an Identity, not a str: .*Identity.load\('alice.p12'",
        ),
        (signers_of, BOB, r"a certificate cannot sign.*Identity.load"),
        (signers_of, [BOB], r"a certificate cannot sign.*Identity.load"),
        (signers_of, CERTIFICATE, r"a certificate cannot sign"),
        (signers_of, KEY, r"Identity\(key, certificate\)"),
        (signers_of, [KEY], r"Identity\(key, certificate\)"),
        (signers_of, None, r"not None"),
        (recipients_of, "bob@example.org", r"to= takes a Recipient, not a str: .*Recipient.load"),
        (recipients_of, ["bob@example.org"], r"not a str: .*Recipient.load"),
        (recipients_of, b"bob", r"not a bytes: .*Recipient.load"),
        (recipients_of, KEY, r"to= takes a Recipient"),
        (recipients_of, 7, r"not an int"),
        (opening_keys_of, BOB, r"a certificate cannot open.*Identity.load"),
        (opening_keys_of, [BOB], r"a certificate cannot open.*Identity.load"),
        (opening_keys_of, "bob.p12", r"keys= takes an Identity, not a str: .*Identity.load"),
        (opening_keys_of, None, r"not None"),
    ],
)
def test_mistakes_are_told_what_to_type(take, given, said):
    with pytest.raises(TypeError, match=said):
        take(given)


def test_nobody_is_a_mistake():
    with pytest.raises(ValueError, match="at least one"):
        signers_of([])
    with pytest.raises(ValueError, match="nobody could read"):
        recipients_of([])
