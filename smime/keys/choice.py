"""Which of the certificates given are written to.

Floor:  keys
Source: RFC 8550 §4.4 for fitness; RFC 8551 §2.7 for the sender's choice
"""

from __future__ import annotations

from smime.errors import KeyProblem
from smime.keys.address import comparable

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from smime.keys.recipient import Recipient
    from smime.pgp import PgpKey
    from smime.policy import Policy

__all__ = ["chosen", "refuse_strangers"]


def chosen(
    readers: Sequence[Recipient],
    at: datetime,
    policy: Policy,
    vouch: Callable[[Recipient, datetime], KeyProblem | None] | None = None,
) -> Sequence[Recipient]:
    """Return whom to write to: for each address the newest certificate that is fit.

    One certificate for several addresses counts for each. Raises ``KeyProblem``
    if a reader has none that may be written to at ``at``; ``missing`` lists the
    addresses of all such readers, and the text says why of each. ``vouch`` says
    what more keeps a certificate from being written to.
    """
    if len(readers) == 1:
        problem = _problem(readers[0], at, policy, vouch)
        if problem is not None:
            problem.missing = readers[0].addresses
            raise problem
        return readers
    best: dict[str, Recipient] = {}
    anonymous: list[Recipient] = []
    problems: list[tuple[Recipient, KeyProblem]] = []
    for one in readers:
        problem = _problem(one, at, policy, vouch)
        if problem is not None:
            problems.append((one, problem))
            continue
        if not one.addresses:
            anonymous.append(one)
        for address in map(comparable, one.addresses):
            former = best.get(address)
            if former is None or one.fitness.not_before > former.fitness.not_before:
                best[address] = one
    missing: dict[str, str] = {}
    texts: dict[str, KeyProblem] = {}
    for one, problem in problems:
        without = [address for address in one.addresses if comparable(address) not in best]
        if without or not one.addresses:
            missing.update((comparable(address), address) for address in without)
            texts.setdefault(str(problem), problem)
    if texts:
        first = next(iter(texts.values()))
        raise KeyProblem("; ".join(texts), hint=first.hint, missing=tuple(missing.values()))
    kept = {id(one) for one in (*best.values(), *anonymous)}
    return [one for one in readers if id(one) in kept]


def refuse_strangers(
    readers: Sequence[Recipient] | Sequence[PgpKey],
    named: Iterable[str],
    *,
    also: Iterable[str] = (),
) -> None:
    """Raise ``KeyProblem`` unless the addresses named and those of the readers are the same.

    ``missing`` lists who is named and has no certificate among ``readers``;
    ``also`` are addresses that may be among them, and need not.
    """
    keys = {comparable(one): one for one in named}
    covered = {comparable(address) for one in readers for address in one.addresses}
    missing = tuple(address for key, address in keys.items() if key not in covered)
    if missing:
        raise KeyProblem(
            f"no certificate is given for {', '.join(missing)}",
            hint="add theirs to to=, or leave the policy's readers at 'given'",
            missing=missing,
        )
    welcome = {*keys, *map(comparable, also)}
    for one in readers:
        if not any(comparable(address) in welcome for address in one.addresses):
            raise KeyProblem(
                f"the mail is not addressed to {', '.join(one.addresses) or repr(one)}, whose "
                "certificate is given",
                hint="take it out of to=, or leave the policy's readers at 'given'",
            )


def _problem(
    one: Recipient,
    at: datetime,
    policy: Policy,
    vouch: Callable[[Recipient, datetime], KeyProblem | None] | None,
) -> KeyProblem | None:
    try:
        one.check_reads(at, policy)
    except KeyProblem as problem:
        return problem
    return vouch(one, at) if vouch is not None else None
