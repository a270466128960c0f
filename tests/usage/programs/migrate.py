"""From `openssl cms`: the same lines, before and after."""

from pathlib import Path

import smime

me = smime.Identity.load("k.pem", "c.pem")
bob = smime.Recipient.load("bob.pem")
ca = smime.Anchors.load("ca.pem")
raw = Path("mail.eml").read_bytes()

signed = smime.sign(raw, by=me)  # openssl cms -sign -in mail.eml -signer c.pem -inkey k.pem
sealed = smime.encrypt(raw, to=bob)  # openssl cms -encrypt -aes256 bob.pem

# openssl cms -verify -CAfile ca.pem
off = smime.Policy.modern().replace(revocation=smime.Revocation.OFF)
print(smime.verify(signed, trust=ca, policy=off).signer)

# openssl cms -decrypt -recip c.pem -inkey k.pem
print(smime.decrypt(smime.encrypt(raw, to=[bob, me]), keys=me, trust=smime.NoTrust()).encrypted)

# openssl cms -verify -noverify: the mathematics alone; it says so, and is never good
(check,) = smime.examine(signed, trust=smime.NoTrust()).signatures
print(check.intact.answer, check.genuine.answer, check.good)

signed.save(Path("signed.eml"))
sealed.save(Path("sealed.eml"))
