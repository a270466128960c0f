"""The verbs of ``smimetool sop`` that sign.

Floor:  cli (uses sopio, sopkeys)
Source: draft-dkg-openpgp-stateless-cli
"""

from __future__ import annotations

from smime.cli.sopio import (
    EXPECTED_TEXT,
    INCOMPATIBLE_OPTIONS,
    UNSUPPORTED_OPTION,
    Call,
    Failure,
    output,
    standard_input,
    write,
)
from smime.cli.sopkeys import armoured, is_beyond, ring_of, signers

TYPE_CHECKING = False
if TYPE_CHECKING:
    import smime

    Signer = tuple[smime.PgpKey, bytes | None]

__all__ = ["inline_sign", "kind_of", "sign", "text_of"]


def kind_of(call: Call, *allowed: str) -> str:
    """Return what --as says, or the first that is allowed."""
    wanted = call.one("as", allowed[0])
    if wanted not in allowed:
        raise Failure(UNSUPPORTED_OPTION, f"--as={wanted} is not known")
    return wanted


def text_of(data: bytes) -> bytes:
    """Return text; fails with EXPECTED_TEXT for what is none."""
    try:
        data.decode()
    except UnicodeDecodeError:
        raise Failure(EXPECTED_TEXT, "this is no text in UTF-8") from None
    return data


def sign(call: Call) -> None:
    """Write detached signatures, one for each key."""
    wanted = kind_of(call, "binary", "text")
    data = standard_input()
    if wanted == "text":
        text_of(data)
    out, digests = [], set()
    with ring_of(*call.rest) as ring:
        for one in signers(ring, call):
            made, digest = _detached(ring, one, data, wanted)
            out.append(made)
            digests.add(digest)
    if call.has("micalg-out"):
        name = f"pgp-{digests.pop()}" if len(digests) == 1 else ""
        write(call.one("micalg-out"), name.encode())
    output(armoured(b"".join(out), "SIGNATURE", call))


def _detached(ring: smime.PgpKeyring, by: Signer, data: bytes, wanted: str) -> tuple[bytes, str]:
    """Return a signature packet and its digest.

    Sequoia's library signs octets alone; of a key that GnuPG does not know, text
    is signed as the octets that it is.
    """
    from smime.pgp.armour import dearmor

    key, password = by
    if wanted == "text" and not is_beyond(ring, key):
        armour, digest = ring.gnupg.sign_otherwise(
            data, key.fingerprint, "detached-text", passphrase=password
        )
        return dearmor(armour), digest
    made = ring.engine.sign(data, key.fingerprint, passphrase=password)
    return dearmor(made.signature), made.digest


def inline_sign(call: Call) -> None:
    """Write a message that holds the content and the signatures of all the keys."""
    wanted = kind_of(call, "binary", "text", "clearsigned")
    if wanted == "clearsigned" and not call.armour:
        raise Failure(INCOMPATIBLE_OPTIONS, "text that is signed in the clear is armoured")
    data = standard_input()
    if wanted != "binary":
        text_of(data)
    with ring_of(*call.rest) as ring:
        found = signers(ring, call)
        if wanted == "clearsigned":
            output(_clear(ring, found, data))
        else:
            output(armoured(_message(ring, found, data, wanted), "MESSAGE", call))


def _message(ring: smime.PgpKeyring, found: list[Signer], data: bytes, wanted: str) -> bytes:
    from smime.pgp.writing import signed_message

    if len(found) > 1 or is_beyond(ring, found[0][0]):
        return signed_message(data, [_detached(ring, one, data, wanted)[0] for one in found])
    ((key, password),) = found
    form = "message" if wanted == "binary" else "message-text"
    return ring.gnupg.sign_otherwise(data, key.fingerprint, form, passphrase=password)[0]


def _clear(ring: smime.PgpKeyring, found: list[Signer], data: bytes) -> bytes:
    from smime.pgp.writing import clear_message, text_in_the_clear

    if not any(is_beyond(ring, key) for key, _ in found):
        if len(found) == 1:
            ((key, password),) = found
            return ring.gnupg.sign_otherwise(data, key.fingerprint, "clear", passphrase=password)[0]
        covered = text_in_the_clear(data)
        return clear_message(data, [_detached(ring, one, covered, "text")[0] for one in found])
    if len(found) > 1 or ring.sequoia is None:
        raise Failure(UNSUPPORTED_OPTION, "one key of that kind signs in the clear")
    ((key, password),) = found
    return ring.sequoia.sign_in_the_clear(data, key.fingerprint, passphrase=password)
