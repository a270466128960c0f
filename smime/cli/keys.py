"""Keys, readers and anchors loaded as the options name them; errors name the file.

Floor:  cli
"""

from __future__ import annotations

import os
from contextlib import contextmanager

import smime
from smime.cli.failures import UsageError, name_subject
from smime.cli.files import STANDARD
from smime.cli.passphrase import Passphrases
from smime.errors import SmimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeVar

    from smime.cli.files import Files
    from smime.cli.passphrase import Ask

    T = TypeVar("T")

__all__ = [
    "anchors_of",
    "evidence_of",
    "keyring_of",
    "openers_of",
    "proof_of",
    "readers_of",
    "refuse_to_overwrite",
    "signers_of",
    "tell_unverified",
    "token_of",
    "trusts_of",
    "vouching_of",
]

MAX_NAMED = 8  # readers in one line; a mailing can have thousands


@contextmanager
def keyring_of(args: argparse.Namespace) -> Iterator[smime.PgpKeyring | None]:
    """Open the GnuPG keyring that the options name, if they name one."""
    home = args.pgp_home
    if not args.pgp and home is None:
        yield None
        return
    if home is not None and not os.path.isdir(home):
        raise FileNotFoundError(2, "there is no such GnuPG home", home)
    with smime.PgpKeyring.user(home) as ring:
        yield ring


@contextmanager
def token_of(args: argparse.Namespace) -> Iterator[smime.Token | None]:
    """Log in to the token that the options name, if they name one."""
    if (args.token is None) != (args.token_label is None):
        raise UsageError("--token MODULE and --token-label LABEL belong together")
    if args.token is None:
        yield None
        return
    if args.pgp or args.pgp_home is not None:
        raise UsageError("--token is for keys with certificates, and --pgp for OpenPGP keys")
    if not args.identity:
        raise UsageError("which key of the token? -i names it by its label")
    _one_certificate(args)
    passphrases = Passphrases(file=args.passphrase_file, variable=args.passphrase_env)
    label = args.token_label
    pin = passphrases.of(f"the token {label}")
    with smime.Token.load(args.token, label=label, passphrase=pin) as token:
        yield token


def _in_token(args: argparse.Namespace, token: smime.Token) -> list[smime.Identity]:
    certificate, chain = None, []
    if args.certificate:
        from smime.keys.loading import read_certificates, read_file

        name, *_ = args.certificate
        certificate = _named(name, smime.Recipient.load).certificate
        for one in args.certificate:
            chain += read_certificates(*read_file(one, "smime.Recipient"))
    return [token.identity(label, certificate, chain) for label in args.identity]


def signers_of(
    args: argparse.Namespace,
    ring: smime.PgpKeyring | None = None,
    token: smime.Token | None = None,
) -> list[smime.Identity] | list[smime.PgpKey]:
    """Load every -i as one who signs."""
    if ring is not None:
        return _keys_of(args, ring)
    if token is not None:
        return _in_token(args, token)

    def load(name: str, ask: Ask) -> list[smime.Identity]:
        return [smime.Identity.load(name, *args.certificate, passphrase=ask)]

    return _identities(args, load)


def openers_of(
    args: argparse.Namespace,
    ring: smime.PgpKeyring | None = None,
    token: smime.Token | None = None,
) -> list[smime.Reader]:
    """Load every -i as keys that open, all that a file holds: old mail needs old keys.

    With a keyring and no -i, all its secret keys.
    """
    if ring is not None and not args.identity:
        return [key for key in ring if key.is_secret]

    def load(name: str, ask: Ask) -> list[smime.Identity]:
        return list(smime.Identity.load_all(name, *args.certificate, passphrase=ask))

    if ring is not None:
        return [*_keys_of(args, ring)]
    if token is not None:
        return [*_in_token(args, token)]
    return [*_identities(args, load)]


def _keys_of(args: argparse.Namespace, ring: smime.PgpKeyring) -> list[smime.PgpKey]:
    """Find every -i in the keyring; a passphrase is used where one was named, and not asked for."""
    passphrase = None
    if args.passphrase_file is not None or args.passphrase_env is not None:
        passphrases = Passphrases(file=args.passphrase_file, variable=args.passphrase_env)
        passphrase = passphrases.of("the OpenPGP key")
    return [_found(name, ring, passphrase) for name in args.identity]


def _found(name: str, ring: smime.PgpKeyring, passphrase: Ask | None = None) -> smime.PgpKey:
    if "@" in name:
        return ring.find(name, passphrase=passphrase)
    return ring.key(name, passphrase=passphrase)


