"""`openssl cms` and we read what the other one wrote: a table of cells, each both ways.

Every cell has its control: one letter changed, or another key or root, and it is refused.
"""

from __future__ import annotations

import base64
from itertools import product
from pathlib import Path

import pytest

import smime
from smime.errors import DecryptionFailed, SignatureRejected
from tests.interop.people import MOST, People, Person, make_people
from tests.support.peers import Peer

SIGNING_KEYS = ("rsa2048", "p256", "p384")
CIPHERS = ("aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm")
OURS_THEIRS, THEIRS_OURS = "ours -> openssl", "openssl -> ours"
TRANSPORTS = {"rsa-v15": "rsa2048", "rsa-oaep": "rsa2048", "ecdh": "p256"}
BODY = (
    b"Content-Type: text/plain; charset=us-ascii\r\n"
    b"\r\n"
    b"We meet at noon.\r\n"
    b"\r\n"
    b"  indented, and a last line without anything after it\r\n"
)

pytestmark = pytest.mark.peer("openssl")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return make_people(tmp_path_factory.mktemp("people"), (*SIGNING_KEYS, "p521"))


def mail_from(sender: Person, body: bytes = BODY) -> bytes:
    return b"From: %b\r\nTo: bob@example.org\r\nSubject: noon\r\nMIME-Version: 1.0\r\n%b" % (
        sender.address.encode(),
        body,
    )


def lf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def crlf(data: bytes) -> bytes:
    return lf(data).replace(b"\n", b"\r\n")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def cells(*axes: tuple[object, ...], row: str, named: tuple[int, ...]) -> list[object]:
    """Every combination, each in the row of the table that its ``named`` axes make."""
    return [
        pytest.param(
            *cell,
            marks=pytest.mark.cell("openssl", f"{row} {' '.join(str(cell[n]) for n in named)}"),
            id="-".join(str(value).replace(" ", "") for value in cell),
        )
        for cell in product(*axes)
    ]


# --- signatures ---------------------------------------------------------------


def theirs_signed(openssl: Peer, tmp: Path, signers: tuple[Person, ...], *options: str) -> bytes:
    """A mail signed by openssl as a person would at the command line."""
    who = [part for one in signers for part in ("-signer", str(one.cert), "-inkey", str(one.key))]
    chain = ("-certfile", tmp / "chain.pem") if (tmp / "chain.pem").exists() else ()
    return openssl.run(
        *("cms", "-sign", "-in", write(tmp / "letter", BODY), *who, *chain, *options),
        *("-from", signers[0].address, "-to", "bob@example.org", "-subject", "noon"),
    )


def openssl_verifies(
    openssl: Peer, tmp: Path, people: People, mail: bytes, *options: str | Path
) -> bytes | None:
    """What openssl says was signed, or None if it refuses."""
    done = openssl.attempt(
        *("cms", "-verify", "-in", write(tmp / "mail", mail), "-CAfile", people.root),
        *("-purpose", "smimesign", "-signer", tmp / "signers.pem", *options),
    )
    return None if done.returncode else done.stdout


@pytest.mark.parametrize(
    ("key", "form", "ends", "count", "direction"),
    cells(
        SIGNING_KEYS,
        ("detached", "opaque"),
        ("crlf", "lf"),
        (1, 3),
        (OURS_THEIRS, THEIRS_OURS),
        row="signed",
        named=(0, 1, 4),
    ),
)
@pytest.mark.confirms("{direction}", "signature:{key}")
def test_signatures(
    openssl: Peer,
    people: People,
    tmp_path: Path,
    key: str,
    form: str,
    ends: str,
    count: int,
    direction: str,
) -> None:
    signers = people.by_key[key][:count]
    as_stored = lf if ends == "lf" else crlf
    if direction == OURS_THEIRS:
        by = [one.identity for one in signers]
        mail = smime.sign(as_stored(mail_from(signers[0])), by=by, opaque=form == "opaque")
        received = as_stored(bytes(mail))

        content = openssl_verifies(openssl, tmp_path, people, received)

        assert content is not None
        assert crlf(content).endswith(BODY.partition(b"\r\n\r\n")[2])
        named = (tmp_path / "signers.pem").read_bytes()
        assert named.count(b"BEGIN CERTIFICATE") == count
        assert openssl_verifies(openssl, tmp_path, people, changed(received)) is None
        return

    (tmp_path / "chain.pem").write_bytes(people.intermediate.read_bytes())
    options = ["-nodetach"] * (form == "opaque") + ["-crlfeol"] * (ends == "crlf")
    received = theirs_signed(openssl, tmp_path, signers, *options)
    # -crlfeol gives CRLF to the MIME structure and not to all of the mail.
    received = as_stored(received)

    opened = smime.verify(received, trust=people.anchors)

    assert opened.signer == signers[0].address
    assert opened.content == BODY
    assert len(opened.report.signatures) == count
    assert [check.signer for check in opened.report.signatures if check.good]
    assert {check.signer for check in opened.report.signatures} == {s.address for s in signers}
    for bad, trust in ((changed(received), people.anchors), (received, people.other_anchors)):
        with pytest.raises((SignatureRejected, smime.MalformedMail)):
            smime.verify(bad, trust=trust)


