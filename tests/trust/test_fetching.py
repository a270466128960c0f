"""What certificates name by URL is fetched where a fetcher was handed in, and only then."""

from __future__ import annotations

import pickle
import time
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID as Access

import smime
from smime.policy import Policy, Revocation
from smime.protocols import MAX_FETCHES, Judgement
from smime.trust import Anchors, Evidence, fetching
from tests.support.web import Web, send, web
from tests.trust.ca import AT, Entity, claim, codes, new_key, root, sub_ca, user

DAY = timedelta(days=1)
REQUIRE = Policy.modern().replace(revocation=Revocation.REQUIRE)


def url_name(url: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(url)


def access(*named: tuple[x509.ObjectIdentifier, str]) -> tuple[x509.ExtensionType, bool]:
    found = [x509.AccessDescription(method, url_name(url)) for method, url in named]
    return x509.AuthorityInformationAccess(found), False


def points(*urls: str) -> tuple[x509.ExtensionType, bool]:
    found = [x509.DistributionPoint([url_name(url)], None, None, None) for url in urls]
    return x509.CRLDistributionPoints(found), False


class House:
    """A root, an issuing CA and alice, whose certificates name where things are."""

    def __init__(self, site: Web, *, responder: bool = False, issuer: bool = True) -> None:
        self.site = site
        self.top = root("Root")
        self.middle = sub_ca(self.top, "Issuer", extensions=(points(site.url("/top.crl")),))
        named = [(Access.CA_ISSUERS, site.url("/issuer.cer"))] if issuer else []
        named += [(Access.OCSP, site.url("/ocsp"))] if responder else []
        more = (access(*named),) if named else ()
        self.alice = user(self.middle, extensions=(points(site.url("/alice.crl")), *more))
        self.anchors = Anchors([self.top.certificate])
        site.pages |= {
            "/issuer.cer": self.middle.certificate.public_bytes(Encoding.DER),
            "/top.crl": self.top.crl(),
            "/alice.crl": self.middle.crl(),
        }

    def judge(self, evidence: Evidence | None = None, *with_it: Entity, **given: Any) -> Judgement:
        return self.anchors.judge(claim(self.alice, *with_it, evidence=evidence, **given))


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as served:
        yield served


@pytest.fixture
def house(site: Web) -> House:
    return House(site)


def fetching_evidence(**given: Any) -> Evidence:
    return Evidence(fetch=smime.HttpFetcher(allow_private=True, timeout_seconds=3), **given)


def said(judgement: Judgement) -> list[str]:
    return [note.code for note in judgement.notes]


def test_nothing_is_fetched_unasked(house: House) -> None:
    assert codes(house.judge()) == {"path": "no-anchor"}
    assert codes(house.judge(Evidence())) == {"path": "no-anchor"}
    assert house.judge(Evidence(), house.middle).good
    assert house.judge(fetching_evidence(), house.middle).good
    assert house.site.asked  # the last one did


def test_a_missing_issuer_and_its_lists_are_fetched(house: House) -> None:
    judgement = house.judge(fetching_evidence(), policy=REQUIRE)

    assert judgement.good
    assert judgement.revocation.code == "ok"
    assert sorted(house.site.asked) == ["/alice.crl", "/issuer.cer", "/top.crl"]
    assert not judgement.notes


@pytest.mark.parametrize("form", ["PEM", "DER", "PKCS#7"])
def test_issuers_come_in_every_form(house: House, form: str) -> None:
    from smime import cms

    certificate = house.middle.certificate
    house.site.pages["/issuer.cer"] = (
        cms.bundle([certificate])
        if form == "PKCS#7"
        else certificate.public_bytes(getattr(Encoding, form))
    )

    assert house.judge(fetching_evidence()).good


def test_what_was_revoked_is_found_out(house: House) -> None:
    house.site.pages["/alice.crl"] = house.middle.crl(house.alice)

    judgement = house.judge(fetching_evidence())

    assert judgement.revocation.code == "revoked"
    assert house.judge(Evidence(), house.middle).good


def test_a_ca_that_was_revoked_is_found_out(house: House) -> None:
    house.site.pages["/top.crl"] = house.top.crl(house.middle)

    assert house.judge(fetching_evidence()).revocation.code == "revoked"


def test_what_is_at_hand_is_not_fetched(house: House) -> None:
    evidence = fetching_evidence(
        certificates=[house.middle.certificate], crls=[house.top.crl(), house.middle.crl()]
    )

    assert house.judge(evidence, policy=REQUIRE).good
    assert not house.site.asked


def test_off_is_off(house: House) -> None:
    off = Policy.modern().replace(revocation=Revocation.OFF)

    assert house.judge(fetching_evidence(), policy=off).good
    assert house.site.asked == ["/issuer.cer"]


def test_a_forged_issuer_helps_nobody(house: House) -> None:
    """A certificate of the same name with another key is no parent, and leads nowhere."""
    stranger = sub_ca(root("Root"), "Issuer", key=new_key())
    house.site.pages["/issuer.cer"] = stranger.certificate.public_bytes(Encoding.DER)

    judgement = house.judge(fetching_evidence())

    assert judgement.path.code == "no-anchor"
    assert house.site.asked == ["/issuer.cer"]


def test_a_forged_list_says_nothing(house: House) -> None:
    house.site.pages["/alice.crl"] = house.middle.crl(house.alice, key=new_key())

    judgement = house.judge(fetching_evidence())

    assert judgement.good
    assert judgement.revocation.code == "revocation-unknown"
    assert not house.judge(fetching_evidence(), policy=REQUIRE).good


@pytest.mark.parametrize("page", [None, b"", b"no list", b"\x30\x80"])
def test_what_cannot_be_fetched_is_said(house: House, page: bytes | None) -> None:
    if page is None:
        del house.site.pages["/alice.crl"]
    else:
        house.site.pages["/alice.crl"] = page

    judgement = house.judge(fetching_evidence())

    assert judgement.good
    assert judgement.revocation.code == "revocation-unknown"
    assert said(judgement) == ["fetch-failed"]
    assert "/alice.crl" in judgement.notes[0].text
    assert not house.judge(fetching_evidence(), policy=REQUIRE).good


def test_private_places_are_refused_by_default(house: House) -> None:
    judgement = house.judge(Evidence(fetch=smime.HttpFetcher()))

    assert judgement.path.code == "no-anchor"
    assert "not public" in judgement.notes[0].text
    assert not house.site.asked


def test_things_are_kept_for_a_while_and_judged_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = fetching_evidence()
    for _ in range(3):
        assert house.judge(evidence, policy=REQUIRE).good
    assert len(house.site.asked) == 3

    house.site.pages["/alice.crl"] = house.middle.crl(house.alice)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + fetching.KEEP_SECONDS + 1)
    assert house.judge(evidence, policy=REQUIRE).revocation.code == "revoked"


