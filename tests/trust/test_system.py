"""The system's roots for e-mail: told from those for web servers, or not given at all."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

import smime
from smime.cms.der import octet_string, oid, sequence
from smime.trust import system
from tests.trust.ca import AT, BEGIN, Entity, claim, codes, root, sub_ca, user

DAY = timedelta(days=1)
MAIL, WEB = ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.SERVER_AUTH
pytestmark = [
    pytest.mark.peer("p11kit"),
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
]


def percent(data: bytes) -> str:
    return '"' + "".join(f"%{octet:02x}" for octet in data) + '"'


def stored(one: Entity, purposes: list[Any] | None, last: bytes = b"") -> str:
    """An entry of p11-kit's store, as Fedora's list of roots has them."""
    certificate = one.certificate.public_bytes(Encoding.PEM).decode()
    lines = ["[p11-kit-object-v1]", "class: certificate", "certificate-type: x-509"]
    lines += ["trusted: true", *([f"nss-email-distrust-after: {percent(last)}"] if last else [])]
    lines.append(certificate)
    if purposes is not None:
        usage = octet_string(x509.ExtendedKeyUsage(purposes).public_bytes())
        lines += ["[p11-kit-object-v1]", "class: x-certificate-extension", "object-id: 2.5.29.37"]
        lines.append(f"value: {percent(sequence(oid('2.5.29.37'), usage))}")
        key = one.certificate.public_key()
        lines.append(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    return "\n".join(lines)


FOR_MAIL, FOR_WEB, FOR_BOTH = root("Mail Root"), root("Web Root"), root("Root of both")
OLD = root("Old Mail Root")
LAST = datetime(2029, 6, 1, tzinfo=UTC)
FEDORA = [
    stored(FOR_MAIL, [MAIL]),
    stored(FOR_WEB, [WEB]),
    stored(FOR_BOTH, [WEB, MAIL]),
    stored(OLD, [MAIL], b"290601000000Z"),
]
DEBIAN = [stored(one, None) for one in (FOR_MAIL, FOR_WEB, FOR_BOTH)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a store, and let p11-kit's own module read it instead of the system's."""
    real = system.read_module

    def write(entries: list[str], nss: list[Any] | None = None) -> None:
        for number, entry in enumerate(entries):
            (tmp_path / f"{number}.p11-kit").write_text(entry)

        def read(path: str, folder: str = "") -> list[system.SystemRoot]:
            if "nssckbi" in path and nss is not None:
                return [made(*one) for one in nss]
            return real(path, str(tmp_path))

        monkeypatch.setattr(system, "read_module", read)
        if nss is None:
            monkeypatch.setattr(system, "NSS", ())
        else:
            (tmp_path / "libnssckbi.so").touch()
            monkeypatch.setattr(system, "NSS", (str(tmp_path / "libnssckbi.so"),))

    return write


def made(one: Entity, email: bool, server: bool) -> system.SystemRoot:
    found = system.SystemRoot(one.certificate.public_bytes(Encoding.DER), {}, None)
    found.email, found.server = email, server
    return found


def judged(leaf: Entity, *others: Entity) -> dict[str, str]:
    return codes(smime.Anchors.system_email().judge(claim(leaf, *others)))


def test_roots_for_mail_and_no_others(store: Any) -> None:
    store(FEDORA)

    anchors = smime.Anchors.system_email()

    assert set(anchors.certificates) == {one.certificate for one in (FOR_MAIL, FOR_BOTH, OLD)}
    assert judged(user(FOR_MAIL)) == {}
    assert judged(user(FOR_BOTH)) == {}
    assert judged(user(FOR_WEB)) == {"path": "no-anchor"}


def test_a_root_that_is_trusted_only_for_what_it_issued_before(store: Any) -> None:
    """nss-email-distrust-after is of the day on which the signer's certificate was issued."""
    store(FEDORA)
    middle = sub_ca(OLD, begin=LAST + DAY)

    assert judged(user(OLD, begin=LAST)) == {}
    assert judged(user(OLD, begin=LAST + timedelta(seconds=1))) == {"path": "anchor-distrusted"}
    assert judged(user(middle, begin=LAST - DAY), middle) == {}
    assert judged(user(middle, begin=LAST + DAY), middle) == {"path": "anchor-distrusted"}
    again = pickle.loads(pickle.dumps(smime.Anchors.system_email()))
    assert codes(again.judge(claim(user(OLD, begin=LAST + DAY)))) == {"path": "anchor-distrusted"}
    assert BEGIN < LAST < AT


@pytest.mark.parametrize("last", [b"junk", b"299999999999Z"])
def test_a_day_that_cannot_be_read_is_long_past(store: Any, last: bytes) -> None:
    store([stored(OLD, [MAIL], last), stored(FOR_WEB, [WEB])])

    assert judged(user(OLD)) == {"path": "anchor-distrusted"}


def test_a_store_without_purposes_is_no_store_for_mail(store: Any) -> None:
    """Debian's: every root for everything. Those would be the roots of web servers."""
    store(DEBIAN)

    with pytest.raises(smime.KeyProblem, match="tells roots for e-mail from") as refused:
        smime.Anchors.system_email()
    assert "apt install" in refused.value.hint


def test_there_nss_tells_which_are_for_mail(store: Any) -> None:
    """And the administrator of the system has the last word on which roots there are."""
    taken_out = root("Taken out")
    store(DEBIAN, [(FOR_MAIL, True, False), (FOR_WEB, False, True), (taken_out, True, True)])

    assert smime.Anchors.system_email().certificates == (FOR_MAIL.certificate,)


def test_no_root_for_mail_is_an_error(store: Any) -> None:
    store([stored(FOR_WEB, [WEB]), stored(FOR_BOTH, [WEB])])
    with pytest.raises(smime.KeyProblem, match="no root for e-mail"):
        smime.Anchors.system_email()


def test_an_empty_store_is_an_error(store: Any) -> None:
    store([])
    with pytest.raises(smime.KeyProblem, match="no roots"):
        smime.Anchors.system_email()


@pytest.mark.parametrize("content", [None, b"", b"\x7fELF"])
def test_without_p11_kit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    place = tmp_path / "p11-kit-trust.so"
    if content is not None:
        place.write_bytes(content)
    monkeypatch.setattr(system, "P11_KIT", (str(place),))

    with pytest.raises(smime.KeyProblem) as refused:
        smime.Anchors.system_email()
    assert "Anchors.load" in refused.value.hint


def test_a_library_that_is_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    import _ctypes

    monkeypatch.setattr(system, "P11_KIT", (_ctypes.__file__,))

    with pytest.raises(smime.KeyProblem, match="cannot be read"):
        smime.Anchors.system_email()


def test_another_system_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.os, "name", "nt")

    with pytest.raises(smime.KeyProblem, match="cannot be read here"):
        smime.Anchors.system_email()


def test_this_system() -> None:
    """As its packages left it: roots for mail, and fewer than there are."""
    everything = system.read_module(system._first(system.P11_KIT))

    anchors = smime.Anchors.system_email()

    assert 20 < len(anchors.certificates) < len(everything)


def test_it_is_read_again_and_again() -> None:
    first = system.read_module(system._first(system.P11_KIT))

    for _ in range(3):
        again = system.read_module(system._first(system.P11_KIT))
        assert [one.der for one in again] == [one.der for one in first]