def changed(mail: bytes) -> bytes:
    """Change one letter of what was signed."""
    if b"at noon" in mail:
        return mail.replace(b"at noon", b"at moon")
    head, blank, body = mail.partition(b"\n\n" if b"\n\n" in mail else b"\r\n\r\n")
    opaque = base64.b64decode(body)
    assert b"at noon" in opaque
    return head + blank + base64.encodebytes(opaque.replace(b"at noon", b"at moon"))


# --- encryption ---------------------------------------------------------------

POLICY = smime.Policy.modern()


@pytest.mark.parametrize(
    ("transport", "cipher", "count", "direction"),
    cells(
        tuple(TRANSPORTS),
        CIPHERS,
        (1, MOST),
        (OURS_THEIRS, THEIRS_OURS),
        row="sealed",
        named=(0, 3),
    ),
)
@pytest.mark.confirms("{direction}", "recipient:{transport}", "cipher:{cipher}")
def test_encryption(
    openssl: Peer,
    people: People,
    tmp_path: Path,
    transport: str,
    cipher: str,
    count: int,
    direction: str,
) -> None:
    """Every recipient opens it, and somebody else does not."""
    everybody = people.by_key[TRANSPORTS[transport]]
    readers, stranger = everybody[:count], people.by_key["p384"][0]
    mail = mail_from(people.by_key["p256"][0])
    if direction == OURS_THEIRS:
        oaep = "rsa-oaep" if transport == "rsa-oaep" else "rsa-v15"
        sealed = smime.encrypt(
            mail,
            to=[one.identity.recipient for one in readers],
            policy=POLICY.replace(cipher=cipher, key_transport=oaep),
        )
        for reader in readers:
            opened = openssl_opens(openssl, tmp_path, reader, bytes(sealed))
            assert opened is not None
            assert opened.endswith(BODY.partition(b"\r\n\r\n")[2])
        assert openssl_opens(openssl, tmp_path, stranger, bytes(sealed)) is None
        return

    sealed_theirs = theirs_sealed(openssl, tmp_path, readers, cipher, transport)

    for reader in readers:
        got = smime.decrypt(sealed_theirs, keys=reader.identity, trust=smime.NoTrust())
        assert got.content == BODY
        (layer,) = got.report.layers
        assert layer.algorithm.lower() == cipher
        assert layer.authenticated is cipher.endswith("gcm")
        assert len(layer.recipients) == count
    with pytest.raises(DecryptionFailed):
        smime.decrypt(sealed_theirs, keys=stranger.identity, trust=smime.NoTrust())


def theirs_sealed(
    openssl: Peer,
    tmp: Path,
    readers: tuple[Person, ...],
    cipher: str,
    transport: str,
    *options: str,
) -> bytes:
    to: list[str | Path] = []
    for one in readers:
        to += ["-recip", one.cert]
        if transport == "rsa-oaep":
            to += ["-keyopt", "rsa_padding_mode:oaep"]
    return openssl.run(
        *("cms", "-encrypt", f"-{cipher}", "-in", write(tmp / "letter", BODY), *options, *to),
        *("-from", "alice@example.org", "-to", "bob@example.org", "-subject", "noon"),
    )


def openssl_opens(openssl: Peer, tmp: Path, reader: Person, mail: bytes) -> bytes | None:
    done = openssl.attempt(
        *("cms", "-decrypt", "-in", write(tmp / "mail", mail)),
        *("-recip", reader.cert, "-inkey", reader.key),
    )
    return None if done.returncode else done.stdout


