"""Identities: pairing, several keys, immutability, and what never comes out."""

from __future__ import annotations

import copy
import pickle

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from smime.errors import KeyProblem, NotSupported
from smime.keys import Identity, Recipient
from tests.keys.people import (
    END,
    LATER,
    START,
    Elsewhere,
    authorities,
    certify,
    key,
    pem,
    person,
)

ROOT, ISSUING = authorities()
ALICE = person("alice@example.org", issuer=ISSUING, issuer_key=key("p256", 901))


def split_pair(address: str = "alice@example.org") -> tuple:
    """Return a key that signs and a key that reads, each with its certificate."""
    return (
        *person(address, "p256", 10, ("digital_signature",)),
        *person(address, "x25519", 11, ("key_agreement",)),
    )


def test_constructor_and_chain():
    """The chain comes in any order and stands in order; the leaf is not in it."""
    other = certify(key("p256", 5), name="Unrelated")
    identity = Identity(*ALICE, [ROOT, other, ALICE[1], ISSUING])

    assert identity.certificate == ALICE[1]
    assert identity.chain == (ISSUING, ROOT, other)
    assert identity.addresses == ("alice@example.org",)
    assert identity.recipient == Recipient(ALICE[1])


def test_signing_key_leaves_the_root_out():
    from cryptography.hazmat.primitives.serialization import Encoding

    sent = Identity(*ALICE, [ROOT, ISSUING]).signing_key.certificates_der

    assert set(sent) == {one.public_bytes(Encoding.DER) for one in (ALICE[1], ISSUING)}


def test_prepared_keys_are_made_once():
    identity = Identity(*ALICE)

    assert identity.signing_key is identity.signing_key
    assert identity.opening_keys is identity.opening_keys
    assert identity.recipient.recipient_key is identity.recipient.recipient_key


def test_key_of_somebody_else_is_refused():
    other = person("bob@example.org", number=1)[1]

    with pytest.raises(KeyProblem, match=r"does not belong .* bob@example.org"):
        Identity(ALICE[0], other)
    with pytest.raises(KeyProblem, match="does not belong"):
        Identity(Elsewhere(*ALICE), other)


@pytest.mark.parametrize("arguments", [("alice.key", "alice.crt"), (ALICE[0], "alice.crt")])
def test_paths_are_not_objects(arguments):
    with pytest.raises(TypeError, match=r"Identity.load\('alice.p12'\)"):
        Identity(*arguments)


def test_no_key_is_no_identity():
    with pytest.raises(TypeError, match="needs a private key"):
        Identity(b"key", ALICE[1])


def test_a_pair_of_keys_is_one_identity():
    """One signs, both open where they can, and one is written to (RFC 9216)."""
    sign_key, sign_certificate, read_key, read_certificate = split_pair()
    for order in ((sign_key, read_key), (read_key, sign_key)):
        identity = Identity.parse(pem(*order, read_certificate, sign_certificate))

        assert identity.certificate == sign_certificate
        assert identity.recipient.certificate == read_certificate
        assert {one.certificate for one in identity.opening_keys} == {
            sign_certificate,
            read_certificate,
        }
        assert read_certificate not in identity.chain
        assert "1 more to open with" in repr(identity)


def test_every_key_of_a_pair_alone():
    sign_key, sign_certificate, read_key, read_certificate = split_pair()
    both = Identity.parse_all(pem(sign_key, read_key, read_certificate, sign_certificate, ROOT))

    assert [one.certificate for one in both] == [sign_certificate, read_certificate]
    assert [one.chain for one in both] == [(ROOT,), (ROOT,)]
    assert [len(one.opening_keys) for one in both] == [1, 1]
    with pytest.raises(KeyProblem, match="X25519 cannot make signatures"):
        _ = both[1].signing_key
    with pytest.raises(KeyProblem, match="X25519 cannot make signatures"):
        both[1].sign(b"", "sha256")


def test_the_certificate_to_write_back_to_travels_along():
    from cryptography.hazmat.primitives.serialization import Encoding

    sign_key, sign_certificate, read_key, read_certificate = split_pair()
    identity = Identity.parse(pem(sign_key, read_key, read_certificate, sign_certificate))

    assert read_certificate.public_bytes(Encoding.DER) in identity.signing_key.certificates_der


def test_a_key_of_another_person_opens_and_is_not_written_to():
    sign_key, sign_certificate, *_ = split_pair("alice@example.org")
    *_, read_key, read_certificate = split_pair("bob@example.org")
    identity = Identity.parse(pem(sign_key, read_key, sign_certificate, read_certificate))

    assert len(identity.opening_keys) == 2
    assert identity.recipient.certificate == sign_certificate


def test_two_that_sign_are_not_guessed_between():
    other = person("bob@example.org", number=1)
    data = pem(ALICE[0], ALICE[1], *other)

    with pytest.raises(KeyProblem, match=r"2 identities that sign.*alice@.*bob@") as caught:
        Identity.parse(data)
    assert "load_all" in caught.value.hint
    assert "until 2036-01-01" in str(caught.value)
    assert [one.addresses for one in Identity.parse_all(data)] == [
        ("alice@example.org",),
        ("bob@example.org",),
    ]


