"""Keys of a CA: made, checked, sealed, and opened again by others too."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pki import NoAuthority, RequestRefused, WrongPassphrase
from pki import keys as ca_keys
from tests.support.peers import Peer

PASSPHRASE = "Grüße, 国际象棋".encode()


@pytest.fixture(scope="module")
def key() -> ca_keys.Key:
    return ca_keys.generate("p384")


@pytest.fixture(scope="module")
def sealed(key: ca_keys.Key) -> bytes:
    return ca_keys.seal(key, PASSPHRASE)


@pytest.mark.parametrize(
    ("algorithm", "family", "size"),
    [("p256", "ec", 256), ("p384", "ec", 384), ("p521", "ec", 521), ("rsa2048", "rsa", 2048)],
)
def test_generate_makes_what_is_named(algorithm: str, family: str, size: int) -> None:
    made = ca_keys.generate(algorithm)

    assert made.key_size == size
    assert ca_keys.family(made.public_key()) == family


def test_generate_refuses_an_unknown_name() -> None:
    with pytest.raises(ValueError, match=r"rsa1024.*p256"):
        ca_keys.generate("rsa1024")


def test_seal_and_unseal_give_the_same_key(key: ca_keys.Key, sealed: bytes) -> None:
    assert ca_keys.unseal(sealed, PASSPHRASE).private_numbers() == key.private_numbers()


def test_sealed_is_read_by_the_library(key: ca_keys.Key, sealed: bytes) -> None:
    read = load_pem_private_key(sealed, PASSPHRASE)

    assert read.public_key() == key.public_key()


@pytest.mark.parametrize("algorithm", ["p384", "rsa2048"])
def test_sealed_is_read_by_openssl(openssl: Peer, tmp_path: Path, algorithm: str) -> None:
    file, secret = tmp_path / "key.pem", tmp_path / "secret"
    secret.write_bytes(PASSPHRASE + b"\n")
    file.write_bytes(ca_keys.seal(ca_keys.generate(algorithm), PASSPHRASE))

    openssl.run("pkey", "-in", file, "-passin", f"file:{secret}", "-noout", "-check")
    structure = openssl.run("asn1parse", "-in", file).decode()

    assert f"{ca_keys.SEAL_ROUNDS:06X}" in structure
    assert all(name in structure for name in ("PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc"))


def test_seal_costs_at_least_what_is_asked_of_key_files() -> None:
    assert ca_keys.SEAL_ROUNDS >= 600_000


def test_seal_never_repeats_itself(key: ca_keys.Key, sealed: bytes) -> None:
    assert ca_keys.seal(key, PASSPHRASE) != sealed


def test_unseal_refuses_another_passphrase(sealed: bytes) -> None:
    with pytest.raises(WrongPassphrase) as refused:
        ca_keys.unseal(sealed, b"another")

    assert refused.value.exit_status == 24
    assert refused.value.hint


def test_unseal_refuses_every_damage(sealed: bytes) -> None:
    """Cut or changed anywhere in its lines, a sealed key gives our errors alone."""
    for size in range(0, len(sealed) - 30, 16):
        with pytest.raises((WrongPassphrase, NoAuthority)):
            ca_keys.unseal(sealed[:size], PASSPHRASE)


def test_unseal_refuses_a_key_that_lies_open(key: ca_keys.Key) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    with pytest.raises(NoAuthority):
        ca_keys.unseal(pem, PASSPHRASE)


def test_unseal_refuses_a_key_that_no_ca_has() -> None:
    pem = x25519.X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)
    )

    with pytest.raises(NoAuthority):
        ca_keys.unseal(pem, PASSPHRASE)


@pytest.mark.parametrize(
    "passphrase", ["Grüße, 国际象棋", PASSPHRASE, lambda: PASSPHRASE, lambda: "Grüße, 国际象棋"]
)
def test_passphrases_come_in_four_shapes(passphrase: object) -> None:
    assert ca_keys.passphrase_octets(passphrase) == PASSPHRASE


@pytest.mark.parametrize("passphrase", ["", b"", str, bytes])
def test_an_empty_passphrase_is_refused(passphrase: object) -> None:
    with pytest.raises(ValueError, match="empty"):
        ca_keys.passphrase_octets(passphrase)


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 1024),
        lambda: rsa.generate_private_key(3, 2048),
        lambda: dsa.generate_private_key(1024),
        lambda: ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["rsa-1024", "rsa-e3", "dsa", "secp256k1"],
)
def test_keys_that_mail_programs_refuse_are_not_certified(make: object) -> None:
    with pytest.raises(RequestRefused):
        ca_keys.check(make().public_key())


@pytest.mark.parametrize("algorithm", [name for name in ca_keys.ALGORITHMS if "rsa" not in name])
def test_every_kind_is_made_named_and_checked(algorithm: str) -> None:
    made = ca_keys.generate(algorithm)

    assert ca_keys.key_name(made.public_key()) == algorithm
    assert ca_keys.check(made.public_key()) == made.public_key()
    assert ca_keys.family(made.public_key()) in ca_keys.FAMILIES
    assert ca_keys.certifies(made) == (algorithm in ca_keys.CA_ALGORITHMS)


@pytest.mark.parametrize("algorithm", ["ed25519", "ed448", "mldsa65"])
def test_every_kind_of_ca_key_is_sealed(algorithm: str) -> None:
    made = ca_keys.generate(algorithm)

    assert ca_keys.unseal(ca_keys.seal(made, PASSPHRASE), PASSPHRASE).public_key() == (
        made.public_key()
    )
