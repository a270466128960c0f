"""AS2: a MIME entity, no From; the partner's certificate was exchanged beforehand."""

from pathlib import Path

import smime
from smime import cms

us = smime.Identity.load("k.pem", "c.pem")
partner = smime.Recipient.load("c.pem")  # here we talk to ourselves
policy = smime.Policy.as2(micalg="sha256")
trust = smime.Pinned.load("c.pem", sender="partner-as2-id")


def send(entity: bytes) -> bytes:
    signed = smime.sign(entity, by=us, policy=policy)  # multipart/signed, as AS2 wants it
    return bytes(smime.encrypt(signed, to=partner, policy=policy))


def receive(http_entity: bytes) -> bytes:
    opened = smime.verify(http_entity, keys=us, trust=trust, sender="partner-as2-id", policy=policy)
    check = opened.report.signatures[0]
    print("Received-content-MIC:", len(check.digest), check.digest_algorithm)  # the MDN needs it
    return opened.content


def send_file(path: Path, out: Path) -> None:
    """Of any size: no more than a piece of it is in memory."""
    signed = path.with_suffix(".signed")
    smime.sign(path, by=us, policy=policy, out=signed)
    smime.encrypt(signed, to=partner, policy=policy, out=out)


def send_packed(entity: bytes) -> bytes:
    """Compressed, then signed, then sealed (RFC 5402)."""
    signed = smime.sign(entity, by=us, policy=policy.replace(compress=True))
    return bytes(smime.encrypt(signed, to=partner, policy=policy))


def raw_cms(edi: bytes) -> bytes:
    signed = cms.sign(cms.compress(edi), by=us, policy=policy)
    return cms.encrypt(signed, to=partner, policy=policy)


entity = b"Content-Type: application/edi-x12\r\n\r\nISA*00*\x00\xff\r\n"
print(receive(send(entity)) == entity)
print(receive(send_packed(entity * 100)) == entity * 100)
large = Path("large.edi")
large.write_bytes(b"Content-Type: application/edi-x12\r\n\r\n" + bytes(2_000_000))
send_file(large, Path("large.p7m"))
print(receive(Path("large.p7m").read_bytes()) == large.read_bytes())
inner = cms.decrypt(raw_cms(b"ISA*00*"), keys=us)
packed = cms.verify(inner, trust=trust, sender="partner-as2-id").content
print(cms.decompress(packed))