def test_a_renewed_certificate_is_preferred_and_the_former_one_still_opens():
    private_key, former = person("alice@example.org")
    _, renewed = person("alice@example.org", start=START + LATER, end=END + LATER)
    identity = Identity.parse(pem(private_key, former, renewed))

    assert identity.certificate == renewed
    assert [one.certificate for one in identity.opening_keys] == [renewed, former]
    assert former not in identity.chain
    again = Identity.parse(identity.to_pem("x"), passphrase="x")
    assert [one.certificate for one in again.opening_keys] == [renewed, former]


def test_only_keys_that_read():
    """Former encryption keys, as a recovery hands them out: the newest leads."""
    old = person("alice@example.org", "x25519", 20, ("key_agreement",), end=END - LATER)
    new = person("alice@example.org", "x25519", 21, ("key_agreement",))
    identity = Identity.parse(pem(*old, *new))

    assert identity.certificate == new[1]
    assert len(identity.opening_keys) == 2


@pytest.mark.parametrize("kind", ["p256", "rsa2048", "ed25519"])
def test_sign(kind):
    """What it signs verifies with its certificate, and not over other bytes."""
    from cryptography.exceptions import InvalidSignature

    private_key, certificate = person("alice@example.org", kind)
    signature = Identity(private_key, certificate).sign(b"noon", "sha256")
    more = {
        "p256": (ec.ECDSA(hashes.SHA256()),),
        "rsa2048": (padding.PKCS1v15(), hashes.SHA256()),
        "ed25519": (),
    }[kind]

    certificate.public_key().verify(signature, b"noon", *more)
    with pytest.raises(InvalidSignature):
        certificate.public_key().verify(signature, b"dusk", *more)


def test_sign_refuses_what_is_weak():
    with pytest.raises(NotSupported, match="sha1"):
        Identity(*ALICE).sign(b"", "sha1")


def test_a_key_elsewhere_signs_and_does_not_come_out():
    identity = Identity(Elsewhere(*ALICE), ALICE[1], [ISSUING])

    ALICE[1].public_key().verify(
        identity.sign(b"noon", "sha256"), b"noon", ec.ECDSA(hashes.SHA256())
    )
    assert identity.opening_keys == ()
    assert identity.to_pem().count(b"BEGIN CERTIFICATE") == 2
    for write in (identity.to_p12, identity.to_pem):
        with pytest.raises(KeyProblem, match="kept elsewhere"):
            write("passphrase")


def test_immutable_and_never_pickled():
    identity = Identity(*ALICE)

    with pytest.raises(AttributeError, match="immutable"):
        identity.certificate = ROOT
    with pytest.raises(AttributeError, match="immutable"):
        del identity._key
    with pytest.raises(TypeError, match=r"does not pickle.*Identity.load\(path\)"):
        pickle.dumps(identity)
    assert copy.copy(identity) is identity
    assert copy.deepcopy([identity])[0] is identity


def test_repr_says_who_and_no_secret():
    identity = Identity(*ALICE)
    shown = repr(identity)
    number = ALICE[0].private_numbers().private_value

    assert shown.startswith("<Identity alice@example.org, P-256, until 2036-01-01, sha256 ")
    assert "CN=" not in shown
    assert hex(number)[2:] not in shown
    assert not hasattr(identity, "__dict__")


def test_pem_out_holds_no_key_unless_asked():
    identity = Identity(*ALICE, [ROOT, ISSUING])
    plain, locked = identity.to_pem(), identity.to_pem("geheim")

    assert plain == pem(ALICE[1], ISSUING, ROOT)
    assert locked.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert locked.endswith(plain)
    again = Identity.parse(locked, passphrase="geheim")
    assert again.certificate == ALICE[1]
    assert again.chain == (ISSUING, ROOT)


def test_recipient_is_a_value():
    recipient = Recipient(ALICE[1], ("aes-256-gcm",))

    assert pickle.loads(pickle.dumps(recipient)) == recipient
    assert len({recipient, Recipient(ALICE[1], ["aes-256-gcm"]), Recipient(ALICE[1])}) == 2
    assert recipient != ALICE[1]
    assert recipient.capabilities == ("aes-256-gcm",)
    assert recipient.addresses == ("alice@example.org",)
    assert repr(recipient).startswith("<Recipient alice@example.org, P-256, signs and reads, until")
    assert Recipient.parse(recipient.to_pem()) == Recipient(ALICE[1])
    with pytest.raises(AttributeError, match="immutable"):
        recipient.capabilities = ()
    with pytest.raises(TypeError, match="several names"):
        Recipient(ALICE[1], "aes-256-gcm")
    with pytest.raises(TypeError, match=r"Recipient.load\('bob.pem'\)"):
        Recipient("bob.pem")


def test_repr_without_address():
    assert "no address" in repr(Identity(key(), certify(key())))
