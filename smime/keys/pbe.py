"""Keys under a passphrase: read every common scheme, write two.

A scheme is read in two steps. ``plan`` looks at its parameters and charges a
``Budget``; only then is anything computed. A file that asks for hours of work
or gigabytes of memory is refused before the first round.

Floor:  keys (uses errors and cms)
Source: RFC 8018 §5, §6 (PBES2), RFC 7914 §7 (scrypt), RFC 7292 Appendix B, C
"""

from __future__ import annotations

import os

from smime.cms.der import (
    INTEGER,
    NULL,
    OCTET_STRING,
    SEQUENCE,
    children,
    integer,
    octet_string,
    oid,
    oid_text,
    sequence,
)
from smime.errors import KeyProblem, LimitExceeded, NotSupported

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherAlgorithm

    from smime.cms.der import Node

__all__ = [
    "Budget",
    "Passwords",
    "Scheme",
    "Writer",
    "WrongPassphrase",
    "algorithm_of",
    "mac_key",
    "number",
    "pbkdf2_parameters",
    "plan",
]

MAX_ROUNDS = 10_000_000  # some seconds of one core; 2^31 would be ten minutes that nobody can stop
MAX_ROUNDS_TOTAL = 4 * MAX_ROUNDS  # of all keys and parts of one file together
MAX_SCRYPT_MEMORY = 256 * 1024 * 1024  # octets: twice what the strongest usual setting takes
MAX_SCRYPT_WORK = 4 * MAX_SCRYPT_MEMORY  # octets touched, which "p" multiplies but memory hides
MAX_DERIVED_KEY = 64  # octets: the longest key of any cipher or MAC in use

MODERN_ROUNDS = 600_000  # OWASP's figure for PBKDF2-HMAC-SHA-256
LEGACY_ROUNDS = 2_048  # what software that needs the legacy form accepts everywhere

_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_SCRYPT = "1.3.6.1.4.1.11591.4.11"
_HMACS = {
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}
_HMAC_SHA256 = "1.2.840.113549.2.9"
_AES_256_CBC = "2.16.840.1.101.3.4.1.42"
# Content cipher of PBES2: its name and the octets of its key.
_CIPHERS = {
    "2.16.840.1.101.3.4.1.2": ("aes", 16),
    "2.16.840.1.101.3.4.1.22": ("aes", 24),
    _AES_256_CBC: ("aes", 32),
    "1.2.840.113549.3.7": ("3des", 24),
}
_PBE_3DES = "1.2.840.113549.1.12.1.3"
# RFC 7292 Appendix C: cipher and octets of key. RC2 with 40 bits is named so
# that it can be planned; there is no primitive for it here.
_PKCS12_PBE = {
    _PBE_3DES: ("3des", 24),
    "1.2.840.113549.1.12.1.4": ("3des", 16),
    "1.2.840.113549.1.12.1.5": ("rc2", 16),
    "1.2.840.113549.1.12.1.6": ("rc2", 5),
}
_NAMES = {
    "1.2.840.113549.1.12.1.1": "RC4 with 128 bits",
    "1.2.840.113549.1.12.1.2": "RC4 with 40 bits",
    "1.2.840.113549.1.5.1": "DES with MD2",
    "1.2.840.113549.1.5.3": "DES with MD5",
    "1.2.840.113549.1.5.10": "DES with SHA-1",
}
_KEY, _IV, _MAC = 1, 2, 3  # purposes of the PKCS#12 derivation (RFC 7292 Appendix B.3)


class WrongPassphrase(Exception):
    """The bytes did not open; caught in this package, never let out of it."""


class Passwords:
    """One passphrase in the two spellings: UTF-8, and UTF-16 with a zero at its end."""

    __slots__ = ("bmp", "utf8")

    def __init__(self, utf8: bytes | None) -> None:
        self.utf8 = utf8 or b""
        if utf8 is None:  # PKCS#12 tells "no passphrase" from an empty one
            self.bmp = b""
            return
        try:
            text = utf8.decode()
        except UnicodeDecodeError:
            text = utf8.decode("latin-1")
        self.bmp = (text + "\0").encode("utf-16-be", "surrogatepass")


