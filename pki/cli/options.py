"""Options that several commands of ``smimetool ca`` have, and what is read from them.

Floor:  cli
"""

from __future__ import annotations

import argparse

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from pki.profiles import Profile


def passphrase(
    parser: argparse.ArgumentParser, prefix: str, whose: str
) -> argparse._MutuallyExclusiveGroup:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        f"--{prefix}passphrase-file", metavar="F", help=f"first line of F is the passphrase {whose}"
    )
    group.add_argument(
        f"--{prefix}passphrase-env", metavar="V", help=f"variable V is the passphrase {whose}"
    )
    return group


def ca(parser: argparse.ArgumentParser, *, key: bool = True) -> None:
    """Add the options that name the CA and, for those that open it, its passphrase."""
    parser.add_argument("--ca-dir", metavar="DIR", help="folder of the CA, if not found here")
    if key:
        passphrase(parser, "", "of the CA's keys")


def json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="say it as JSON")


def key(parser: argparse.ArgumentParser, default: str, about: str) -> None:
    """Add --key: the kinds that sign; those that only sign get a second one that reads."""
    from pki.keys import PAIRS

    parser.add_argument(
        "--key",
        choices=tuple(PAIRS),
        default=default,
        metavar="KIND",
        help=f"{', '.join(PAIRS)} (default: {about})",
    )


def ca_key(parser: argparse.ArgumentParser, name: str, default: str) -> None:
    """Add the option for the kind of a CA's own key."""
    from pki.keys import CA_ALGORITHMS

    parser.add_argument(
        name,
        choices=tuple(CA_ALGORITHMS),
        default=default,
        metavar="KIND",
        help=f"{', '.join(CA_ALGORITHMS)}" + (f" (default: {default})" if default else ""),
    )


def token(parser: argparse.ArgumentParser) -> None:
    """Add the options of a CA whose key is in a PKCS#11 token."""
    parser.add_argument("--token", metavar="MODULE", help="PKCS#11 module, for a key in a token")
    parser.add_argument("--token-label", metavar="L", help="label of the token")
    parser.add_argument(
        "--token-key", metavar="L", default="issuing", help="label of the key (default: issuing)"
    )
    passphrase(parser, "pin-", "of the token")


def demand_token(arguments: argparse.Namespace) -> bool:
    """Say whether a token is named, whole."""
    if bool(arguments.token) != bool(arguments.token_label):
        arguments.refuse("--token and --token-label go together")
    return bool(arguments.token)


def domain(parser: argparse.ArgumentParser, about: str) -> None:
    """Add --domain."""
    parser.add_argument(
        "--domain",
        action="append",
        default=[],
        metavar="D",
        help=f"{about} (.D: below D); may be repeated",
    )


def urls(parser: argparse.ArgumentParser, *, asked: bool = False) -> None:
    """Add what is written into every certificate, and where the ledger is."""
    none = None if asked else ""
    parser.add_argument(
        "--crl-url",
        metavar="URL",
        default=none,
        help="where its revocation list will be; {shard} and {profile} make several lists",
    )
    parser.add_argument(
        "--ca-url", metavar="URL", default=none, help="where issuing.pem will be, as DER"
    )
    parser.add_argument(
        "--ocsp-url", metavar="URL", default=none, help="where OCSP requests will be answered"
    )
    parser.add_argument("--delta-url", metavar="URL", default="", help="where delta lists will be")
    parser.add_argument(
        "--shards", type=int, default=1, metavar="N", help="how many lists {shard} makes"
    )
    parser.add_argument(
        "--ledger", metavar="URL", default="", help="keep the records in PostgreSQL, not in a file"
    )


def urls_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Give these as ``Registrar.create`` takes them."""
    return {
        "crl_url": arguments.crl_url or "",
        "ca_url": arguments.ca_url or "",
        "ocsp_url": arguments.ocsp_url or "",
        "delta_url": arguments.delta_url,
        "shards": arguments.shards,
        "ledger_url": arguments.ledger,
    }


def profile(parser: argparse.ArgumentParser, default: str = "mailbox") -> None:
    """Add --profile."""
    parser.add_argument(
        "--profile",
        default=default,
        metavar="P",
        help="kind of certificate: a name, also of profiles/P.toml in the CA's folder, or "
        f"FILE.toml (default: {default})",
    )


def profile_of(given: str) -> str | Profile:
    """Give a profile's name as it is, and read one from a file."""
    if given.endswith(".toml"):
        from pki.profiles import Profile

        return Profile.load(given)
    return given


def days(parser: argparse.ArgumentParser) -> None:
    """Add --days."""
    parser.add_argument("--days", type=int, metavar="N", help="lifetime (default: the profile's)")


def subject(parser: argparse.ArgumentParser) -> None:
    """Add --name, and --subject for what else a certificate says of its holder."""
    from pki.names import ATTRIBUTES

    fields = ", ".join(field for field in ATTRIBUTES if field != "common_name")
    parser.add_argument("--name", default="", help="the user's name")
    parser.add_argument(
        "--subject",
        action="append",
        default=[],
        metavar="FIELD=TEXT",
        help=f"what else the certificate says, where its profile has it: {fields}",
    )


def subject_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read what --subject says."""
    from pki.names import ATTRIBUTES

    found = {}
    for given in arguments.subject:
        field, sign, text = given.partition("=")
        if not sign or field not in ATTRIBUTES or field == "common_name":
            arguments.refuse(f"--subject {given} is not like organization=Example")
        found[field] = text
    return found


def keep(parser: argparse.ArgumentParser) -> None:
    """Add --keep and --no-keep."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--keep",
        action="store_true",
        default=None,
        help="fail unless a sealed copy of the reading key is kept (default: if there are "
        "recovery agents)",
    )
    group.add_argument(
        "--no-keep", dest="keep", action="store_false", help="keep no copy of any key"
    )


def identity(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the keys of recovery agents."""
    parser.add_argument(
        "-i",
        "--identity",
        action="append",
        required=True,
        metavar="AGENT.p12",
        help="key of a recovery agent; once for each",
    )
    parser.add_argument(
        "--identity-passphrase-file",
        action="append",
        default=[],
        metavar="F",
        help="first line of F is the passphrase; once for each -i, in their order",
    )


def action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    about: str,
    example: str,
) -> argparse.ArgumentParser:
    """Add an action of a command that has several; it has --json and its own example."""
    parser = actions.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"example:\n  {example}",
    )
    json(parser)
    parser.set_defaults(refuse=parser.error)
    return parser
