"""The ordinary case without the engine: says yes, or ask the engine; never no.

Every condition here is at least as strict as RFC 5280 §6, so a yes of this
file is a yes of the engine too. A test holds it to that.

Floor:  trust (uses facts)
Source: RFC 5280 §6.1, reduced to paths on which most of it has nothing to do
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smime.trust.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from smime.trust.facts import Facts

__all__ = ["is_surely_valid"]


def is_surely_valid(path: Sequence[Facts], at: datetime) -> bool:
    """Say yes if the path is valid beyond doubt, no for "ask the engine".

    ``path`` is leaf first, anchor last; its signatures are verified, every
    issuer is the next subject byte for byte, and each certificate names one
    signature algorithm in both places. ``at`` has whole seconds. Revocation is
    the caller's business.
    """
    chain = path if isinstance(path, Chain) else Chain(path)
    span = chain.lasts
    return span is not None and span[0] <= at <= span[1] and chain.is_plain
