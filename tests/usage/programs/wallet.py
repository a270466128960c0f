"""A wallet pass: detached DER signature over manifest.json with the intermediate inside."""

from pathlib import Path

import smime
from smime import cms

team = smime.Identity.load("k.pem", "c.pem")
manifest = Path("manifest.json")
manifest.write_bytes(b'{"pass.json": "5f4dcc3b"}')

signature = cms.sign(manifest, by=team, detached=True)
Path("signature").write_bytes(signature)

opened = cms.verify(signature, content=manifest, trust=smime.Anchors.load("ca.pem"))
print(opened.signatures[0].signer)

# The same without a chain: the one certificate that was agreed upon.
pinned = smime.Pinned.load("c.pem")
print(cms.verify(Path("signature"), content=manifest, trust=pinned).signatures[0].good)

manifest.write_bytes(b'{"pass.json": "00000000"}')
try:
    cms.verify(signature, content=manifest, trust=pinned)
except smime.SignatureRejected as problem:
    print(problem)
