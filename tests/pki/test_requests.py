"""What a CA is asked: names are checked, keys are proven, wishes are not read."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pki import CertificationRequest, RequestRefused, keys
from pki.requests import checked_address, checked_name, checked_url

KEY = ec.generate_private_key(ec.SECP256R1())
MALLORY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mallory")])


def csr(key: object = KEY, digest: hashes.HashAlgorithm | None = hashes.SHA256()) -> bytes:  # noqa: B008
    """A request that wishes for names nobody authorised."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(MALLORY)
        .add_extension(
            x509.SubjectAlternativeName([x509.RFC822Name("boss@example.org")]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, digest)
        .public_bytes(Encoding.DER)
    )


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("form", [bytes, pem])
def test_parse_takes_the_key_and_no_name(form: object) -> None:
    request = CertificationRequest.parse(form(csr()))

    assert request.public_key == KEY.public_key()
    assert request.addresses == ()
    assert request.name == ""


def test_authorise_adds_names_to_a_copy() -> None:
    request = CertificationRequest.parse(csr())
    named = request.authorise("a@example.org", "b@example.org", "a@EXAMPLE.org", name="A")

    assert named.addresses == ("a@example.org", "b@example.org")
    assert named.name == "A"
    assert request.addresses == ()


def test_a_request_signed_by_another_key_is_refused() -> None:
    good = csr()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = KEY.public_key().public_bytes(Encoding.X962, format=_point())
    swapped = good.replace(point, other.public_bytes(Encoding.X962, format=_point()))
    assert swapped != good

    with pytest.raises(RequestRefused, match="not signed by the key"):
        CertificationRequest.parse(swapped)


def _point() -> object:
    from cryptography.hazmat.primitives.serialization import PublicFormat

    return PublicFormat.UncompressedPoint


@pytest.mark.parametrize("algorithm", ["rsa2048", "p384", "ed25519", "ed448", "mldsa65"])
def test_every_key_that_signs_proves_itself(algorithm: str) -> None:
    key = keys.generate(algorithm)
    digest = hashes.SHA384() if algorithm in {"rsa2048", "p384"} else None

    request = CertificationRequest.parse(csr(key, digest))

    assert request.public_key == key.public_key()
    assert request.proof == "signed"


@pytest.mark.parametrize("algorithm", ["rsa2048", "ed25519", "mldsa65"])
def test_a_proof_of_every_kind_is_checked(algorithm: str) -> None:
    digest = hashes.SHA256() if algorithm == "rsa2048" else None
    good = csr(keys.generate(algorithm), digest)

    CertificationRequest.parse(good)
    with pytest.raises(RequestRefused, match="not signed by the key"):
        CertificationRequest.parse(good[:-1] + bytes([good[-1] ^ 1]))


def test_kinds_of_keys_that_are_not_certified_are_refused() -> None:
    with pytest.raises(RequestRefused):
        CertificationRequest.parse(csr(ec.generate_private_key(ec.SECP256K1())))


def test_a_request_cut_anywhere_is_refused() -> None:
    good = csr()
    for size in range(len(good)):
        with pytest.raises(RequestRefused):
            CertificationRequest.parse(good[:size])


def test_a_request_with_a_flipped_octet_is_refused() -> None:
    """The highest bit: the lowest of the BIT STRING's count of unused bits says nothing."""
    good = csr()
    for position in range(len(good)):
        with pytest.raises(RequestRefused):
            CertificationRequest.parse(
                good[:position] + bytes((good[position] ^ 0x80,)) + good[position + 1 :]
            )


def test_a_request_larger_than_the_budget_is_refused() -> None:
    with pytest.raises(RequestRefused, match="65536"):
        CertificationRequest.parse(bytes(65_537))


@pytest.mark.parametrize(
    ("address", "held"),
    [
        ("alice@example.org", "alice@example.org"),
        ("Alice.B+c@Example.ORG", "Alice.B+c@example.org"),
        ("o'neil@xn--bcher-kva.example", "o'neil@xn--bcher-kva.example"),
        ("root@localhost", "root@localhost"),
        (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org"),
    ],
)
def test_addresses_as_a_certificate_holds_them(address: str, held: str) -> None:
    assert checked_address(address) == held


@pytest.mark.parametrize(
    "address",
    [
        "",
        "@",
        "alice",
        "alice@",
        "@example.org",
        "a@b@example.org",
        "alice@example.org\n",
        "alice@example.org\0.evil.example",
        "alice@example..org",
        "alice@-example.org",
        ".alice@example.org",
        "al ice@example.org",
        "Alice <alice@example.org>",
        '"al ice"@example.org',
        "alice@[192.0.2.1]",
        "grü\u202eße@example.org",
        "\u200bgrüße@example.org",
        "alice@b√cher.example",
        "alice@example.org\udc80",
        f"{'a' * 65}@example.org",
        f"a@{'a.' * 130}org",
        f"a@{'a' * 64}.org",
    ],
)
def test_what_is_not_one_plain_address_is_refused(address: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        checked_address(address)

    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()


@given(st.text())
def test_an_address_is_refused_or_as_it_was(address: str) -> None:
    try:
        held = checked_address(address)
    except RequestRefused:
        return
    assert held.lower() == address.lower()


@pytest.mark.parametrize("name", ["", "Alice", "Грета Гросс", "李小龍", "x" * 64])
def test_names_that_show_are_kept(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", [" Alice", "Alice\n", "Al\x1bice", "Al\u202eice", "Al\u200bice", "\udc80", "x" * 65]
)
def test_names_that_hide_something_are_refused(name: str) -> None:
    with pytest.raises(RequestRefused):
        checked_name(name)


def test_more_addresses_than_one_person_has_are_refused() -> None:
    addresses = tuple(f"a{n}@example.org" for n in range(101))

    assert len(CertificationRequest(KEY.public_key(), addresses[:100]).addresses) == 100
    with pytest.raises(RequestRefused, match="100"):
        CertificationRequest(KEY.public_key(), addresses)


@pytest.mark.parametrize("url", ["", "http://ca.example/ca.crl", "https://ca.example:8443/a?b=c"])
def test_urls_that_programs_fetch_from(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url", ["ca.crl", "ftp://x/y", "http://", "http://a b/", "http://bücher.example/", "http://a\n"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(RequestRefused):
        checked_url(url)
