"""The first screen of the README: seal a letter, open it, say who signed it."""

from pathlib import Path

import smime

alice = smime.Identity.load("alice.p12", passphrase=input)
bob = smime.Recipient.load("bob.pem")
anchors = smime.Anchors.load("root.pem")

sealed = smime.protect(Path("letter.eml"), by=alice, to=bob)
sealed.save(Path("sealed.eml"))

opened = smime.open(Path("sealed.eml"), keys=alice, trust=anchors)
print(opened.signer)  # alice@example.org, or None
print(opened.report)  # why