class Budget:
    """What a file may still ask for; one per file."""

    __slots__ = ("_rounds",)

    def __init__(self) -> None:
        self._rounds = 0

    def charge_rounds(self, rounds: int) -> None:
        if rounds < 1:
            raise KeyProblem("the file asks for no rounds of its key derivation: it is damaged")
        self._rounds += rounds
        if rounds > MAX_ROUNDS or self._rounds > MAX_ROUNDS_TOTAL:
            raise LimitExceeded(
                f"the file asks for {rounds} rounds of its key derivation,"
                f" more than {MAX_ROUNDS} at once or {MAX_ROUNDS_TOTAL} in all",
                hint="write it again with fewer rounds, or refuse it: it may be an attack",
            )

    def charge_scrypt(self, n: int, r: int, p: int) -> None:
        if n < 2 or n & (n - 1) or r < 1 or p < 1:
            raise KeyProblem("the file's scrypt parameters cannot be: it is damaged")
        if 128 * n * r > MAX_SCRYPT_MEMORY or 128 * n * r * p > MAX_SCRYPT_WORK:
            raise LimitExceeded(
                f"the file asks scrypt for {128 * n * r} octets of memory, {p} times over;"
                f" the limit is {MAX_SCRYPT_MEMORY}",
                hint="write it again with a smaller N, or refuse it: it may be an attack",
            )
        # In the total one scrypt block costs about what one round does.
        self.charge_rounds(max(1, n * r * p // 8))

    @staticmethod
    def check_key(octets: int) -> None:
        if not 1 <= octets <= MAX_DERIVED_KEY:
            raise LimitExceeded(
                f"the file asks for a derived key of {octets} octets,"
                f" the limit is {MAX_DERIVED_KEY}"
            )


class Scheme:
    """How something was encrypted under a passphrase; its cost is paid for already."""

    __slots__ = ("_cipher", "_iv", "_key_octets", "_rounds", "_salt", "_way")

    def __init__(
        self,
        way: str,
        salt: bytes,
        rounds: tuple[int, ...],
        cipher: str,
        key_octets: int,
        iv: bytes,
    ) -> None:
        self._way = way  # "pkcs12", "scrypt" or the digest of PBKDF2's HMAC
        self._salt = salt
        self._rounds = rounds
        self._cipher = cipher
        self._key_octets = key_octets
        self._iv = iv

    @property
    def primitive_missing(self) -> bool:
        """It is RC2 with 40 bits, which only the library's own PKCS#12 reader opens."""
        return self._cipher == "rc2" and self._key_octets < 16

    def decrypt(self, passwords: Passwords, sealed: bytes, known: dict[object, bytes]) -> bytes:
        """Return the plain bytes; ``known`` keeps derived keys while one file is read.

        Raises ``WrongPassphrase`` if the padding at the end is not right.
        """
        if self.primitive_missing:
            raise NotSupported("RC2 with 40 bits around a key is not built")
        key, iv = self._key_and_iv(passwords, known)
        return _unpad(_cbc(self._cipher, key, iv, sealed, decrypt=True), _block(self._cipher))

    def encrypt(self, passwords: Passwords, plain: bytes, known: dict[object, bytes]) -> bytes:
        """Return the sealed bytes; the opposite of ``decrypt``."""
        key, iv = self._key_and_iv(passwords, known)
        block = _block(self._cipher)
        short = block - len(plain) % block
        return _cbc(self._cipher, key, iv, plain + bytes([short]) * short, decrypt=False)

    def _key_and_iv(self, passwords: Passwords, known: dict[object, bytes]) -> tuple[bytes, bytes]:
        name = (self._way, self._salt, self._rounds, self._key_octets, passwords)
        key = known.get(name)
        if key is None:
            key = known[name] = self._derive(passwords)
        if self._way != "pkcs12":
            return key, self._iv
        return key, _pkcs12_kdf("sha1", passwords.bmp, self._salt, self._rounds[0], _IV, 8)

    def _derive(self, passwords: Passwords) -> bytes:
        if self._way == "pkcs12":
            return _pkcs12_kdf(
                "sha1", passwords.bmp, self._salt, self._rounds[0], _KEY, self._key_octets
            )
        if self._way == "scrypt":
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

            n, r, p = self._rounds
            return Scrypt(self._salt, self._key_octets, n, r, p).derive(passwords.utf8)
        import hashlib

        return hashlib.pbkdf2_hmac(
            self._way, passwords.utf8, self._salt, self._rounds[0], self._key_octets
        )


# --- reading ----------------------------------------------------------------
def algorithm_of(data: bytes, node: Node) -> tuple[str, Node | None]:
    """Return an AlgorithmIdentifier's OID and its parameters, if there are any."""
    parts = children(data, node) if node[0] == SEQUENCE else []
    if not parts or parts[0][0] != 0x06:
        raise KeyProblem("the file names no algorithm where one belongs: it is damaged")
    return oid_text(data[parts[0][2] : parts[0][3]]), parts[1] if len(parts) > 1 else None


def number(data: bytes, node: Node) -> int:
    """Return an INTEGER that is not negative."""
    if node[0] != INTEGER or node[2] == node[3] or data[node[2]] & 0x80:
        raise KeyProblem("the file holds no number where one belongs: it is damaged")
    if node[3] - node[2] > 9:
        raise LimitExceeded("the file asks for an absurd amount of work by its key derivation")
    return int.from_bytes(data[node[2] : node[3]], "big")


def plan(data: bytes, algorithm: Node, budget: Budget) -> Scheme:
    """Read how something was encrypted and charge ``budget`` for it; compute nothing.

    Raises ``LimitExceeded``, ``NotSupported`` by name, or ``KeyProblem`` if
    the parameters are not what they should be.
    """
    name, parameters = algorithm_of(data, algorithm)
    parts = children(data, parameters) if parameters and parameters[0] == SEQUENCE else []
    if name in _PKCS12_PBE:
        cipher, octets = _PKCS12_PBE[name]
        salt, rounds = _two(parts)
        budget.charge_rounds(number(data, rounds))
        return Scheme("pkcs12", _string(data, salt), (number(data, rounds),), cipher, octets, b"")
    if name != _PBES2:
        raise NotSupported(
            f"a key encrypted with {_NAMES.get(name, name)} is not read",
            hint="openssl pkcs8 -topk8 -v2 aes-256-cbc writes it in a form that is",
        )
    derivation, encryption = _two(parts)
    cipher_name, cipher_parameters = algorithm_of(data, encryption)
    if cipher_name not in _CIPHERS or cipher_parameters is None:
        raise NotSupported(f"a key encrypted with {cipher_name} is not read")
    cipher, octets = _CIPHERS[cipher_name]
    iv = _string(data, cipher_parameters)
    if len(iv) != _block(cipher):
        raise KeyProblem("the initialisation vector has a wrong length: the file is damaged")
    way, salt_octets, cost, asked = _derivation(data, derivation, budget)
    if asked is not None and asked != octets:
        raise KeyProblem(f"the file derives {asked} octets for a key of {octets}: it is damaged")
    return Scheme(way, salt_octets, cost, cipher, octets, iv)


def _derivation(
    data: bytes, node: Node, budget: Budget
) -> tuple[str, bytes, tuple[int, ...], int | None]:
    name, parameters = algorithm_of(data, node)
    if name == _PBKDF2 and parameters:
        digest, salt, rounds, asked = pbkdf2_parameters(data, parameters, budget)
        return digest, salt, (rounds,), asked
    if name != _SCRYPT or not parameters:
        raise NotSupported(f"the key derivation {name} is not built")
    parts = children(data, parameters)
    if len(parts) not in (4, 5):
        raise KeyProblem("the file's scrypt parameters are damaged")
    n, r, p = (number(data, part) for part in parts[1:4])
    asked = number(data, parts[4]) if len(parts) == 5 else None
    if asked is not None:
        budget.check_key(asked)
    budget.charge_scrypt(n, r, p)
    return "scrypt", _string(data, parts[0]), (n, r, p), asked


def pbkdf2_parameters(
    data: bytes, parameters: Node, budget: Budget
) -> tuple[str, bytes, int, int | None]:
    """Return digest, salt, rounds and length of the derived key (RFC 8018 Appendix A.2)."""
    parts = children(data, parameters) if parameters[0] == SEQUENCE else []
    if len(parts) < 2:
        raise KeyProblem("the file's PBKDF2 parameters are damaged")
    salt, rounds = _string(data, parts[0]), number(data, parts[1])
    budget.charge_rounds(rounds)
    digest, asked = "sha1", None
    for part in parts[2:]:
        if part[0] == INTEGER:
            asked = number(data, part)
            budget.check_key(asked)
        else:
            name, _ = algorithm_of(data, part)
            if name not in _HMACS:
                raise NotSupported(f"PBKDF2 with the function {name} is not built")
            digest = _HMACS[name]
    return digest, salt, rounds, asked


def _two(parts: list[Node]) -> tuple[Node, Node]:
    if len(parts) != 2:
        raise KeyProblem("the parameters of the encryption are damaged")
    return parts[0], parts[1]


def _string(data: bytes, node: Node) -> bytes:
    if node[0] != OCTET_STRING:
        raise KeyProblem("the file holds no octets where some belong: it is damaged")
    return data[node[2] : node[3]]


# --- writing ----------------------------------------------------------------
class Writer:
    """Encrypts the parts of one file under one passphrase.

    Modern is PBES2 with AES-256-CBC under 600,000 rounds of PBKDF2: one salt,
    so that writer and reader derive the key once, and an IV for each part. Not
    scrypt: openssl gives it 32 MiB at most, so it could not read what a
    passphrase of today needs. Legacy is three-key 3DES under SHA-1, for old
    software only; there the IV comes from the salt, which is new each time.
    """

    __slots__ = ("_key", "_legacy", "_passwords", "_salt")

    def __init__(self, passwords: Passwords, *, legacy: bool = False) -> None:
        self._passwords = passwords
        self._legacy = legacy
        self._salt = os.urandom(16)
        self._key: dict[object, bytes] = {}

    def seal(self, plain: bytes) -> tuple[bytes, bytes]:
        """Return the AlgorithmIdentifier and the encrypted bytes."""
        if self._legacy:
            salt = os.urandom(8)
            parameters = sequence(octet_string(salt), integer(LEGACY_ROUNDS))
            scheme = Scheme("pkcs12", salt, (LEGACY_ROUNDS,), "3des", 24, b"")
            algorithm = sequence(oid(_PBE_3DES), parameters)
        else:
            iv = os.urandom(16)
            scheme = Scheme("sha256", self._salt, (MODERN_ROUNDS,), "aes", 32, iv)
            derivation = sequence(
                octet_string(self._salt), integer(MODERN_ROUNDS), sequence(oid(_HMAC_SHA256), NULL)
            )
            cipher = sequence(oid(_AES_256_CBC), octet_string(iv))
            algorithm = sequence(oid(_PBES2), sequence(sequence(oid(_PBKDF2), derivation), cipher))
        return algorithm, scheme.encrypt(self._passwords, plain, self._key)


# --- primitives -------------------------------------------------------------
def mac_key(digest: str, passwords: Passwords, salt: bytes, rounds: int) -> bytes:
    """Return the key of a PKCS#12 file's MAC (RFC 7292 Appendix B.4)."""
    import hashlib

    size = hashlib.new(digest, usedforsecurity=False).digest_size
    return _pkcs12_kdf(digest, passwords.bmp, salt, rounds, _MAC, size)


def _pkcs12_kdf(
    digest: str, password: bytes, salt: bytes, rounds: int, purpose: int, octets: int
) -> bytes:
    """RFC 7292 Appendix B.2; the numbers are its steps."""
    import hashlib

    new = getattr(hashlib, digest)
    block: int = new().block_size
    material = _stretch(salt, block) + _stretch(password, block)  # 2, 3, 4
    made = b""
    while len(made) < octets:  # 5, 6
        digested: bytes = new(bytes([purpose]) * block + material).digest()  # 1, 6A
        for _ in range(rounds - 1):
            digested = new(digested).digest()
        made += digested  # 7
        if len(made) < octets:
            step = int.from_bytes((digested * block)[:block], "big") + 1  # 6B
            material = b"".join(  # 6C
                (
                    (int.from_bytes(material[at : at + block], "big") + step) % (1 << 8 * block)
                ).to_bytes(block, "big")
                for at in range(0, len(material), block)
            )
    return made[:octets]  # 8


def _stretch(value: bytes, block: int) -> bytes:
    """Repeat ``value`` up to the next multiple of ``block``; nothing stays nothing."""
    if not value:
        return b""
    wanted = (len(value) + block - 1) // block * block
    return (value * (wanted // len(value) + 1))[:wanted]


def _block(cipher: str) -> int:
    return 16 if cipher == "aes" else 8


def _cbc(cipher: str, key: bytes, iv: bytes, data: bytes, *, decrypt: bool) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.decrepit.ciphers.algorithms import RC2, TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher, modes
    from cryptography.hazmat.primitives.ciphers.algorithms import AES

    if not data or len(data) % _block(cipher):
        raise KeyProblem("the encrypted part has a wrong length: the file is damaged")
    algorithm: CipherAlgorithm
    try:
        if cipher == "aes":
            algorithm = AES(key)
        elif cipher == "3des":
            algorithm = TripleDES(key if len(key) == 24 else key + key[:8])
        else:
            algorithm = RC2(key)
        engine = Cipher(algorithm, modes.CBC(iv))
        worker = engine.decryptor() if decrypt else engine.encryptor()
    except UnsupportedAlgorithm as error:
        raise NotSupported(f"this build of cryptography has no {cipher.upper()}") from error
    return worker.update(data) + worker.finalize()


def _unpad(data: bytes, block: int) -> bytes:
    short = data[-1]
    if not 1 <= short <= block or data[-short:] != bytes([short]) * short:
        raise WrongPassphrase
    return data[:-short]
