"""The ordinary case without the engine: says yes, or ask the engine; never no.

Every condition here is at least as strict as RFC 5280 §6, so a yes of this
file is a yes of the engine too. A test holds it to that.

Floor:  trust (uses facts)
Source: RFC 5280 §6.1, reduced to paths on which most of it has nothing to do
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from smime.trust.facts import Facts

__all__ = ["is_surely_valid"]

MAX_PLAIN_PATH = 4  # certificates; longer ones are rare and may take their time


def is_surely_valid(path: Sequence[Facts], at: datetime) -> bool:
    """Say yes if the path is valid beyond doubt, no for "ask the engine".

    ``path`` is leaf first, anchor last; its signatures are verified, every
    issuer is the next subject byte for byte, and each certificate names one
    signature algorithm in both places. ``at`` has whole seconds. Revocation is
    the caller's business.
    """
    if not 2 <= len(path) <= MAX_PLAIN_PATH:
        return False
    for below, one in enumerate(path):
        if one.unusable or not one.plain or not one.subject or one.public_key is None:
            return False
        if one.validity is None or not one.validity[0] <= at <= one.validity[1]:
            return False
        if below == 0:
            if one.ca:
                return False
            continue
        if not one.ca or one.key_usage is None or not one.key_usage.key_cert_sign:
            return False
        # Intermediate certificates below this one, the leaf not counted
        # (RFC 5280 §4.2.1.9). Self-issued ones count here: stricter, never laxer.
        if one.path_length is not None and below - 1 > one.path_length:
            return False
    return True
