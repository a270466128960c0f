"""The limits of smime.keys: files of keys, what they ask for, addresses.

What a file asks for is known before a passphrase is: at the limit it is asked for.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import smime
from smime.cms.der import NULL, integer, octet_string, oid, sequence, tlv
from smime.keys import address
from smime.keys.loading import read_certificates
from tests.keys.test_budgets import p12_with, pbkdf2, scrypt, sealed_key
from tests.limits.walk import Bench, Elsewhere, Passed, Refused, Table

BUDGETS = "tests/keys/test_budgets.py::"


class Asked(Exception):
    """The passphrase was asked for: the file asks for nothing that is too much."""


def ask() -> str:
    raise Asked


def asked(data: bytes) -> None:
    with pytest.raises(Asked):
        smime.Identity.parse(data, passphrase=ask)


def rounds(count: int, bench: Bench) -> None:
    asked(sealed_key(pbkdf2(count)))
    asked(p12_with(mac_rounds=count))


def rounds_in_all(count: int, bench: Bench) -> None:
    asked(p12_with(*[pbkdf2(count // 4)] * 3, pbkdf2(count - count // 4 * 3 - 1), mac_rounds=1))


def scrypt_memory(count: int, bench: Bench) -> None:
    asked(sealed_key(scrypt(1024, count // (128 * 1024), 1)))
    asked(sealed_key(scrypt(1024, -(-count // (128 * 1024)), 1)))


def scrypt_work(count: int, bench: Bench) -> None:
    asked(sealed_key(scrypt(1024, 8, -(-count // (128 * 1024 * 8)))))


def derived_key(count: int, bench: Bench) -> None:
    """RC2 says how long its key is; a derivation may ask for any."""
    data = sealed_key(pbkdf2(1000, integer(count)))
    # No cipher in use has a key of 64 octets, so this one is damaged, not too much.
    with pytest.raises(smime.SmimeError) as caught:
        smime.Identity.parse(data, passphrase=ask)
    if type(caught.value) is smime.LimitExceeded:
        raise caught.value


def file_octets(count: int, bench: Bench) -> None:
    """By path, too, where no more than that is read."""
    pem = bench.world.bob.certificate.public_bytes(Encoding.PEM)
    path = bench.folder / "bob.pem"
    path.write_bytes(pem.ljust(count))
    assert smime.Recipient.load(path).certificate == bench.world.bob.certificate
    smime.Recipient.parse(pem.ljust(count))


def der_values(count: int, bench: Bench) -> None:
    der = bench.world.bob.certificate.public_bytes(Encoding.DER)
    assert read_certificates(der * count, "x")[0] == bench.world.bob.certificate
    assert read_certificates(certs_only([der] * count), "x")
    pem = bench.world.bob.certificate.public_bytes(Encoding.PEM)
    assert read_certificates(pem * count, "x")


def certs_only(ders: list[bytes]) -> bytes:
    data = sequence(integer(1), tlv(0x31, b""), sequence(oid("1.2.840.113549.1.7.1")))
    inner = data[2:] + tlv(0xA0, b"".join(ders)) + tlv(0x31, b"")
    return sequence(oid("1.2.840.113549.1.7.2"), tlv(0xA0, sequence(inner)))


def bags(count: int, bench: Bench) -> None:
    crl = sequence(oid("1.2.840.113549.1.12.10.1.4"), tlv(0xA0, sequence()))
    data = oid("1.2.840.113549.1.7.1")
    key = sequence(oid("1.2.840.113549.1.12.10.1.2"), tlv(0xA0, sealed_key(pbkdf2(1000))))
    safe = sequence(sequence(data, tlv(0xA0, octet_string(sequence(key + crl * (count - 1))))))
    digest = sequence(sequence(oid("2.16.840.1.101.3.4.2.1"), NULL), octet_string(bytes(32)))
    mac = sequence(digest, octet_string(bytes(8)), integer(1))
    asked(sequence(integer(3), sequence(data, tlv(0xA0, octet_string(safe))), mac))


def longest_address(limit: int, bench: Bench) -> None:
    domain = "@" + "example." * 31 + "org"
    for count in (limit, limit + 1):
        one = "x" * (count - len(domain)) + domain
        assert len(one) == count
        assert address.same_address(one, one.replace("example", "EXAMPLE")) is (count == limit)


def longest_label(limit: int, bench: Bench) -> None:
    for count, same in ((limit, True), (limit + 1, False)):
        label = "é" + "x" * (count - 1)
        spelled = "xn--" + label.encode("punycode").decode()
        assert address.same_address(f"a@{label}.org", f"a@{spelled}.org") is same
        assert address.same_address(f"a@{label}.org", f"a@{label}.ORG")


HOME = "smime.keys."
TABLE: Table = {
    HOME + "address.MAX_ADDRESS": Passed(longest_address, "a longer one is no address"),
    HOME + "address.MAX_LABEL": Passed(longest_label, "a longer one has one spelling"),
    HOME + "loading.MAX_BLOCKS": Refused(der_values, lower=20),
    HOME + "loading.MAX_FILE": Refused(file_octets),
    HOME + "pbe.MAX_DERIVED_KEY": Refused(derived_key),
    HOME + "pbe.MAX_ROUNDS": Refused(rounds),
    HOME + "pbe.MAX_ROUNDS_TOTAL": Refused(rounds_in_all),
    HOME + "pbe.MAX_SCRYPT_MEMORY": Refused(scrypt_memory),
    HOME + "pbe.MAX_SCRYPT_WORK": Refused(scrypt_work),
    HOME + "pkcs12.MAX_BAGS": Refused(bags),
    HOME + "pkcs12.MAX_BAG_DEPTH": Elsewhere(BUDGETS + "test_nesting_of_bags"),
    HOME + "private.MAX_KEY_DER": Elsewhere(BUDGETS + "test_size_of_a_key"),
    HOME + "private.MAX_RSA_BITS": Elsewhere(BUDGETS + "test_size_of_a_key"),
}
