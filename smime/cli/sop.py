"""``smimetool sop``: OpenPGP as a Stateless OpenPGP command, for test suites and scripts.

Its verbs, options and exit statuses are those of the specification, and not
those of the other commands. Each call has a private home, which is gone after it.

Floor:  cli
Source: draft-dkg-openpgp-stateless-cli
"""

from __future__ import annotations

import sys

from smime import __version__
from smime.cli.sopio import (
    BAD_DATA,
    CANNOT_DECRYPT,
    CANNOT_ENCRYPT,
    INCOMPATIBLE_OPTIONS,
    INCOMPLETE_VERIFICATION,
    KEY_IS_PROTECTED,
    MISSING_ARGUMENT,
    NO_SIGNATURE,
    UNSUPPORTED_ALGORITHM,
    UNSUPPORTED_OPTION,
    UNSUPPORTED_PROFILE,
    UNSUPPORTED_SUBCOMMAND,
    Call,
    Failure,
    output,
    password_of,
    passwords_of,
    read,
    session_key_of,
    standard_input,
    write,
)  # fmt: skip
from smime.cli.sopkeys import (
    armoured,
    change_key_password,
    extract_cert,
    generate_key,
    is_beyond,
    merge_certs,
    passphrase_of,
    revoke_key,
    ring_of,
    signers,
    update_key,
)
from smime.cli.sopsign import inline_sign, kind_of, sign, text_of
from smime.errors import DecryptionFailed, KeyProblem, MalformedMail, NotSupported, SmimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import smime
    from smime.pgp.backend import Decrypted, SignatureFacts
    from smime.pgp.packets import Sealed

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit status. Never raises, but for Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words:
            raise Failure(MISSING_ARGUMENT, "which verb?")
        if words[0] in ("--help", "-h"):
            return _help()
        if words[0] not in _VERBS:
            raise Failure(UNSUPPORTED_SUBCOMMAND, f"there is no verb {words[0]}")
        do, known = _VERBS[words[0]]
        do(Call(words[0], words[1:], known))
    except Failure as failed:
        return _said(failed.status, str(failed))
    except MalformedMail as broken:
        return _said(BAD_DATA, str(broken))
    except NotSupported as missing:
        return _said(UNSUPPORTED_ALGORITHM, str(missing))
    except SmimeError as problem:
        return _said(1, str(problem))
    except OSError as problem:
        return _said(1, f"{problem.filename or 'standard stream'}: {problem.strerror}")
    return 0


def _help() -> int:
    from smime.cli.files import say_to

    say_to(
        sys.stdout,
        "usage: smimetool sop VERB [OPTION...] [FILE...]\n\n"
        "Stateless OpenPGP: verbs, options and exit statuses are those of\n"
        f"draft-dkg-openpgp-stateless-cli.\n\nverbs: {' '.join(_VERBS)}",
    )
    return 0


def _said(status: int, text: str) -> int:
    from smime.cli.files import say_to

    try:
        say_to(sys.stderr, f"smimetool sop: {text}")
    except OSError:
        return status
    return status


def _version(call: Call) -> None:
    if len(call.options) > 1:
        raise Failure(INCOMPATIBLE_OPTIONS, "one question at a time")
    if call.has("sop-spec"):
        output(b"~draft-dkg-openpgp-stateless-cli-11\n")  # ~ says that not all of it is built
        return
    if call.has("sopv"):
        output(b"1.0\n")
        return
    output(f"smimetool {__version__}\n".encode())
    if call.has("backend") or call.has("extended"):
        import smime

        with smime.PgpKeyring() as ring:
            output(f"{ring.engine.name} (GnuPG {ring.version or 'none'})\n".encode())


def _list_profiles(call: Call) -> None:
    if not call.rest:
        raise Failure(MISSING_ARGUMENT, "the profiles of which verb?")
    if call.rest[0] == "generate-key":
        output(b"rfc4880: Ed25519 and X25519 in keys of version 4, for everybody\n")
        output(b"rfc9580: Ed25519 and X25519 in keys of version 6\n")
    elif call.rest[0] == "encrypt":
        output(b"rfc4880: what the readers' keys ask for\n")
    else:
        raise Failure(UNSUPPORTED_PROFILE, f"{call.rest[0]} has no profiles")


