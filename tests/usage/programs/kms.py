"""A key that never leaves a key service: it signs and opens mail all the same.

``Service`` stands for the client that a cloud sells; ``ServiceKey`` is the dozen lines that a user
writes around it. Nothing of it inherits from smime: the shape is enough.
"""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

import smime
from smime import cms


class ServiceError(Exception):
    """What the client of such a service raises when it is asked for the impossible."""


class Service:
    """A key service with one RSA key. (In life it is on the other side of the network.)"""

    def __init__(self, key_pem: bytes) -> None:
        key = serialization.load_pem_private_key(key_pem, None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key

    def sign(self, message: bytes, algorithm: str) -> bytes:
        assert algorithm == "RSASSA_PKCS1_V1_5_SHA_256"
        return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def decrypt(self, blob: bytes, algorithm: str) -> bytes:
        assert algorithm == "RSAES_OAEP_SHA_256"
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        try:
            return self._key.decrypt(blob, oaep)
        except ValueError:
            raise ServiceError("InvalidCiphertext") from None


class ServiceKey:
    """One key of the service, in the shape of ``smime.Signer`` and ``smime.Opener``."""

    def __init__(self, service: Service, certificate: x509.Certificate) -> None:
        self._service = service
        self.certificate = certificate

    def sign(self, data: bytes, algorithm: str) -> bytes:
        names = {"sha256": "RSASSA_PKCS1_V1_5_SHA_256"}
        return self._service.sign(data, names[algorithm])

    def decrypt(self, wrapped: bytes, algorithm: str) -> bytes:
        if algorithm != "rsa-oaep-sha256":
            raise smime.NotSupported(f"the key service does not open {algorithm}")
        return self._service.decrypt(wrapped, "RSAES_OAEP_SHA_256")

    def agree(self, public: bytes) -> bytes:
        raise smime.NotSupported("an RSA key agrees on nothing")


service = Service(Path("office-key.pem").read_bytes())
office = ServiceKey(service, smime.Recipient.load("office.pem").certificate)
anchors = smime.Anchors.load("root.pem")
policy = smime.Policy.modern().replace(key_transport="rsa-oaep")

# Mail: it goes wherever an Identity goes.
letter = Path("letter.eml").read_bytes()
sealed = smime.protect(letter, by=office, to=office.certificate, policy=policy)
opened = smime.verify(sealed, keys=office, trust=anchors, sender="office@example.org")
print(opened.signer, opened.encrypted, opened.report.layers[0].opened_by)

# Without mail, beside keys of other kinds.
blob = cms.encrypt(b"data", to=office.certificate, policy=policy)
print(cms.decrypt(blob, keys=[smime.Identity.load("k.pem", "c.pem"), office]))

# With an Identity around it, which has addresses and a chain.
identity = smime.Identity(office, office.certificate)
print(smime.decrypt(sealed, keys=identity, trust=smime.NoTrust()).encrypted, identity.addresses)

# What somebody damaged on the way fails as with every other key; the service's error is not shown.
try:
    cms.decrypt(blob[:300] + bytes(8) + blob[308:], keys=office)
except smime.DecryptionFailed as problem:
    print(problem)

# What the service cannot do at all is said.
try:
    cms.decrypt(cms.encrypt(b"data", to=office.certificate), keys=office)
except smime.NotSupported as problem:
    print(problem)
