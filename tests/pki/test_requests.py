"""What a CA is asked: names are checked, keys are proven, wishes are not read."""

from __future__ import annotations

from datetime import UTC, datetime
from unicodedata import normalize

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

import smime
from pki import Authority, CertificationRequest, Profile, RequestRefused, certificate, keys
from pki.requests import checked_address, checked_name, checked_url
from smime.cms.der import integer, oid, sequence, set_of, tlv

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


@given(st.text() | st.from_regex(r"[a-z]{1,3}@[\w.-]{1,8}", fullmatch=True))
@example("0@²")  # another domain, 2, looks the same in many programs
@example("0@straße")
@example("0@ｗide.example")
def test_an_address_is_refused_or_as_it_was(address: str) -> None:
    try:
        held = checked_address(address)
    except RequestRefused:
        return
    local, _, domain = held.rpartition("@")
    labels = [
        one[4:].encode().decode("punycode") if one.startswith("xn--") else one
        for one in domain.split(".")
    ]
    shown = f"{local}@{'.'.join(labels)}"
    given_as = address.partition("@")[2].lower()
    if "xn--" not in given_as:  # else it was in that form before
        assert shown.lower() == normalize("NFC", address.lower())


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


# --- addresses beyond ASCII -------------------------------------------------


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("grüße@example.org", "grüße@example.org"),
        ("gru\u0308ße@Example.org", "grüße@example.org"),  # NFC
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@straße.example", "alice@xn--strae-oqa.example"),  # not strasse: IDNA 2008
        ("名@例子.example", "名@xn--fsqu00a.example"),
        ("alice@BÜCHER.example", "alice@xn--bcher-kva.example"),
    ],
)
def test_addresses_beyond_ascii(given: str, written: str) -> None:
    assert checked_address(given) == written


def test_an_address_beyond_ascii_is_certified_and_judged() -> None:
    """Written as SmtpUTF8Mailbox, read back by the library, spoken for in signed mail."""
    ca = Authority.create("Test CA")
    alice = ca.issue("grüße@bücher.example", "alice@example.org")

    assert set(alice.addresses) == {"grüße@xn--bcher-kva.example", "alice@example.org"}
    names = alice.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    [other] = names.get_values_for_type(x509.OtherName)
    assert other.type_id.dotted_string == "1.3.6.1.5.5.7.8.9"
    assert other.value == b"\x0c\x1d" + "grüße@xn--bcher-kva.example".encode()
    letter = "From: grüße@bücher.example\r\nTo: b@example.org\r\n\r\nhi\r\n".encode()
    signed = smime.sign(letter, by=alice)
    assert smime.verify(signed, trust=ca.anchors).signer == "grüße@bücher.example"


def test_a_ca_of_one_domain_keeps_others_out_in_every_script() -> None:
    ca = Authority.create("Root").subordinate("CA", domains=["bücher.example"])

    ca.issue("grüße@bücher.example")
    with pytest.raises(RequestRefused, match="outside"):
        ca.issue("grüße@example.org")


# --- keys that cannot sign a request (RFC 9883) -----------------------------


def stated(
    key: object,
    signer: object,
    issuer: bytes,
    serial: int,
    *,
    times: int = 1,
    digest: object = None,
) -> bytes:
    """A request for ``key`` that ``signer`` vouches for, joined by hand."""
    statement = sequence(issuer_and_serial(issuer, serial))
    attribute = sequence(oid("1.3.6.1.4.1.22112.2.1"), set_of(statement))
    name = MALLORY.public_bytes()
    spki = keys.spki(key.public_key())
    information = sequence(integer(0), name, spki, tlv(0xA0, attribute * times))
    algorithm = keys.signature_algorithm(signer)
    return certificate.signed(information, algorithm, keys.sign(signer, information))


def issuer_and_serial(issuer: bytes, serial: int) -> bytes:
    return sequence(issuer, integer(serial))


@pytest.fixture(scope="module")
def house() -> tuple[Authority, object, x509.Certificate]:
    """A CA, and a signing key that it certified."""
    ca = Authority.create("Test CA")
    key = keys.generate("p256")
    request = CertificationRequest(key.public_key(), ["alice@example.org"])
    signing = Profile.named("signing")
    return ca, key, ca.certify(request, profile=signing, serial=4711, at=datetime.now(UTC))


@pytest.mark.parametrize("algorithm", ["x25519", "x448", "mlkem768", "mlkem1024", "p256"])
def test_a_certified_key_vouches_for_one_that_cannot_sign(
    house: tuple[Authority, object, x509.Certificate], algorithm: str
) -> None:
    """Stated, not proven: and the certificate of who stated it is told."""
    ca, signer, known = house
    key = keys.generate(algorithm)

    request = CertificationRequest.parse(
        stated(key, signer, ca.name_der, 4711),
        find=lambda issuer, serial: known if (issuer, serial) == (ca.name_der, 4711) else None,
    )

    assert request.public_key == key.public_key()
    assert (request.proof, request.stated_by) == ("stated", known)
    named = request.authorise("alice@example.org")
    assert (named.proof, named.stated_by, named.key_id) == ("stated", known, request.key_id)


def test_a_statement_that_does_not_hold_is_refused(
    house: tuple[Authority, object, x509.Certificate],
) -> None:
    ca, signer, known = house
    key, other = keys.generate("x25519"), keys.generate("p256")
    good = stated(key, signer, ca.name_der, 4711)
    find = {"find": lambda issuer, serial: known}

    CertificationRequest.parse(good, **find)
    for bad, more, says in (
        (good, {}, "not known here"),
        (good, {"find": lambda issuer, serial: None}, "not known here"),
        (stated(key, other, ca.name_der, 4711), find, "not signed by the key of the certificate"),
        (stated(signer, signer, ca.name_der, 4711), find, "its own key"),
        (stated(key, signer, ca.name_der, 4711, times=2), find, "more than one|cannot be read"),
        (stated(key, signer, b"", 4711), find, "damaged"),
        (good[:-1] + bytes([good[-1] ^ 1]), find, "not signed"),
    ):
        with pytest.raises(RequestRefused, match=says):
            CertificationRequest.parse(bad, **more)


def test_a_statement_is_read_however_it_is_damaged(
    house: tuple[Authority, object, x509.Certificate],
) -> None:
    ca, signer, known = house
    good = stated(keys.generate("x25519"), signer, ca.name_der, 4711)

    for place in range(len(good)):
        bad = good[:place] + bytes([good[place] ^ 0x81]) + good[place + 1 :]
        with pytest.raises(RequestRefused):
            CertificationRequest.parse(bad, find=lambda issuer, serial: known)


def test_a_key_that_cannot_sign_proves_nothing_alone() -> None:
    key = keys.generate("x25519")
    information = sequence(
        integer(0), MALLORY.public_bytes(), keys.spki(key.public_key()), b"\xa0\0"
    )
    other = keys.generate("ed25519")
    alone = certificate.signed(
        information, keys.signature_algorithm(other), keys.sign(other, information)
    )

    with pytest.raises(RequestRefused, match="cannot sign"):
        CertificationRequest.parse(alone)
