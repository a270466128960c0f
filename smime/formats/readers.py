"""Who a mail is sealed for: nobody in secret, and nobody whose certificate is not believed.

Floor:  formats (uses trust through its protocol, keys, mime and cms)
Source: RFC 8550 §3, §4.4 and RFC 5280 §6 for certificates; RFC 8551 §2.7 for the rest
"""

from __future__ import annotations

from smime.errors import KeyProblem
from smime.keys.address import same_address
from smime.mime.addresses import addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from smime.keys import Recipient
    from smime.mime.entity import Entity
    from smime.pgp import PgpKey
    from smime.policy import Policy
    from smime.protocols import Trusts
    from smime.trust import Evidence

    Vouch = Callable[[Recipient, datetime], KeyProblem | None]

__all__ = ["refuse_bcc", "refuse_unvouched", "vouching"]


def vouching(
    trust: Trusts | None,
    evidence: Evidence | None,
    policy: Policy,
    known: Recipient | None = None,
) -> Vouch | None:
    """Return what asks ``trust`` about a reader, at a moment; None if nobody is to be asked.

    It returns why mail must not be sealed for the reader, or None. Nobody is
    asked about ``known``, the sender's own certificate.
    """
    if trust is None:
        if evidence is not None:
            raise TypeError("evidence= is for trust=, which is not given")
        return None
    from smime.formats.judging import best, trusts  # late: most do not ask
    from smime.protocols import Claim

    asked = trusts(trust)

    def vouch(reader: Recipient, at: datetime) -> KeyProblem | None:
        if known is not None and reader.certificate == known.certificate:
            return None
        claim = Claim(
            certificate=reader.certificate,
            sender=None,
            sender_asked=False,
            at=at,
            evidence=evidence,
            policy=policy,
            digest_algorithm="",
            use="encrypt",
        )
        judgement = best(asked, claim)
        if judgement.good:
            return None
        named = ", ".join(reader.addresses) or repr(reader)
        found = (judgement.path, judgement.revocation, judgement.usage, judgement.time)
        why = "; ".join(dict.fromkeys(one.reason for one in found if not one.accepted))
        return KeyProblem(
            f"the certificate of {named} is not to be believed: {why}",
            hint="certificates between it and an anchor can be given in evidence=",
            missing=reader.addresses,
        )

    return vouch


def refuse_unvouched(
    trust: Trusts | None,
    readers: Sequence[PgpKey],
    addresses: Sequence[str],
    policy: Policy,
    at: datetime | None = None,
) -> None:
    """Ask ``trust`` whose the OpenPGP keys of the readers are, if it is given.

    ``addresses`` are those to whom the mail goes: a reader's key has to be known for
    those of them that it names. Raises ``KeyProblem`` that names who is not vouched for.
    """
    if trust is None:
        return
    from smime.formats.judging import trusts  # late: most do not ask
    from smime.pgp.backend import SignatureFacts
    from smime.policy import moment
    from smime.protocols import PgpClaim

    asked = [one for one in trusts(trust) if hasattr(one, "judge_openpgp")]
    if not asked:
        raise TypeError(
            "trust= vouches for no OpenPGP keys: give a PgpKeyring, or smime.Pinned(fingerprint)"
        )
    when = moment(at)
    problems: list[str] = []
    missing: list[str] = []
    for one in readers:
        named: list[str | None] = [
            a for a in addresses if any(same_address(a, own) for own in one.addresses)
        ]
        asking = SignatureFacts("not-signed", one.fingerprint, one.fingerprint)
        for address in named or [None]:
            claim = PgpClaim(asking, address, when, policy=policy, key=one.facts, use="encrypt")
            judgements = [trust.judge_openpgp(claim) for trust in asked]
            if any(judgement.good for judgement in judgements):
                continue
            best = next((j for j in judgements if j.path.accepted), judgements[0])
            found = (best.path, best.revocation, best.usage, best.address, best.time)
            why = "; ".join(dict.fromkeys(f.reason for f in found if not f.accepted))
            problems.append(f"the OpenPGP key of {address or one!r} is not to be believed: {why}")
            missing += [address] if address else one.addresses
    if problems:
        raise KeyProblem("; ".join(problems), missing=tuple(dict.fromkeys(missing)))


def refuse_bcc(entity: Entity, readers: Sequence[Recipient]) -> None:
    """Refuse to seal one mail for open and for blind readers: it would name them all."""
    if not entity.mentions(b"bcc") or not any(field.key == "bcc" for field in entity.fields):
        return
    named = {*addresses(entity, "to"), *addresses(entity, "cc"), *addresses(entity, "from")}
    for blind in addresses(entity, "bcc"):
        if any(same_address(blind, one) for one in named):
            continue
        if any(same_address(blind, own) for one in readers for own in one.addresses):
            raise KeyProblem(
                f"{blind} is a Bcc reader, and a sealed mail shows all its readers to each of them",
                hint="give Bcc readers their own copies: smime.protect_each(mail, by=..., to=...)",
            )