def test_an_old_list_is_asked_for_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.site.pages["/alice.crl"] = house.middle.crl(begin=AT - 9 * DAY, end=AT - 2 * DAY)
    evidence = fetching_evidence()
    assert house.judge(evidence).revocation.code == "revocation-unknown"
    asked = len(house.site.asked)

    house.site.pages["/alice.crl"] = house.middle.crl()
    assert house.judge(evidence).revocation.code == "revocation-unknown"
    assert len(house.site.asked) == asked
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + fetching.RETRY_SECONDS + 1)
    assert house.judge(evidence).revocation.code == "ok"


def test_a_place_that_goes_back_to_an_older_list(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = fetching_evidence()
    house.site.pages["/alice.crl"] = house.middle.crl(number=9)
    assert not house.judge(evidence).notes
    house.site.pages["/alice.crl"] = house.middle.crl(number=8, begin=AT - 3 * DAY)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + fetching.KEEP_SECONDS + 1)

    judgement = house.judge(evidence)

    assert said(judgement) == ["crl-number-back"]


# --- OCSP -----------------------------------------------------------------------------


def responder(house: House, status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD) -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        _, _, text = handler.path.partition("/ocsp/")
        asked = ocsp.load_der_ocsp_request(b64decode(unquote(text)))
        assert asked.serial_number == house.alice.certificate.serial_number
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        made = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=house.alice.certificate,
                issuer=house.middle.certificate,
                algorithm=asked.hash_algorithm,
                cert_status=status,
                this_update=AT - DAY,
                next_update=AT + DAY,
                revocation_time=AT - DAY if revoked else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, house.middle.certificate)
            .sign(house.middle.key, hashes.SHA256())
        )
        send(handler, made.public_bytes(Encoding.DER))

    return answer


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ocsp.OCSPCertStatus.GOOD, "ok"),
        (ocsp.OCSPCertStatus.REVOKED, "revoked"),
        (ocsp.OCSPCertStatus.UNKNOWN, "ok"),  # then its list is asked
    ],
)
def test_responders_are_asked_first(site: Web, status: ocsp.OCSPCertStatus, code: str) -> None:
    house = House(site, responder=True)
    site.otherwise = responder(house, status)

    judgement = house.judge(fetching_evidence(), policy=REQUIRE)

    assert judgement.revocation.code == code
    lists_asked = "/alice.crl" in site.asked
    assert lists_asked is (status is ocsp.OCSPCertStatus.UNKNOWN)


