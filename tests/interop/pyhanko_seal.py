"""Seals for the certificate in a file, by pyHanko; prints the CMS in hex. Run by its own python.

Content is what PDF encryption seals: 20 octets, here as given, and 4 that say what is permitted.
"""

import sys
from pathlib import Path

from asn1crypto import x509
from pyhanko.pdf_utils.crypt.permissions import PubKeyPermissions
from pyhanko.pdf_utils.crypt.pubkey import RecipientEncryptionPolicy, construct_recipient_cms

certificate = x509.Certificate.load(Path(sys.argv[1]).read_bytes())
made = construct_recipient_cms(
    [certificate],
    bytes.fromhex(sys.argv[2]),
    PubKeyPermissions.allow_everything(),
    RecipientEncryptionPolicy(ignore_key_usage=True, prefer_oaep=True),
)
print(made.dump().hex())