def _verify(call: Call) -> None:
    from smime.pgp.packets import read_signatures

    if len(call.rest) < 2:
        raise Failure(MISSING_ARGUMENT, "the signature and a certificate are needed")
    signatures = read_signatures(read(call.rest[0]))
    data = standard_input()
    with ring_of(*call.rest[1:]) as ring:
        found = _verifications(ring, ring.engine.check(data, signatures), call)
    if not found:
        raise Failure(NO_SIGNATURE, "no signature holds")
    output(found)


def _inline_verify(call: Call) -> None:
    from smime.pgp.packets import dearmor, read_cleartext, read_message

    data = standard_input()
    clear = data.lstrip().startswith(b"-----BEGIN PGP SIGNED MESSAGE-----")
    message = read_cleartext(data) if clear else read_message(dearmor(data, "MESSAGE"))
    with ring_of(*call.rest) as ring:
        facts = ring.engine.check(message.content, message.signatures)
        found = _verifications(ring, facts, call)
    if not found:
        raise Failure(NO_SIGNATURE, "no signature holds")
    if call.has("verifications-out"):
        write(call.one("verifications-out"), found)
    output(message.content)


def _inline_detach(call: Call) -> None:
    from smime.pgp.packets import dearmor, enarmor, read_cleartext, read_message

    if not call.has("signatures-out"):
        raise Failure(MISSING_ARGUMENT, "--signatures-out is missing")
    data = standard_input()
    clear = data.lstrip().startswith(b"-----BEGIN PGP SIGNED MESSAGE-----")
    message = read_cleartext(data) if clear else read_message(dearmor(data, "MESSAGE"))
    signatures = b"".join(message.signatures)
    write(
        call.one("signatures-out"),
        enarmor(signatures, "SIGNATURE") if call.armour else signatures,
    )
    output(message.content)


def _verifications(
    ring: smime.PgpKeyring, facts: Sequence[SignatureFacts], call: Call, prefix: str = ""
) -> bytes:
    """Return a line for each signature that is good, whoever it names (section "VERIFICATIONS")."""
    from datetime import UTC, datetime

    from smime.protocols import PgpClaim

    first = _moment(call.one(f"{prefix}not-before", "-"))
    last = _moment(call.one(f"{prefix}not-after", "now"))
    lines = []
    for one in facts:
        if one.state != "holds" or one.created is None:
            continue
        judged = ring.judge_openpgp(PgpClaim(one, None, datetime.now(UTC)))
        asked = (judged.path, judged.revocation, judged.usage, judged.time)
        if not all(finding.accepted for finding in asked):
            continue
        if (first and one.created < first) or (last and one.created > last):
            continue
        mode = "text" if one.text else "binary"
        made = f"{one.created:%Y-%m-%dT%H:%M:%SZ}"
        lines.append(f"{made} {one.key.upper()} {one.primary.upper()} mode:{mode}\n")
    return "".join(lines).encode()


def _moment(text: str) -> datetime | None:
    """Read a date; ``-`` is no bound."""
    from datetime import UTC, datetime

    if text == "-":
        return None
    if text == "now":
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(UNSUPPORTED_OPTION, f"{text} is no date") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _encrypt(call: Call) -> None:
    data = standard_input()
    if kind_of(call, "binary", "text") == "text":
        text_of(data)
    if call.one("profile", "rfc4880") not in ("default", "rfc4880"):
        raise Failure(UNSUPPORTED_PROFILE, "there is no such profile")
    passwords = [password_of(one) for one in call.all("with-password")]
    if not passwords and not call.rest:
        raise Failure(MISSING_ARGUMENT, "for whom? a certificate or a password is missing")
    with ring_of(*call.rest, needed=False) as ring:
        readers = [one.fingerprint for one in ring]
        for one in ring:
            _check_reads(one)
        found = _signers_into(ring, call)
        output(armoured(_sealed(ring, data, readers, found, passwords), "MESSAGE", call))


