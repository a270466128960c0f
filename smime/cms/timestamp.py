"""RFC 3161 time-stamp tokens over a signature: read, and checked by mathematics.

A token says that the value of a signature was there at a time. Whether its
maker may be believed is asked elsewhere.

Floor:  cms (uses errors, report, policy)
Source: RFC 3161 §2.4.2 and Appendix A; RFC 5816 for the signer's certificate
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms import signatures
from smime.cms.ber import octets
from smime.cms.der import INTEGER, SEQUENCE, Indefinite, children, oid, top
from smime.cms.schemes import digest_name
from smime.errors import LimitExceeded, MalformedMail, SmimeError
from smime.report import Answer, Finding, Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from cryptography import x509

    from smime.cms.der import Node
    from smime.policy import Policy

__all__ = ["CheckedTimeStamp", "TimeStampInfo", "check_token", "note_of", "read_info"]

MAX_ACCURACY_SECONDS = 86_400  # who is off by more than a day states no time
TST_INFO = oid("1.2.840.113549.1.9.16.1.4")[2:]


class TimeStampInfo:
    """What a token says (TSTInfo)."""

    __slots__ = ("digest", "imprint", "latest", "time")

    digest: str
    """Name of the digest of what was stamped; dotted if it is not known."""
    imprint: bytes
    time: datetime
    """In UTC, with its fraction of a second."""
    latest: datetime
    """The same and how far it may be off (accuracy): at this moment at the latest."""


class CheckedTimeStamp:
    """What the mathematics of one token gave."""

    __slots__ = (
        "certificate",
        "certificates",
        "digest_algorithm",
        "genuine",
        "intact",
        "latest",
        "name",
        "time",
    )

    def __init__(self) -> None:
        self.name = "an unknown time-stamp authority"
        self.time: datetime | None = None
        """The time that the token states."""
        self.latest: datetime | None = None
        """The same at the latest, as its accuracy says."""
        self.digest_algorithm = ""
        """The digest under its own signature."""
        self.certificate: x509.Certificate | None = None
        """Whose key made it; not judged."""
        self.certificates: tuple[x509.Certificate, ...] = ()
        """What came along in the token: candidates for a path, never anchors."""
        self.intact = Finding.open("not-checked", "the token was not read", "RFC 3161 §2.4.2")
        """It is over this very signature value."""
        self.genuine = Finding.open("not-checked", "the token was not checked", "RFC 3161 §2.4.2")
        """Its own signature is right."""

    @property
    def holds(self) -> bool:
        return self.intact.answer is self.genuine.answer is Answer.YES


def read_info(content: bytes) -> TimeStampInfo:
    """Read a TSTInfo; raises ``MalformedMail``."""
    try:
        fields = children(content, top(content))
        if [one[0] for one in fields[:4]] != [INTEGER, 0x06, SEQUENCE, INTEGER]:
            raise MalformedMail("a time stamp does not have the form of one")
        algorithm, imprint = children(content, fields[2])
        found = TimeStampInfo()
        found.digest = digest_name(content, algorithm)
        found.imprint = octets(content, imprint)
        moment = _general_time(content, fields[4])
        off = _accuracy(content, fields[5:6])
        critical = _has_critical_extension(content, fields[5:])
    except (Indefinite, IndexError, ValueError):
        raise MalformedMail("a time stamp does not have the form of one") from None
    if content[fields[0][2] : fields[0][3]] != b"\x01":
        raise MalformedMail("a time stamp has a version that is unknown here")
    if moment is None:
        raise MalformedMail("a time stamp states no time that can be read")
    if critical:
        raise MalformedMail("a time stamp has a critical extension that is unknown here")
    found.time = moment
    try:
        found.latest = moment + off
    except OverflowError:
        raise MalformedMail("a time stamp states no time that can be read") from None
    return found


def _accuracy(data: bytes, fields: list[Node]) -> timedelta:
    """Return how far the time may be off; nothing is said of it: not at all."""
    from datetime import timedelta

    if not fields or fields[0][0] != SEQUENCE:
        return timedelta(0)
    found = {
        one[0]: int.from_bytes(data[one[2] : one[3]], "big") for one in children(data, fields[0])
    }
    seconds, millis, micros = (found.pop(tag, 0) for tag in (INTEGER, 0x80, 0x81))
    if found or millis > 999 or micros > 999:
        raise ValueError("an accuracy of another form")
    if seconds > MAX_ACCURACY_SECONDS:
        raise LimitExceeded(f"a time stamp may be off by more than {MAX_ACCURACY_SECONDS} seconds")
    return timedelta(seconds=seconds, milliseconds=millis, microseconds=micros)


def _has_critical_extension(data: bytes, fields: list[Node]) -> bool:
    for field in fields:
        if field[0] == 0xA1:
            return any(
                0x01 in [part[0] for part in children(data, one)] for one in children(data, field)
            )
    return False


def _general_time(data: bytes, node: Node) -> datetime | None:
    """Return a GeneralizedTime, which has fractions of a second here (RFC 3161 §2.4.2)."""
    from datetime import UTC, datetime, timedelta

    text = data[node[2] : node[3]].decode("ascii", "replace")
    whole, _, fraction = text.removesuffix("Z").partition(".")
    if node[0] != 0x18 or not text.endswith("Z") or len(whole) != 14 or len(fraction) > 9:
        return None
    if not (whole.isascii() and whole.isdigit() and (fraction + "0").isdigit()):
        return None
    micros = int((fraction + "000000")[:6])
    try:
        at = datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return at + timedelta(microseconds=micros)


def check_token(
    token_der: bytes,
    over: bytes,
    *,
    policy: Policy,
    known: Sequence[x509.Certificate] = (),
) -> CheckedTimeStamp:
    """Check that a token is over these octets and properly signed; never raises for a bad one."""
    result = CheckedTimeStamp()
    try:
        signed = signatures.read(token_der)
        if signed.content_type != TST_INFO or signed.content is None:
            raise MalformedMail("it holds no time stamp")
        info = read_info(signed.content)
    except SmimeError as problem:
        result.intact = Finding.no("malformed", f"the token: {problem}", "RFC 3161 §2.4.2")
        return result
    result.time, result.latest = info.time, info.latest
    result.certificates = signed.certificates()
    result.intact = _over(info, over, policy)
    if len(signed.signers) != 1:
        text = f"the token has {len(signed.signers)} signers, not one"
        result.genuine = Finding.no("malformed", text, "RFC 3161 §2.4.2")
        return result
    (signer,) = signed.signers
    # Tokens inside tokens are not looked at.
    signer.unsigned = None
    (checked,) = signatures.check(
        signed, signatures.Content(signed.content), policy=policy, known=known
    )
    result.name = checked.name
    result.certificate = checked.certificate
    result.digest_algorithm = checked.digest_algorithm
    attributes = signer.attributes
    if attributes is None or not attributes.names_certificates():
        text = "the token does not name the certificate of its maker"
        result.genuine = Finding.no("certificate-differs", text, "RFC 5816 §2.2.1")
    elif checked.intact.answer is not Answer.YES:
        result.genuine = checked.intact
    else:
        result.genuine = checked.genuine
    return result


def _over(info: TimeStampInfo, over: bytes, policy: Policy) -> Finding:
    if info.digest not in alg.DIGESTS:
        reason = f"digest algorithm {info.digest} is not supported"
        return Finding.open("not-supported", reason, "RFC 3161 §2.4.2")
    if info.digest in alg.WEAK_DIGESTS and info.digest not in policy.weak:
        reason = f"{info.digest.upper()} is too weak to be relied on"
        return Finding.no("weak-algorithm", reason, "RFC 8551 §2.1")
    if info.imprint != alg.digest(info.digest, over):
        return Finding.no("digest-differs", "the token is over something else", "RFC 3161 §2.4.2")
    return Finding.yes("the token is over this signature", "RFC 3161 Appendix A")


def note_of(checked: CheckedTimeStamp) -> Note:
    """Say in a note what a token is worth."""
    if checked.holds and checked.time is not None:
        return Note(
            "time-stamp",
            f"a time stamp of {checked.time:%Y-%m-%d %H:%M:%S} UTC by {checked.name} is on the"
            " signature; nobody was asked to vouch for its maker",
        )
    bad = checked.intact if checked.intact.answer is not Answer.YES else checked.genuine
    return Note("time-stamp-wrong", f"a time stamp on the signature is not right: {bad.reason}")
