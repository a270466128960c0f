"""``smimetool ca root ACTION``: a root that is never on a network, by files.

    root machine       ca root init DIR             a root, and nothing else
    issuing machine    ca root request DIR          a key, and the request for its certificate
    root machine       ca root sign-request FILE    the answer
    issuing machine    ca root accept FILE DIR      the CA is there
    root machine       ca root crl                  the list of CAs taken back
    root machine       ca root cross-certify CERT   who trusts this root believes another

Floor:  cli (uses ceremony and founding)
"""

from __future__ import annotations

import argparse
import contextlib
import os

from pki.cli import common, options
from pki.errors import NoAuthority

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from cryptography import x509

    from pki.authority import Authority
    from pki.keys import AnyKey
    from pki.token import Token

EXAMPLE = "smimetool ca root request club --name 'Chess Club CA (issuing)' -o request.pem"
REQUEST_KEY = "issuing.key.pem"
MAX_READ_OCTETS = 1_048_576  # a chain has its own limit below


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    one = options.action(
        actions,
        "init",
        "make a root alone, on a machine without a network",
        "smimetool ca root init club-root --name 'Chess Club Root'",
    )
    one.add_argument("dir", metavar="DIR", help="new or empty folder")
    one.add_argument("--name", required=True, help="name of the root, as readers see it")
    options.ca_key(one, "--key", "p384")
    options.domain(one, "let all CAs below certify only addresses at D")
    options.passphrase(one, "", "of the root's key")
    one.set_defaults(act=init)

    one = options.action(
        actions, "request", "make an issuing CA's key and the request for the root", EXAMPLE
    )
    one.add_argument("dir", metavar="DIR", help="new or empty folder of the CA to be")
    one.add_argument("--name", required=True, help="wished name of the issuing CA")
    options.ca_key(one, "--key", "p256")
    one.add_argument("-o", "--output", required=True, metavar="FILE", help="new file for the root")
    options.passphrase(one, "", "of the issuing CA's key")
    options.token(one)
    one.set_defaults(act=request)

    one = options.action(
        actions,
        "sign-request",
        "certify an issuing CA, on the root's machine",
        "smimetool ca root sign-request request.pem --root-dir club-root "
        "--name 'Chess Club CA (issuing)' --domain chess.example -o answer.pem",
    )
    one.add_argument("request", metavar="REQUEST", help="what `ca root request` made")
    one.add_argument(
        "--root-dir", required=True, metavar="DIR", help="folder with root.pem and its key"
    )
    one.add_argument(
        "--name", help="name of the issuing CA (asked for if not given: the wish is not taken)"
    )
    one.add_argument(
        "--kind",
        default="issuing",
        choices=("issuing", "issuing-multipurpose", "issuing-services", "sub-ca"),
        help="kind of CA (default: issuing, for mail)",
    )
    options.domain(one, "let it certify only addresses at D")
    one.add_argument(
        "--crl-url", metavar="URL", default="", help="where the root's revocation list will be"
    )
    one.add_argument("--ca-url", metavar="URL", default="", help="where root.cer will be")
    one.add_argument("-o", "--output", required=True, metavar="FILE", help="new file, the answer")
    options.passphrase(one, "", "of the root's key")
    one.set_defaults(act=sign_request)

    one = options.action(
        actions,
        "cross-certify",
        "certify another root's key: who trusts this root then believes it too",
        "smimetool ca root cross-certify go-root.pem --root-dir club-root --domain go.example "
        "-o cross.pem",
    )
    one.add_argument("certificate", metavar="CERT", help="the other root's certificate")
    one.add_argument(
        "--root-dir", required=True, metavar="DIR", help="folder with root.pem and its key"
    )
    one.add_argument(
        "--fingerprint",
        metavar="SHA256",
        help="of CERT, as its keeper said it by telephone (asked about if not given)",
    )
    options.domain(one, "believe it for addresses at D alone")
    one.add_argument(
        "--crl-url", metavar="URL", default="", help="where this root's revocation list will be"
    )
    one.add_argument("--ca-url", metavar="URL", default="", help="where root.cer will be")
    one.add_argument("-o", "--output", required=True, metavar="FILE", help="new file, PEM")
    options.passphrase(one, "", "of the root's key")
    one.set_defaults(act=cross_certify)

    one = options.action(
        actions,
        "crl",
        "sign the root's list of CAs that it took back",
        "smimetool ca root crl --root-dir club-root --revoke issuing.pem -o root.crl",
    )
    one.add_argument(
        "--root-dir", required=True, metavar="DIR", help="folder with root.pem and its key"
    )
    one.add_argument(
        "--revoke",
        action="append",
        default=[],
        metavar="CERT",
        help="certificate of a CA to take back; it stays on the list of this folder for good",
    )
    one.add_argument("-o", "--output", required=True, metavar="FILE", help="DER, written over")
    options.passphrase(one, "", "of the root's key")
    one.set_defaults(act=crl)

    one = options.action(
        actions,
        "accept",
        "take the root's answer: then the CA issues",
        "smimetool ca root accept answer.pem club --crl-url http://pki.chess.example/club.crl",
    )
    one.add_argument("answer", metavar="ANSWER", help="what the root's machine wrote")
    one.add_argument("dir", metavar="DIR", help="folder of `ca root request`")
    options.urls(one)
    options.passphrase(one, "", "of the CA's keys in files")
    options.token(one)
    one.set_defaults(act=accept)


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says."""
    status: int = arguments.act(arguments)
    return status


def init(arguments: argparse.Namespace) -> int:
    """Make root.pem and its key."""
    from pki.authority import Authority
    from pki.folder import refuse_existing, to_pem

    refuse_existing(arguments.dir)
    passphrase = common.agreed_passphrase(arguments, "Passphrase for the root's key")
    root = Authority.create(arguments.name, algorithm=arguments.key, domains=arguments.domain)
    files = {"root.pem": (to_pem(root.certificate), 0o644)}
    _fill(arguments.dir, files, {"root.key.pem": root.private_key}, passphrase)
    path = os.path.join(arguments.dir, "root.pem")
    if arguments.json:
        common.say_json({"root": path, **_facts(root.certificate)})
        return 0
    common.announce(f"{path}\n  give it to everybody who reads your users' mail")
    common.announce(f"SHA-256 fingerprint\n  {_facts(root.certificate)['sha256']}")
    return 0


def request(arguments: argparse.Namespace) -> int:
    """Make the key and the request."""
    from pki import ceremony
    from pki.folder import refuse_existing

    refuse_existing(arguments.dir)
    common.refuse_unwritable(arguments.output)
    if options.demand_token(arguments):
        with _token(arguments) as token:
            key = token.generate(arguments.token_key, arguments.key)
            _, pem = ceremony.ask(arguments.name, key=key)
        _fill(arguments.dir, {}, {}, "")
    else:
        passphrase = common.agreed_passphrase(arguments, "Passphrase for the CA's keys")
        key, pem = ceremony.ask(arguments.name, algorithm=arguments.key)
        _fill(arguments.dir, {}, {REQUEST_KEY: key}, passphrase)
    common.write_all([(arguments.output, pem, 0o644)])
    if arguments.json:
        common.say_json({"request": arguments.output, "folder": arguments.dir})
    else:
        common.announce(f"{arguments.output}\n  bring it to the root: `ca root sign-request`")
    return 0


def sign_request(arguments: argparse.Namespace) -> int:
    """Certify what a person saw and named."""
    from cryptography import x509

    from pki import ceremony

    common.refuse_unwritable(arguments.output)
    pem = _read(arguments.request)
    wished = ceremony.wished_name(pem)
    name = arguments.name
    if name is None:
        common.tell(f"the request asks for {wished}")
        name = common.ask("Name of the issuing CA: ", option="--name", needed=True)
    root = _root(arguments, crl_url=arguments.crl_url, ca_url=arguments.ca_url)
    answer = ceremony.certify(
        root, pem, name=name, profile=arguments.kind, domains=arguments.domain
    )
    common.write_all([(arguments.output, answer, 0o644)])
    made = x509.load_pem_x509_certificates(answer)[0]
    if arguments.json:
        common.say_json({"answer": arguments.output, "wished": wished, **_facts(made)})
    else:
        common.announce(f"{arguments.output}\n  bring it back: `ca root accept`")
    return 0


def cross_certify(arguments: argparse.Namespace) -> int:
    """Certify the key of another root, once a person saw that it is the right one."""
    from pki import ceremony
    from pki.errors import RequestRefused
    from pki.folder import to_pem

    common.refuse_unwritable(arguments.output)
    other = common.read_certificates(arguments.certificate)[0]
    facts = _facts(other)
    given = arguments.fingerprint
    if given is None:
        common.tell(f"{facts['subject']}\n  SHA-256 {facts['sha256']}")
        given = common.ask(
            "Its SHA-256 fingerprint, as its keeper says it: ", option="--fingerprint", needed=True
        )
    if given.replace(":", "").replace(" ", "").lower() != facts["sha256"]:
        raise RequestRefused(
            f"{arguments.certificate} has another fingerprint: {facts['sha256']}",
            hint="ask its keeper: this may be somebody else's certificate",
        )
    root = _root(arguments, crl_url=arguments.crl_url, ca_url=arguments.ca_url)
    made = ceremony.cross_certify(root, other, domains=arguments.domain)
    common.write_all([(arguments.output, to_pem(made), 0o644)])
    if arguments.json:
        common.say_json({"written": arguments.output, **_facts(made)})
    else:
        common.announce(f"{arguments.output}\n  for who trusts this root: it leads to the other")
    return 0


def crl(arguments: argparse.Namespace) -> int:
    """Sign the list; what was taken back before is on it again."""
    from cryptography.exceptions import InvalidSignature

    from pki.errors import RequestRefused
    from pki.files import write_over
    from pki.folder import to_pem

    root = _root(arguments)
    place = os.path.join(arguments.root_dir, "revoked")
    new = [common.read_certificates(path)[0] for path in arguments.revoke]
    for one in new:
        try:
            one.verify_directly_issued_by(root.certificate)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise RequestRefused("a certificate is of another root") from error
    for one in new:
        os.makedirs(place, exist_ok=True)
        path = os.path.join(place, f"{one.serial_number:x}.pem")
        if not os.path.exists(path):
            write_over(path, to_pem(one), mode=0o644)
    names = sorted(os.listdir(place)) if os.path.isdir(place) else []
    paths = [os.path.join(place, name) for name in names if name.endswith(".pem")]
    revoked = [common.read_certificates(path)[0] for path in paths]
    write_over(arguments.output, root.crl(*revoked), mode=0o644)
    if arguments.json:
        serials = [f"{one.serial_number:x}" for one in revoked]
        common.say_json({"written": arguments.output, "revoked": serials})
    else:
        common.announce(f"{arguments.output}\n  {len(revoked)} revoked; put it where they say")
    return 0


def _root(arguments: argparse.Namespace, crl_url: str = "", ca_url: str = "") -> Authority:
    """Open the root's key."""
    from pki.authority import Authority
    from pki.keys import passphrase_octets, unseal

    folder = arguments.root_dir
    certificate = common.read_certificates(os.path.join(folder, "root.pem"))[0]
    secret = common.given_or_asked(arguments, certificate.subject.rfc4514_string())
    key = unseal(_read(os.path.join(folder, "private", "root.key.pem")), passphrase_octets(secret))
    return Authority(key, certificate, crl_url=crl_url, ca_url=ca_url)