def _sealed(
    ring: smime.PgpKeyring,
    data: bytes,
    readers: list[str],
    found: list[tuple[smime.PgpKey, bytes | None]],
    passwords: list[bytes],
) -> bytes:
    """Seal for keys and passwords, signed inside by all of ``found``."""
    keys = [key for key, _ in found]
    if len(found) < 2 and not passwords:
        signer, secret = (keys[0].fingerprint, found[0][1]) if found else ("", None)
        return ring.engine.encrypt(data, readers, sign_with=signer, passphrase=secret).message
    beyond = [one for one in (*keys, *map(ring.key, readers)) if is_beyond(ring, one)]
    if len(passwords) > 1 or beyond:
        if len(found) > 1 or ring.sequoia is None:
            text = "several signers, with several passwords or keys of version 6"
            raise Failure(UNSUPPORTED_OPTION, f"{text}, are not built")
        signer, secret = (keys[0].fingerprint, found[0][1]) if found else ("", None)
        return ring.sequoia.seal_for_passphrases(
            data, passwords, readers, sign_with=signer, passphrase=secret
        )
    for key, secret in found:
        if (
            secret is not None
        ):  # gpg takes one passphrase for a call, and this home is gone after it
            ring.change_passphrase(ring.key(key.fingerprint, passphrase=secret), None)
    names = [key.fingerprint for key in keys]
    return ring.gnupg.seal(data, readers, sign_with=names, passphrase=passwords[:1])


def _check_reads(key: smime.PgpKey) -> None:
    from datetime import UTC, datetime

    try:
        key.check_reads(datetime.now(UTC))
    except KeyProblem as problem:
        raise Failure(CANNOT_ENCRYPT, str(problem)) from None


def _signers_into(ring: smime.PgpKeyring, call: Call) -> list[tuple[smime.PgpKey, bytes | None]]:
    """Bring the keys that sign into the ring of the readers."""
    names = call.all("sign-with")
    if not names:
        return []
    with ring_of(*names) as others:
        found = signers(others, call)
        for key, password in found:
            whole = others.key(key.fingerprint, passphrase=password)
            ring.add(others.export(whole, secret=True))
    return found


def _decrypt(call: Call) -> None:
    from smime.pgp.packets import read_sealed

    wanted, out = call.all("verify-with"), call.has("verifications-out")
    if bool(wanted) != out:
        raise Failure(INCOMPLETE_VERIFICATION, "--verify-with and --verifications-out go together")
    passwords = [one for name in call.all("with-password") for one in passwords_of(name)]
    locks = [one for name in call.all("with-key-password") for one in passwords_of(name)]
    session_keys = [session_key_of(one) for one in call.all("with-session-key")]
    if not call.rest and not passwords and not session_keys:
        raise Failure(MISSING_ARGUMENT, "with what? a key or a password is missing")
    sealed = read_sealed(standard_input())
    with ring_of(*call.rest, needed=False) as ring:
        keys = []
        for key in ring:
            opened = passphrase_of(ring, key, locks)
            if opened is not None:
                keys.append(ring.key(key.fingerprint, passphrase=opened[0]))
        if len(keys) < len(ring) and not keys and not passwords and not session_keys:
            raise Failure(KEY_IS_PROTECTED, "the key is locked")
        opened_message = _opened(ring, sealed, keys, passwords, session_keys)
        if opened_message is None:
            raise Failure(CANNOT_DECRYPT, "it does not open")
        if call.has("session-key-out"):
            found_key = _session_key(ring, sealed, keys, passwords, session_keys)
            write(call.one("session-key-out"), f"{found_key}\n".encode())
    if wanted:
        with ring_of(*wanted) as certs:
            facts = certs.engine.check(opened_message.content, opened_message.signatures)
            found = _verifications(certs, facts, call, "verify-")
        write(call.one("verifications-out"), found)
    output(opened_message.content)


