"""Seals by pyHanko, for the certificate in each file; prints each CMS as a line of hex digits.

Content is what PDF encryption seals: 20 octets, here as given, and 4 that say what is permitted.
"""

import sys
from pathlib import Path

from asn1crypto import x509
from pyhanko.pdf_utils.crypt.permissions import PubKeyPermissions
from pyhanko.pdf_utils.crypt.pubkey import RecipientEncryptionPolicy, construct_recipient_cms

for name in sys.argv[2:]:
    made = construct_recipient_cms(
        [x509.Certificate.load(Path(name).read_bytes())],
        bytes.fromhex(sys.argv[1]),
        PubKeyPermissions.allow_everything(),
        RecipientEncryptionPolicy(ignore_key_usage=True, prefer_oaep=True),
    )
    print(made.dump().hex())
