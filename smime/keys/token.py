"""Keys in a PKCS#11 token: they sign and open there, and never leave it.

    with Token.load("/usr/lib/softhsm/libsofthsm2.so", label="Office", passphrase=ask) as token:
        alice = token.identity("alice")
        smime.sign(letter, by=alice)

Extra ``[pkcs11]``.

Floor:  keys (uses errors and cms)
Source: PKCS #11 v2.40 §4 for the objects in a token
"""

from __future__ import annotations

from smime.errors import KeyProblem, NotSupported
from smime.keys.token_key import TokenKey, attribute, named, pkcs11_library, public_key

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn, Self, TypeVar

    from cryptography import x509

    from smime.keys import Passphrase
    from smime.keys.identity import Identity

    Result = TypeVar("Result")

__all__ = ["KINDS", "Token"]

KINDS: dict[str, str | int] = {
    "p256": "secp256r1",
    "p384": "secp384r1",
    "p521": "secp521r1",
    "rsa2048": 2048,
    "rsa3072": 3072,
    "rsa4096": 4096,
}
"""The kinds of key that are made in a token."""


class Token:
    """A PKCS#11 token that is logged in to; a context manager, safe to share between threads."""

    __slots__ = ("_label", "_lock", "_session")

    def __init__(self, session: Any, label: str) -> None:
        """Take a session of python-pkcs11; ``load`` is how one is got."""
        import threading

        self._session = session
        self._label = label
        # A session of PKCS#11 does one thing at a time.
        self._lock = threading.Lock()

    @classmethod
    def load(cls, module: os.PathLike[str] | str, *, label: str, passphrase: Passphrase) -> Self:
        """Log in to the token with this label, through a PKCS#11 module (a shared library).

        ``passphrase`` is the PIN: a str, bytes, or a function that gives one.

        Raises ``NotSupported`` without the extra, ``KeyProblem`` if there is no
        such token, if it is open in this program already, or for a wrong PIN,
        and ``OSError`` for a module that does not load.
        """
        import os

        from smime.keys.private import Secret

        pkcs11 = pkcs11_library()
        path = os.fspath(module)
        try:
            pin = Secret(passphrase, f"the token {label}").demand().decode()
        except UnicodeDecodeError:
            raise KeyProblem(f"the PIN for the token {label} is no text in UTF-8") from None
        try:
            library = pkcs11.lib(path)
        except (RuntimeError, OSError) as error:
            raise OSError(f"{path} is no PKCS#11 module that can be used: {error}") from error
        try:
            session = library.get_token(token_label=label).open(rw=True, user_pin=pin)
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as error:
            raise KeyProblem(
                f"the token {label} does not take this PIN",
                hint="after some wrong ones it locks itself",
            ) from error
        except pkcs11.PinLocked as error:
            raise KeyProblem(f"the token {label} is locked after wrong PINs") from error
        except (pkcs11.NoSuchToken, pkcs11.MultipleTokensReturned) as error:
            raise KeyProblem(f"there is no token {label}, or more than one") from error
        except pkcs11.UserAlreadyLoggedIn as error:
            # The token would take any PIN now, and say nothing.
            raise KeyProblem(
                f"the token {label} is open in this program already", hint="use that one"
            ) from error
        except pkcs11.PKCS11Error as error:
            raise KeyProblem(f"the token {label} cannot be used: {named(error)}") from error
        return cls(session, label)

    def identity(
        self,
        label: str,
        certificate: x509.Certificate | None = None,
        chain: Iterable[x509.Certificate] = (),
    ) -> Identity:
        """Give the private key with this label and its certificate as an ``Identity``.

        Without ``certificate`` it is the one in the token: of those with the
        same identifier (CKA_ID) or label whose key it is, the one that expires
        last. Certificates of its issuers are taken from the token too.

        Raises ``KeyProblem`` if there is no such key or certificate, or if they
        do not belong together.
        """
        from smime.keys.fitness import public_key_of
        from smime.keys.identity import Identity
        from smime.keys.loading import ordered_chain

        private = self._private(label)
        public = self._public(private, label)
        known = self._certificates()
        if certificate is None:
            certificate = self._fitting(known, private, label, public)
        key = TokenKey(self, label, private, public_key_of(certificate), certificate)
        if public is None:
            key.prove()
        elif public != key.public_key():
            raise KeyProblem(f"the certificate is not one of the key {label} in the token")
        above, below = list(chain), certificate
        for one in ordered_chain(certificate, [one for one, _, _ in known]):
            if one.subject != below.issuer:
                break  # the other certificates in the token are other people's
            above.append(one)
            below = one
        return Identity(key, certificate, above)

    def key(self, label: str) -> TokenKey:
        """Give the private key with this label, for which there is no certificate yet.

        Raises ``KeyProblem`` if there is none, more than one, or its public
        half is not there.
        """
        private = self._private(label)
        public = self._public(private, label)
        if public is None:
            raise KeyProblem(
                f"the token tells no public key for {label}",
                hint="private and public key bear the same label, or the same identifier",
            )
        return TokenKey(self, label, private, public)

    def generate(self, label: str, algorithm: str = "p256") -> TokenKey:
        """Make a key pair in the token: ``p256 p384 p521 rsa2048 rsa3072 rsa4096``.

        It cannot be taken out. Raises ``KeyProblem`` if there is an object of
        that label, ``NotSupported`` if the token cannot make one, and
        ``ValueError`` for another kind.
        """
        pkcs11 = pkcs11_library()
        kind = KINDS.get(algorithm)
        if kind is None:
            raise ValueError(f"algorithm {algorithm!r} is none of {', '.join(KINDS)}")
        fixed = {
            "id": label.encode(),
            "store": True,
            "label": label,
            "private_template": {
                pkcs11.Attribute.EXTRACTABLE: False,
                pkcs11.Attribute.SENSITIVE: True,
            },
        }

        def make(session: Any) -> Any:
            for found in session.get_objects({pkcs11.Attribute.LABEL: label}):
                raise KeyProblem(f"the token holds {found} with the label {label} already")
            if isinstance(kind, int):
                return session.generate_keypair(pkcs11.KeyType.RSA, kind, **fixed)
            from pkcs11.util.ec import encode_named_curve_parameters

            curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(kind)}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
            both = pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.DERIVE
            return parameters.generate_keypair(capabilities=both, **fixed)

        try:
            public, private = self.alone(make)
        except pkcs11.PKCS11Error as error:
            raise NotSupported(
                f"the token does not make {algorithm} keys: {named(error)}"
            ) from error
        return TokenKey(self, label, private, self.alone(lambda _: public_key(public)))

    def store(self, label: str, certificate: x509.Certificate) -> None:
        """Put a certificate beside the key with this label, for ``identity`` to find.

        Raises ``KeyProblem`` if it is another key's, or the token is read only.
        """
        from cryptography.hazmat.primitives.serialization import Encoding

        pkcs11 = pkcs11_library()
        private = self._private(label)
        public = self._public(private, label)
        if public is None or public != certificate.public_key():
            raise KeyProblem(f"the certificate is not one of the key {label} in the token")
        described = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE,
            pkcs11.Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
            pkcs11.Attribute.TOKEN: True,
            pkcs11.Attribute.LABEL: label,
            pkcs11.Attribute.ID: self.alone(lambda _: private.id),
            pkcs11.Attribute.SUBJECT: certificate.subject.public_bytes(),
            pkcs11.Attribute.VALUE: certificate.public_bytes(Encoding.DER),
        }
        try:
            self.alone(lambda session: session.create_object(described))
        except pkcs11.PKCS11Error as error:
            raise KeyProblem(f"the token takes no certificate: {named(error)}") from error

    def _private(self, label: str) -> Any:
        pkcs11 = pkcs11_library()
        try:
            return self.alone(
                lambda session: session.get_key(
                    object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label
                )
            )
        except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned) as error:
            raise KeyProblem(
                f"the token holds no one private key with the label {label}"
            ) from error
        except pkcs11.PKCS11Error as error:
            raise KeyProblem(f"the token gives no key {label}: {named(error)}") from error

    def _public(self, private: Any, label: str) -> Any:
        """Return the public half, by identifier or label; None if it is not there."""
        pkcs11 = pkcs11_library()
        half = pkcs11.ObjectClass.PUBLIC_KEY

        def find(session: Any) -> Any:
            if private.key_type == pkcs11.KeyType.RSA:
                return public_key(private)  # its modulus is no secret
            identifier = attribute(private, pkcs11.Attribute.ID)
            by_label = {"label": label}
            for half_of in ({"id": identifier}, by_label) if identifier else (by_label,):
                try:
                    return public_key(session.get_key(object_class=half, **half_of))
                except pkcs11.NoSuchKey:
                    continue
            return None

        try:
            return self.alone(find)
        except pkcs11.MultipleObjectsReturned as error:
            raise KeyProblem(f"the token holds several public keys for {label}") from error
        except pkcs11.PKCS11Error as error:
            raise KeyProblem(f"the token gives no key {label}: {named(error)}") from error

    def _certificates(self) -> list[tuple[x509.Certificate, bytes, str]]:
        """Return the certificates in the token, with identifier and label."""
        from cryptography import x509

        pkcs11 = pkcs11_library()

        def find(session: Any) -> list[tuple[x509.Certificate, bytes, str]]:
            found = []
            kind = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE}
            for one in session.get_objects(kind):
                try:
                    made = x509.load_der_x509_certificate(one[pkcs11.Attribute.VALUE])
                except ValueError:
                    continue  # one that is damaged is none
                identifier = attribute(one, pkcs11.Attribute.ID)
                found.append((made, identifier, attribute(one, pkcs11.Attribute.LABEL)))
            return found

        try:
            return self.alone(find)
        except pkcs11.PKCS11Error as error:
            raise KeyProblem(f"the token tells no certificates: {named(error)}") from error

    def _fitting(
        self,
        known: list[tuple[x509.Certificate, bytes, str]],
        private: Any,
        label: str,
        public: Any,
    ) -> x509.Certificate:
        from smime.keys.fitness import public_key_of

        pkcs11 = pkcs11_library()
        identifier = self.alone(lambda _: attribute(private, pkcs11.Attribute.ID))
        found = [
            one
            for one, its_identifier, its_label in known
            if (its_label == label or (identifier and its_identifier == identifier))
            and public in (None, public_key_of(one))
        ]
        if not found:
            raise KeyProblem(
                f"the token holds no certificate for the key {label}",
                hint="token.store(label, certificate), or token.identity(label, certificate)",
            )
        return max(found, key=lambda one: one.not_valid_after_utc)

    def alone(self, what: Callable[[Any], Result]) -> Result:
        """Do something with the session, alone."""
        with self._lock:
            if self._session is None:
                raise KeyProblem(f"the token {self._label} is closed")
            return what(self._session)

    def close(self) -> None:
        """End the session: its keys do no more. Closing twice does no harm."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Token {self._label}{'' if self._session is not None else ', closed'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is not pickled: open it where it is used")