def _opened(
    ring: smime.PgpKeyring,
    sealed: Sealed,
    keys: list[smime.PgpKey],
    passwords: list[bytes],
    session_keys: list[str],
) -> Decrypted | None:
    for session_key in session_keys:
        try:
            return ring.gnupg.decrypt_with_session_key(sealed, session_key)
        except (DecryptionFailed, NotSupported):
            continue
    several: list[bytes | None] = [*passwords] or [None]
    for password in several if keys or passwords else ():
        try:
            return ring.engine.decrypt(sealed, keys, passphrase=password)
        except (DecryptionFailed, KeyProblem, NotSupported):
            continue
    return None


def _session_key(
    ring: smime.PgpKeyring,
    sealed: Sealed,
    keys: list[smime.PgpKey],
    passwords: list[bytes],
    session_keys: list[str],
) -> str:
    """Return the session key of a message that opened."""
    for one in session_keys:
        try:
            ring.gnupg.decrypt_with_session_key(sealed, one)
        except (DecryptionFailed, NotSupported):
            continue
        return one
    several: list[bytes | None] = [*passwords] or [None]
    for password in several:
        try:
            return ring.gnupg.session_key(sealed, keys, passphrase=password)
        except (DecryptionFailed, KeyProblem, NotSupported):
            continue
    raise Failure(UNSUPPORTED_OPTION, "the session key of such a message is not handed out")


def _armor(call: Call) -> None:  # noqa: ARG001  # every verb is called so
    from smime.pgp.packets import dearmor, enarmor, packets

    data = standard_input()
    if data.lstrip().startswith(b"-----BEGIN PGP "):
        dearmor(data)  # or it is no armour
        output(data)
        return
    tags = [one.tag for one in packets(data)]
    if not tags:
        raise Failure(BAD_DATA, "there is nothing to armour")
    kinds = {2: "SIGNATURE", 5: "PRIVATE KEY BLOCK", 6: "PUBLIC KEY BLOCK"}
    kind = kinds.get(tags[0], "MESSAGE")
    if kind == "SIGNATURE" and set(tags) != {2}:
        kind = "MESSAGE"  # signed in the old way: the signature stands in front
    output(enarmor(data, kind))


def _dearmor(call: Call) -> None:  # noqa: ARG001  # every verb is called so
    from smime.pgp.packets import dearmor, packets

    binary = dearmor(standard_input())
    if not list(packets(binary)):
        raise Failure(BAD_DATA, "there is nothing inside")
    output(binary)


_DATES = "not-before= not-after="
_VERBS: dict[str, tuple[Callable[[Call], None], str]] = {
    "version": (_version, "backend extended sop-spec sopv"),
    "list-profiles": (_list_profiles, ""),
    "generate-key": (generate_key, "no-armor with-key-password= profile="),
    "change-key-password": (change_key_password, "no-armor old-key-password= new-key-password="),
    "revoke-key": (revoke_key, "no-armor with-key-password="),
    "extract-cert": (extract_cert, "no-armor"),
    "update-key": (
        update_key,
        "no-armor signing-only no-added-capabilities with-key-password= merge-certs=",
    ),
    "merge-certs": (merge_certs, "no-armor"),
    "sign": (sign, "no-armor micalg-out= with-key-password= as="),
    "verify": (_verify, _DATES),
    "encrypt": (_encrypt, "no-armor as= with-password= sign-with= with-key-password= profile="),
    "decrypt": (
        _decrypt,
        "with-password= with-key-password= with-session-key= session-key-out= "
        "verifications-out= verify-with= "
        "verify-not-before= verify-not-after=",
    ),
    "armor": (_armor, ""),
    "dearmor": (_dearmor, ""),
    "inline-sign": (inline_sign, "no-armor as= with-key-password="),
    "inline-verify": (_inline_verify, f"{_DATES} verifications-out="),
    "inline-detach": (_inline_detach, "no-armor signatures-out="),
}
