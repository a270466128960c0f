"""OpenPGP through someone else's engine: GnuPG.

``PgpKey`` is a key, ``PgpKeyring`` holds keys and says of signatures by them
whether they may speak for a sender. What a mail looks like is not known here.

Floor:  pgp (uses errors, keys, policy, protocols, report)
Source: RFC 9580
"""

from __future__ import annotations

from smime.pgp.key import PgpKey
from smime.pgp.keyring import PgpKeyring

__all__ = ["PgpKey", "PgpKeyring"]
