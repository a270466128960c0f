"""May this key speak for this address, now?

``Anchors`` are root certificates that may vouch for others, ``Pinned`` is one
key known from elsewhere, ``NoTrust`` checks mathematics only. Each answers
``judge(claim)`` with five findings. ``Evidence`` is what the caller gathered
beforehand: more certificates and CRLs. Nothing is fetched.

Floor:  trust (uses errors, policy, report, protocols, keys; knows no mail and no CMS)
Source: RFC 5280 §6 for paths, RFC 8550 for what mail asks of certificates
"""

from __future__ import annotations

from smime.trust.anchors import Anchors
from smime.trust.evidence import Evidence
from smime.trust.judge import CODES
from smime.trust.pinned import NoTrust, Pinned

__all__ = ["CODES", "Anchors", "Evidence", "NoTrust", "Pinned"]