# --- forms that one of the two writes on request --------------------------------


@pytest.mark.cell("openssl", "forms openssl -> ours")
@pytest.mark.parametrize("form", ["detached", "opaque"])
@pytest.mark.parametrize(
    "options", [("-stream",), ("-keyid",), ("-stream", "-keyid")], ids=" ".join
)
def test_ber_and_key_identifiers(
    openssl: Peer, people: People, tmp_path: Path, form: str, options: tuple[str, ...]
) -> None:
    """-stream writes BER of indefinite length, -keyid names the signer by its key."""
    (tmp_path / "chain.pem").write_bytes(people.intermediate.read_bytes())
    signers = people.by_key["p256"][:1]
    nodetach = ("-nodetach",) if form == "opaque" else ()

    received = theirs_signed(openssl, tmp_path, signers, *options, *nodetach)

    assert smime.verify(received, trust=people.anchors).content == BODY
    with pytest.raises((SignatureRejected, smime.MalformedMail)):
        smime.verify(changed(received), trust=people.anchors)


@pytest.mark.cell("openssl", "forms openssl -> ours")
@pytest.mark.parametrize(
    "options", [("-stream",), ("-keyid",), ("-stream", "-keyid")], ids=" ".join
)
@pytest.mark.parametrize("transport", list(TRANSPORTS))
@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
def test_sealed_ber_and_key_identifiers(
    openssl: Peer,
    people: People,
    tmp_path: Path,
    transport: str,
    cipher: str,
    options: tuple[str, ...],
) -> None:
    readers = people.by_key[TRANSPORTS[transport]][:2]

    sealed = theirs_sealed(openssl, tmp_path, readers, cipher, transport, *options)

    for reader in readers:
        opened = smime.decrypt(sealed, keys=reader.identity, trust=smime.NoTrust())
        assert opened.content == BODY


@pytest.mark.cell("openssl", "forms openssl -> ours")
def test_readers_of_both_kinds_in_one_mail(openssl: Peer, people: People, tmp_path: Path) -> None:
    readers = (*people.by_key["rsa2048"][:2], *people.by_key["p256"][:2], people.by_key["p384"][0])

    sealed = theirs_sealed(openssl, tmp_path, readers, "aes-256-cbc", "rsa-v15")

    for reader in readers:
        opened = smime.decrypt(sealed, keys=reader.identity, trust=smime.NoTrust())
        assert opened.content == BODY


@pytest.mark.cell("openssl", "forms ours -> openssl")
@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
def test_our_mail_for_readers_of_both_kinds(
    openssl: Peer, people: People, tmp_path: Path, cipher: str
) -> None:
    readers = (*people.by_key["rsa2048"][:2], *people.by_key["p256"][:2], people.by_key["p384"][0])

    sealed = smime.encrypt(
        mail_from(readers[0]),
        to=[one.identity.recipient for one in readers],
        policy=POLICY.replace(cipher=cipher),
    )

    for reader in readers:
        assert openssl_opens(openssl, tmp_path, reader, bytes(sealed)) is not None


@pytest.mark.cell("openssl", "forms openssl -> ours")
def test_the_certificate_may_come_as_evidence(
    openssl: Peer, people: People, tmp_path: Path
) -> None:
    """With -nocerts the mail names its signer, and the certificate is found elsewhere."""
    signer = people.by_key["rsa2048"][0]
    received = theirs_signed(openssl, tmp_path, (signer,), "-nocerts")
    known = [signer.identity.certificate, *signer.identity.chain]

    opened = smime.verify(
        received, trust=people.anchors, evidence=smime.Evidence(certificates=known)
    )

    assert opened.signer == signer.address
    with pytest.raises(SignatureRejected) as refused:
        smime.verify(received, trust=people.anchors)
    assert not any(check.good for check in refused.value.report.signatures)


@pytest.mark.cell("openssl", "forms openssl -> ours")
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("key", [*SIGNING_KEYS, "p521"])
@pytest.mark.confirms("theirs", "signature:{key}", "digest:{digest}")
def test_digests(openssl: Peer, people: People, tmp_path: Path, key: str, digest: str) -> None:
    (tmp_path / "chain.pem").write_bytes(people.intermediate.read_bytes())

    received = theirs_signed(openssl, tmp_path, people.by_key[key][:1], "-md", digest)

    (check,) = smime.verify(received, trust=people.anchors).report.signatures
    assert check.digest_algorithm.replace("-", "") == digest