def accept(arguments: argparse.Namespace) -> int:
    """Check the answer, make the CA."""
    from pki import ceremony
    from pki.founding import Settings, found_below
    from pki.keys import passphrase_octets, unseal
    from pki.registrar import Registrar

    answer = _read(arguments.answer)
    private = os.path.join(arguments.dir, "private")
    path = os.path.join(private, REQUEST_KEY)
    in_token = options.demand_token(arguments)
    if not os.path.exists(private if in_token else path):
        raise NoAuthority(
            f"no request was made in {arguments.dir}", hint="`smimetool ca root request` makes one"
        )
    given = options.urls_of(arguments)
    with contextlib.ExitStack() as clean:
        if in_token:
            key = clean.enter_context(_token(arguments)).key(arguments.token_key)
            secret = common.agreed_passphrase(arguments, "Passphrase for the key of the log")
            names = ("token", "token_label", "token_key")
            given |= {name: getattr(arguments, name) for name in names}
        else:
            secret = common.given_or_asked(arguments, f"the key in {arguments.dir}")
            key = unseal(_read(path), passphrase_octets(secret))
        authority = ceremony.accept(
            key,
            answer,
            crl_url="" if "{" in given["crl_url"] else given["crl_url"],
            ca_url=given["ca_url"],
            ocsp_url=given["ocsp_url"],
        )
        settings = Settings(common.common_name(authority.certificate), **given)
        made = found_below(arguments.dir, settings, authority, passphrase=secret)
        with Registrar(*made) as ca:
            facts = ca.records.to_dict()
    if arguments.json:
        common.say_json(facts)
        return 0
    root = os.path.join(arguments.dir, "root.pem")
    common.announce(f"{root}\n  give it to everybody who reads your users' mail: --ca {root}")
    return 0


def _token(arguments: argparse.Namespace) -> Token:
    """Log in to the token."""
    from pki.token import Token

    given = common.given_passphrase(arguments.pin_passphrase_file, arguments.pin_passphrase_env)
    question = f"PIN of {arguments.token_label}: "
    pin = given or common.secret(question, "--pin-passphrase-file")
    return Token.open(arguments.token, label=arguments.token_label, pin=pin)


def _fill(
    folder: str, files: dict[str, tuple[bytes, int]], keys: dict[str, AnyKey], passphrase: str
) -> None:
    """Write a new folder with keys in it, all or nothing."""
    from pki.files import fill_new
    from pki.keys import passphrase_octets, seal

    sealed = {name: seal(key, passphrase_octets(passphrase)) for name, key in keys.items()}
    with fill_new(folder, sealed):
        for name, (data, mode) in files.items():
            common.write_all([(os.path.join(folder, name), data, mode)])


def _facts(certificate: x509.Certificate) -> dict[str, str]:
    from cryptography.hazmat.primitives.hashes import SHA256

    return {
        "subject": certificate.subject.rfc4514_string(),
        "until": f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        "sha256": certificate.fingerprint(SHA256()).hex(),
    }


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_READ_OCTETS)
