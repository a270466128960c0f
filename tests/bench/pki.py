"""How many certificates a second: python -m tests.bench.pki

CPU time of one process, ``Authority.certify`` with nine extensions for keys made before,
beside the raw signatures of the same CA key. One certificate in 32 is checked by its issuer's key.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pki
from pki import keys
from pki.authority import new_serial

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
ROWS = {"p256": 5_000, "p384": 1_500, "ed25519": 5_000, "rsa3072": 600, "rsa4096": 400}


def rate(count: int, seconds: float) -> str:
    return f"{count / seconds:>9,.0f}"


def main() -> None:
    user = keys.generate("p256").public_key()
    mailbox = pki.Profile.named("mailbox")
    print(f"{'CA key':9}{'certify/s':>9}{'raw/s':>9}")
    for algorithm, count in ROWS.items():
        root = pki.Authority.create("Test CA", algorithm=algorithm, at=AT)
        ca = pki.Authority(
            root.private_key,
            root.certificate,
            crl_url="http://pki.example.org/ca.crl",
            ca_url="http://pki.example.org/ca.cer",
        )
        requests = [
            pki.CertificationRequest(user, [f"user{n}@example.org"], f"User {n}")
            for n in range(count)
        ]
        begun = time.process_time()
        made = [
            ca.certify(request, profile=mailbox, serial=new_serial(), at=AT) for request in requests
        ]
        certified = time.process_time() - begun
        for certificate in made[::32]:
            certificate.verify_directly_issued_by(ca.certificate)
        begun = time.process_time()
        for certificate in made:
            ca.sign(certificate.tbs_certificate_bytes)
        signed = time.process_time() - begun
        print(f"{algorithm:9}{rate(count, certified)}{rate(count, signed)}")


if __name__ == "__main__":
    main()
