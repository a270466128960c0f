"""What the caller gathered beforehand: certificates, CRLs, OCSP answers; held, not judged.

Floor:  trust (uses errors and source)
Source: RFC 5280 §5 for CRLs, RFC 6960 for OCSP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smime.errors import LimitExceeded, MalformedMail
from smime.source import read_at_most

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike
    from typing import Self

    from cryptography import x509
    from cryptography.x509.ocsp import OCSPResponse

    from smime.protocols import Fetcher
    from smime.trust.crl import Numbers, RevocationList
    from smime.trust.facts import Facts
    from smime.trust.fetching import Fetching

__all__ = ["MAX_CRL_OCTETS", "Evidence"]

MAX_OCSP_RESPONSES = 1000  # each is compared with each certificate of a chain
MAX_OCSP_OCTETS = 10 * 1024 * 1024  # ten times what they need with certificates inside
MAX_CRL_OCTETS = 50 * 1024 * 1024  # all CRLs together; over a million entries, 1 s to read


class Evidence:
    """Certificates, CRLs and OCSP answers; none of them is trusted for being here.

    ``certificates`` are candidates for the middle of a path, never anchors.
    ``crls`` are CRLs and ``ocsp`` OCSP responses, as DER. ``fetch`` gets more of
    them where certificates name them by URL, such as ``HttpFetcher()``; without
    it nothing is fetched. Fetching tells the server, which may be the sender's,
    that and when the mail was read. What was fetched is kept here for a while,
    so make one and share it between threads.

    Raises ``MalformedMail`` for what is no CRL or no OCSP response, and
    ``LimitExceeded`` for more than 50 MiB of CRLs or 1,000 responses.

    >>> Evidence()
    Evidence(certificates=0, crls=0, ocsp=0)
    """

    __slots__ = (
        "_answers",
        "_by_subject",
        "_lists",
        "certificates",
        "crls",
        "fetching",
        "numbers",
        "ocsp",
    )

    certificates: tuple[x509.Certificate, ...]
    crls: tuple[bytes, ...]
    ocsp: tuple[bytes, ...]
    fetching: Fetching | None
    """The fetcher and what it got."""
    numbers: Numbers
    """The CRL numbers that were met, so that one that goes back is noticed."""
    _answers: tuple[OCSPResponse, ...]
    _by_subject: dict[object, list[Facts]] | None
    _lists: dict[object, list[RevocationList]]

    def __init__(
        self,
        *,
        certificates: Iterable[x509.Certificate] = (),
        crls: Iterable[bytes] = (),
        ocsp: Iterable[bytes] = (),
        fetch: Fetcher | None = None,
    ) -> None:
        if fetch is not None and not callable(getattr(fetch, "get", None)):
            raise TypeError(
                f"Evidence(fetch=) takes smime.HttpFetcher() or another Fetcher, not "
                f"{type(fetch).__name__}"
            )
        set_once = object.__setattr__
        set_once(self, "certificates", tuple(certificates))
        set_once(self, "crls", tuple(crls))
        set_once(self, "ocsp", tuple(ocsp))
        set_once(self, "_by_subject", None)
        set_once(self, "numbers", _new_numbers())
        set_once(self, "fetching", None if fetch is None else _new_fetching(fetch))
        from cryptography import x509

        for one in self.certificates:
            if not isinstance(one, x509.Certificate):
                raise TypeError(
                    f"Evidence(certificates=) takes x509.Certificate, not {type(one).__name__}"
                )
        set_once(self, "_lists", _read_lists(self.crls))
        set_once(self, "_answers", _read_answers(self.ocsp))

    @classmethod
    def load(
        cls,
        *,
        certificates: Iterable[PathLike[str] | str] = (),
        crls: Iterable[PathLike[str] | str] = (),
        ocsp: Iterable[PathLike[str] | str] = (),
        fetch: Fetcher | None = None,
    ) -> Self:
        """Read evidence from files: certificates as ``Anchors.load`` does, the rest DER or PEM.

        Raises what the constructor raises, ``KeyProblem`` for a file without
        certificates, and ``OSError`` as the file system does.
        """
        from smime.trust.loading import load_certificates

        return cls(
            certificates=load_certificates(certificates),
            crls=[_read_file(path, MAX_CRL_OCTETS) for path in crls],
            ocsp=[_read_file(path, MAX_OCSP_OCTETS) for path in ocsp],
            fetch=fetch,
        )

    @property
    def answers(self) -> tuple[OCSPResponse, ...]:
        """The OCSP responses that give an answer at all."""
        return self._answers

    @property
    def lists(self) -> dict[object, list[RevocationList]]:
        """The CRLs by the normalised name of their issuer."""
        return self._lists

    def by_subject(self) -> dict[object, list[Facts]]:
        """Return what the certificates say by subject; read once, then kept."""
        found = self._by_subject
        if found is None:
            from smime.trust.builder import index_by_subject
            from smime.trust.facts import Facts

            found = index_by_subject(map(Facts, self.certificates))
            object.__setattr__(self, "_by_subject", found)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("evidence is frozen: make another")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("evidence is frozen")

    def __reduce__(self) -> tuple[Any, ...]:
        from cryptography.hazmat.primitives.serialization import Encoding

        ders = tuple(one.public_bytes(Encoding.DER) for one in self.certificates)
        fetch = None if self.fetching is None else self.fetching.fetcher
        return _rebuild, (ders, self.crls, self.ocsp, fetch)

    def __repr__(self) -> str:
        counts = (f"{name}={len(getattr(self, name))}" for name in ("certificates", "crls", "ocsp"))
        return f"Evidence({', '.join(counts)})"


def _new_fetching(fetcher: Fetcher) -> Fetching:
    from smime.trust.fetching import Fetching

    return Fetching(fetcher)


def _new_numbers() -> Numbers:
    from smime.trust.crl import Numbers

    return Numbers()


def _read_file(path: PathLike[str] | str, limit: int) -> bytes:
    """Return the DER in a file, taken out of PEM where it is that."""
    with open(path, "rb") as file:
        data = read_at_most(file, limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"{path}: more than {limit} octets")
    begin = data.find(b"-----BEGIN ")
    if begin < 0:
        return data
    from binascii import Error, a2b_base64

    text = data[data.find(b"\n", begin) + 1 :].partition(b"-----END ")[0]
    try:
        return a2b_base64(text)
    except Error as error:
        raise MalformedMail(f"{path}: the PEM in it is damaged") from error


def _rebuild(
    ders: tuple[bytes, ...],
    crls: tuple[bytes, ...],
    ocsp: tuple[bytes, ...],
    fetch: Fetcher | None,
) -> Evidence:
    from cryptography import x509

    certificates = [x509.load_der_x509_certificate(der) for der in ders]
    return Evidence(certificates=certificates, crls=crls, ocsp=ocsp, fetch=fetch)


def _read_lists(crls: tuple[bytes, ...]) -> dict[object, list[RevocationList]]:
    from smime.trust.crl import RevocationList

    if sum(map(len, crls)) > MAX_CRL_OCTETS:
        raise LimitExceeded(f"more than {MAX_CRL_OCTETS} octets of CRLs")
    lists: dict[object, list[RevocationList]] = {}
    for crl_der in crls:
        crl = RevocationList(crl_der)
        lists.setdefault(crl.issuer, []).append(crl)
    return lists


def _read_answers(responses: tuple[bytes, ...]) -> tuple[OCSPResponse, ...]:
    from cryptography.x509 import ocsp

    if len(responses) > MAX_OCSP_RESPONSES or sum(map(len, responses)) > MAX_OCSP_OCTETS:
        raise LimitExceeded(
            f"more than {MAX_OCSP_RESPONSES} OCSP responses or {MAX_OCSP_OCTETS} octets of them"
        )
    answers = []
    for response_der in responses:
        try:
            response = ocsp.load_der_ocsp_response(response_der)
        except ValueError as error:
            raise MalformedMail(
                f"this is no OCSP response: {error}", hint="OCSP responses are given as DER"
            ) from error
        if response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL:
            answers.append(response)
    return tuple(answers)