@pytest.mark.cell("openssl", "forms ours -> openssl")
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("key", [*SIGNING_KEYS, "p521"])
@pytest.mark.confirms("ours", "signature:{key}", "digest:{digest}")
def test_our_digests(openssl: Peer, people: People, tmp_path: Path, key: str, digest: str) -> None:
    signer = people.by_key[key][0]

    signed = smime.sign(mail_from(signer), by=signer.identity, policy=POLICY.replace(digest=digest))

    assert openssl_verifies(openssl, tmp_path, people, bytes(signed)) is not None
    assert openssl_verifies(openssl, tmp_path, people, changed(bytes(signed))) is None


@pytest.mark.cell("openssl", "forms openssl -> ours")
@pytest.mark.parametrize("key", ["p256", "p384", "p521"])
@pytest.mark.parametrize("kdf", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.confirms("theirs", "recipient:{key}", "agreement:x963-{kdf}")
def test_key_agreement_digests(
    openssl: Peer, people: People, tmp_path: Path, key: str, kdf: str
) -> None:
    (reader, *_) = people.by_key[key]
    sealed = openssl.run(
        *("cms", "-encrypt", "-aes-256-cbc", "-in", write(tmp_path / "letter", BODY)),
        *("-recip", reader.cert, "-keyopt", f"ecdh_kdf_md:{kdf}"),
    )

    opened = smime.decrypt(sealed, keys=reader.identity, trust=smime.NoTrust())

    assert opened.content == BODY


@pytest.mark.cell("openssl", "forms openssl -> ours")
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_oaep_digests(openssl: Peer, people: People, tmp_path: Path, digest: str) -> None:
    (reader, *_) = people.by_key["rsa2048"]
    oaep = f"rsa_padding_mode:oaep -keyopt rsa_oaep_md:{digest} -keyopt rsa_mgf1_md:{digest}"
    sealed = openssl.run(
        *("cms", "-encrypt", "-aes-256-cbc", "-in", write(tmp_path / "letter", BODY)),
        *("-recip", reader.cert, "-keyopt"),
        *oaep.split(),
    )

    opened = smime.decrypt(sealed, keys=reader.identity, trust=smime.NoTrust())

    assert opened.content == BODY


@pytest.mark.cell("openssl", "forms ours -> openssl")
@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
def test_protected_mail_opens_and_verifies(
    openssl: Peer, people: People, tmp_path: Path, cipher: str
) -> None:
    """What protect() makes is two layers, and the command takes off one after the other."""
    alice, bob = people.by_key["p256"][0], people.by_key["rsa2048"][0]
    policy = POLICY.replace(cipher=cipher)
    mail = smime.protect(mail_from(alice), by=alice.identity, to=bob.identity, policy=policy)

    for reader in (alice, bob):
        inside = openssl_opens(openssl, tmp_path, reader, bytes(mail))
        assert inside is not None
        content = openssl_verifies(openssl, tmp_path, people, inside)
        assert content is not None
        assert b"Subject: noon" in content


@pytest.mark.cell("openssl", "forms ours -> openssl")
def test_binary_mode(openssl: Peer, people: People, tmp_path: Path) -> None:
    """An entity signed as it is keeps its bytes, line ends and all, under -binary."""
    signer = people.by_key["rsa2048"][0]
    entity = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    entity += bytes(range(256))
    signed = smime.sign(entity, by=signer.identity, opaque=True, policy=smime.Policy.as2())

    assert openssl_verifies(openssl, tmp_path, people, bytes(signed), "-binary") == entity


@pytest.mark.cell("openssl", "forms ours -> openssl")
@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("key", ["p384", "p521"])
@pytest.mark.confirms("ours", "recipient:{key}")
def test_larger_curves(
    openssl: Peer, people: People, tmp_path: Path, key: str, cipher: str
) -> None:
    (reader, *_) = people.by_key[key]

    sealed = smime.encrypt(
        mail_from(reader), to=reader.identity, policy=POLICY.replace(cipher=cipher)
    )

    assert openssl_opens(openssl, tmp_path, reader, bytes(sealed)) is not None