def test_a_responder_that_fails_leaves_the_list(site: Web) -> None:
    house = House(site, responder=True)
    unauthorized = ocsp.OCSPResponseBuilder.build_unsuccessful(
        ocsp.OCSPResponseStatus.UNAUTHORIZED
    ).public_bytes(Encoding.DER)
    site.otherwise = lambda handler: send(handler, unauthorized)

    judgement = house.judge(fetching_evidence(), policy=REQUIRE)

    assert judgement.good
    assert "UNAUTHORIZED" in judgement.notes[0].text


# --- limits ---------------------------------------------------------------------------


def test_a_long_climb_ends(site: Web) -> None:
    """CAs that name one above them again and again: at most so many fetches for a mail."""
    top = root("Root 0")
    chain = [top]
    for number in range(1, 14):
        up = (access((Access.CA_ISSUERS, site.url(f"/{number - 1}"))),)
        chain.append(sub_ca(chain[-1], f"CA {number}", extensions=up))
        site.pages[f"/{number}"] = chain[-1].certificate.public_bytes(Encoding.DER)
    leaf = user(chain[-1], extensions=(access((Access.CA_ISSUERS, site.url("/13"))),))

    judgement = Anchors([top.certificate]).judge(claim(leaf, evidence=fetching_evidence()))

    assert not judgement.path.accepted
    assert len(site.asked) <= MAX_FETCHES


def test_only_so_many_urls_and_only_of_the_web(site: Web) -> None:
    urls = ["ldap://127.0.0.1/cn=CA", *(site.url(f"/{n}") for n in range(20))]
    top = root()
    leaf = user(top, extensions=(points(*urls),))

    judgement = Anchors([top.certificate]).judge(claim(leaf, evidence=fetching_evidence()))

    assert judgement.good
    assert site.asked == ["/0", "/1"]


def test_many_signers_make_no_more_fetches(site: Web) -> None:
    """The limit is for the message: whoever signs it thirty times asks for no more."""
    from smime import cms

    top = root()
    signers = []
    for number in range(12):
        far = (points(site.url(f"/{number}/a"), site.url(f"/{number}/b")),)
        one = user(top, key=new_key(), extensions=far)
        signers.append(smime.Identity(one.key, one.certificate))
    letter = b"From: alice@example.org\r\nTo: b@example.org\r\nSubject: x\r\n\r\nhi\r\n"
    given = {"trust": Anchors([top.certificate]), "at": AT}

    smime.open(smime.sign(letter, by=signers, at=AT), evidence=fetching_evidence(), **given)
    assert len(site.asked) == MAX_FETCHES
    cms.verify(cms.sign(b"x", by=signers, at=AT), evidence=fetching_evidence(), **given)
    assert len(site.asked) == 2 * MAX_FETCHES


def test_a_mail_is_given_so_much_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    steps = iter(range(10_000))
    monkeypatch.setattr(fetching.time, "monotonic", lambda: now + 10.0 * next(steps))

    class Slow:
        def get(self, url: str, *, limit_octets: int) -> bytes:
            return bytes(house.site.pages[url[url.rindex("/") :]])

    judgement = house.judge(Evidence(fetch=Slow()))

    assert judgement.path.code in ("ok", "no-anchor")
    assert "limits are reached" in judgement.notes[-1].text


# --- what is handed in -----------------------------------------------------------------


def test_any_fetcher_will_do(house: House) -> None:
    class Cupboard:
        def __init__(self, pages: dict[str, Any]) -> None:
            self.pages = pages

        def get(self, url: str, *, limit_octets: int) -> bytes:
            assert limit_octets > 0
            try:
                return bytes(self.pages[url[url.rindex("/") :]])
            except KeyError:
                raise FileNotFoundError(url) from None

    judgement = house.judge(Evidence(fetch=Cupboard(house.site.pages)), policy=REQUIRE)

    assert judgement.good
    assert not house.site.asked


def test_what_is_no_fetcher() -> None:
    with pytest.raises(TypeError, match="HttpFetcher"):
        Evidence(fetch="https://pki.example.org")  # type: ignore[arg-type]


def test_evidence_with_a_fetcher_can_be_pickled(house: House) -> None:
    evidence = pickle.loads(pickle.dumps(fetching_evidence()))

    assert house.judge(evidence, policy=REQUIRE).good


def test_a_mail_is_verified_with_what_is_fetched(house: House) -> None:
    letter = b"From: alice@example.org\r\nTo: b@example.org\r\nSubject: x\r\n\r\nhi\r\n"
    by = smime.Identity(house.alice.key, house.alice.certificate)
    mail = smime.sign(letter, by=by, at=AT)

    with pytest.raises(smime.SignatureRejected):
        smime.verify(mail, trust=house.anchors, at=AT)
    opened = smime.verify(mail, trust=house.anchors, at=AT, evidence=fetching_evidence())
    assert opened.signer == "alice@example.org"