def _identities(
    args: argparse.Namespace, load: Callable[[str, Ask], list[smime.Identity]]
) -> list[smime.Identity]:
    _one_certificate(args)
    passphrases = Passphrases(file=args.passphrase_file, variable=args.passphrase_env)
    return [
        identity
        for name in args.identity
        for identity in _named(name, lambda name: load(name, passphrases.of(name)))
    ]


def _one_certificate(args: argparse.Namespace) -> None:
    if args.certificate and len(args.identity) != 1:
        raise UsageError(
            "--certificate belongs to exactly one --identity",
            hint="join each key with its certificate in one PEM file",
        )


def readers_of(
    args: argparse.Namespace, ring: smime.PgpKeyring | None = None
) -> Sequence[smime.Addressee]:
    """Load every -t."""
    if ring is not None:
        return [_found(name, ring) for name in args.to]
    return [_named(name, smime.Recipient.load) for name in args.to]


def trusts_of(args: argparse.Namespace, ring: smime.PgpKeyring | None) -> list[smime.Trust]:
    """Return whom to believe: what --ca names, and the keyring; ``UsageError`` for nobody."""
    found: list[smime.Trust] = [anchors_of(args)] if args.ca or args.system_email else []
    if ring is not None:
        found.append(ring)
    if not found:
        raise UsageError(
            "whom to believe? name --ca FILE or --system-email, or --pgp for your GnuPG keyring"
        )
    return found


def anchors_of(args: argparse.Namespace) -> smime.Anchors:
    """Load every --ca into one set of anchors, or the system's roots for e-mail."""
    if args.system_email:
        return smime.Anchors.system_email()
    first, *more = args.ca
    return _named(first, lambda name: smime.Anchors.load(name, *more), *more)


def proof_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what may prove an earlier moment, as the library takes it."""
    from datetime import UTC, datetime

    at = args.at or datetime.now(UTC)
    if args.received_at is not None and args.received_at > at:
        raise UsageError("--received-at is after the moment to judge at")
    tsa = None
    if args.tsa:
        first, *more = args.tsa
        tsa = _named(first, lambda name: smime.Anchors.load(name, *more), *more)
    return {"at": at, "received_at": args.received_at, "tsa": tsa}


def evidence_of(args: argparse.Namespace, certificates: Iterable[str] = ()) -> smime.Evidence:
    """Load every --crl and --ocsp, and these certificates; with --fetch, more when needed."""
    fetch = smime.HttpFetcher(allow_private=args.fetch == "private") if args.fetch else None

    def load(_: str) -> smime.Evidence:
        return smime.Evidence.load(
            certificates=certificates, crls=args.crl, ocsp=args.ocsp, fetch=fetch
        )

    return _named("", load, *certificates, *args.crl, *args.ocsp)


def vouching_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return whom to ask about the readers of -t, as the library takes it; nobody without --ca."""
    if not (args.ca or args.system_email):
        if args.crl or args.ocsp or args.revocation or args.fetch:
            raise UsageError(
                "--crl, --ocsp, --revocation and --fetch need --ca",
                hint="without --ca nobody is asked about the readers' certificates",
            )
        return {}
    # What stands beside a certificate in its file may lead to an anchor.
    files = [one for one in args.to if os.path.isfile(one)]
    return {"trust": anchors_of(args), "evidence": evidence_of(args, files)}


def tell_unverified(made: smime.Mail, args: argparse.Namespace, files: Files) -> None:
    """Say in one line for whom a mail was sealed without asking whose their keys are."""
    addresses = made.unverified
    if not addresses:
        return
    whom = ", ".join(addresses[:MAX_NAMED])
    if len(addresses) > MAX_NAMED:
        whom += f" and {len(addresses) - MAX_NAMED} more"
    if args.pgp or args.pgp_home is not None:
        files.tell(f"note: nobody was asked whose the OpenPGP keys are: {whom}")
    else:
        files.tell(f"note: nobody vouches for the certificates of {whom}; --ca FILE asks")


def refuse_to_overwrite(args: argparse.Namespace) -> None:
    """Refuse an output that is a file of keys or certificates of the same call."""
    output = args.output
    if output in {None, STANDARD} or not os.path.exists(output):
        return
    for option in ("identity", "certificate", "to", "ca", "tsa", "crl", "ocsp", "passphrase_file"):
        given = getattr(args, option, None) or []
        for name in [given] if isinstance(given, str) else given:
            if os.path.exists(name) and os.path.samefile(name, output):
                long = option.replace("_", "-")
                raise UsageError(f"-o {output} would overwrite the file given as --{long}")


def _named(name: str, load: Callable[[str], T], *more: str) -> T:
    try:
        return load(name)
    except SmimeError as problem:
        name_subject(problem, name, *more)
        raise
