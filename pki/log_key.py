"""The key that signs checkpoints of the ledger, and nothing else.

Floor:  log_key (uses folder and audit)
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pki import keys
from pki.audit import checkpoint, log_key_detail
from pki.authority import moment
from pki.files import write_new
from pki.folder import LOG_KEY, read_key

if TYPE_CHECKING:
    from datetime import datetime

    from pki.folder import Records
    from pki.ledger import Ledger
    from smime import Passphrase

__all__ = ["demand_log_key", "sign_checkpoint"]


def demand_log_key(records: Records, ledger: Ledger, secret: bytes) -> None:
    """Make the key if the folder, of the first version or half restored, has none."""
    path = os.path.join(records.folder, "private", LOG_KEY)
    if records.ledger_of or os.path.exists(path):
        return
    key = keys.generate("p256")
    with ledger.writing() as log:
        log.note("log-key", log_key_detail(key), at=moment(None))
    with contextlib.suppress(FileExistsError):  # another process was first; its key counts too
        write_new(path, keys.seal(key, secret), mode=0o600)


def sign_checkpoint(
    records: Records, ledger: Ledger, passphrase: Passphrase, *, at: datetime | None = None
) -> bytes:
    """Sign how far the ledger has come, with the log's own key (``pki.audit.checkpoint``).

    Raises ``WrongPassphrase``, ``NoAuthority``, ``OSError``.
    """
    secret = keys.passphrase_octets(passphrase)
    there = os.path.exists(os.path.join(records.folder, "private", LOG_KEY))
    if not there and not records.token:
        read_key(records, "issuing.key.pem", secret)  # the same passphrase for all keys
        demand_log_key(records, ledger, secret)
    return checkpoint(ledger, read_key(records, LOG_KEY, secret), at=moment(at))
