"""What the ledger reads from a certificate's own bytes, beside what ``cryptography`` reads."""

from __future__ import annotations

import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

import pki
import smime
from pki.facts import addresses_of
from smime.cms import der

CA = pki.Authority.create("Chess Club CA")
SMTP_UTF8 = "1.3.6.1.5.5.7.8.9"
ADDRESSES = [
    ("alice@chess.example",),
    ("Alice@chess.example", "al@chess.example"),
    ("jürgen@chess.example",),
    ("jürgen@bücher.example", "j@chess.example", "国际@chess.example"),
]


def foreign(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    others = [
        other.value[der.top(other.value)[2] :].decode()
        for other in names.get_values_for_type(x509.OtherName)
        if other.type_id.dotted_string == SMTP_UTF8
    ]
    return (*names.get_values_for_type(x509.RFC822Name), *others)


@pytest.mark.parametrize("given_", ADDRESSES, ids=" ".join)
def test_addresses_are_those_that_cryptography_reads(given_: tuple[str, ...]) -> None:
    certificate = CA.issue(*given_).certificate

    found = addresses_of(certificate.public_bytes(Encoding.DER))

    assert found == foreign(certificate)
    assert len(found) == len(given_)


def test_a_certificate_without_addresses_has_none() -> None:
    assert addresses_of(CA.certificate.public_bytes(Encoding.DER)) == ()


WHOLE = CA.issue(*ADDRESSES[3]).certificate.public_bytes(Encoding.DER)


REFUSALS = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, smime.SmimeError)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(place=st.integers(0, len(WHOLE) - 1), octet=st.integers(0, 255), cut=st.booleans())
def test_damaged_bytes_are_refused_or_read_as_cryptography_does(
    place: int, octet: int, cut: bool
) -> None:
    """Nothing but ``ValueError`` comes out, and never another name than the one that is there."""
    damaged = WHOLE[:place] if cut else WHOLE[:place] + bytes((octet,)) + WHOLE[place + 1 :]
    try:
        found = addresses_of(damaged)
    except ValueError:
        return
    with contextlib.suppress(*REFUSALS):
        assert found == foreign(x509.load_der_x509_certificate(damaged))
