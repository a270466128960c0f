"""Autocrypt: keys that travel with mail, in header fields and in a setup message.

What comes so is a key that somebody sent: it says to whom mail may be sealed, and
nothing of whose it is. So nothing here puts a key into a keyring; the caller does.

Floor:  autocrypt (uses pgp, mime, mail)
Source: Autocrypt Level 1, §2.1 for the field, §4 for gossip, §5.3 for the setup message
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pybase64 import b64decode, b64encode

from smime.errors import DecryptionFailed, KeyProblem, MalformedMail
from smime.keys.address import same_address
from smime.mail import Mail
from smime.mime.addresses import addresses
from smime.mime.entity import split_entity
from smime.mime.multipart import boundary_of, cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smime.mail import Source
    from smime.mime.entity import Entity
    from smime.opened import Opened
    from smime.pgp import PgpKey, PgpKeyring

__all__ = [
    "Announced",
    "add_gossip",
    "announce",
    "announced",
    "gossip",
    "read_setup",
    "write_setup",
]

MAX_FIELDS = 100  # of gossip that are looked at; a mail with more readers has no use for them
MAX_SETUP_OCTETS = 1 << 20  # of a setup message; a key is some thousand
_LINE = 76
_KNOWN = frozenset({"addr", "keydata", "prefer-encrypt"})
_BLOCK = re.compile(
    rb"-----BEGIN PGP (MESSAGE|PRIVATE KEY BLOCK)-----.*?-----END PGP \1-----", re.DOTALL
)
_CODE_BLOCKS, _CODE_DIGITS = 9, 4


@dataclass(frozen=True, slots=True)
class Announced:
    """A key that a mail announces for an address."""

    address: str
    keydata: bytes = field(repr=False)
    """The public key as packets, as it came: it may name anybody."""
    mutual: bool = False
    """The owner wishes that mail is sealed (``prefer-encrypt=mutual``)."""

    def add_to(self, ring: PgpKeyring) -> PgpKey:
        """Put the key into a keyring, cut down to the user ID with this address; return it.

        So nobody brings in a key for another. Raises ``KeyProblem``, whose ``missing`` is
        the address, if the key does not name it.
        """
        from smime.pgp.certs import for_address

        octets = for_address(self.keydata, self.address)
        if not octets:
            raise KeyProblem(
                f"what is announced for {self.address} is no key with that address",
                missing=(self.address,),
            )
        return ring.add(octets)[0]


def announced(mail: Source) -> Announced | None:
    """Return the key that the sender of a mail announces; None if there is not exactly one.

    The field counts if it is well formed, has no attribute that is critical and not
    known, and names the mail's one From (§2.1). Whether the key is one, the keyring says.
    """
    entity = split_entity(bytes(mail if isinstance(mail, Mail) else Mail(mail)))
    senders = addresses(entity, "from")
    if len(senders) != 1:
        return None
    found = [
        one
        for text in entity.get_all("autocrypt")
        if (one := _read(text)) is not None and same_address(one.address, senders[0])
    ]
    return found[0] if len(found) == 1 else None


def gossip(opened: Opened) -> tuple[Announced, ...]:
    """Return the keys of other readers that an encrypted mail announces inside (§4).

    Only for addresses in its To, Cc and Reply-To; of several for one address none.
    What stands outside of the encryption is not looked at.
    """
    if not opened.encrypted:
        return ()
    inside = split_entity(opened.content)
    named = [
        address
        for source in (inside, split_entity(bytes(opened.mail)))
        for name in ("to", "cc", "reply-to")
        for address in addresses(source, name)
    ]
    found = [
        one
        for text in inside.get_all("autocrypt-gossip")[:MAX_FIELDS]
        if (one := _read(text)) is not None
        and any(same_address(one.address, other) for other in named)
    ]
    return tuple(
        one
        for one in found
        if sum(same_address(one.address, other.address) for other in found) == 1
    )


def announce(mail: Source, key: PgpKey, *, mutual: bool = False) -> Mail:
    """Return the mail with a field that announces the sender's key.

    The key is cut down to what is needed to write to its owner. Raises ``KeyProblem``
    if it does not name the mail's one From, or cannot be written to.
    """
    source = mail if isinstance(mail, Mail) else Mail(mail)
    entity = split_entity(bytes(source))
    senders = addresses(entity, "from")
    if len(senders) != 1 or not any(same_address(senders[0], one) for one in key.addresses):
        raise KeyProblem(f"{key!r} does not name the one sender of this mail")
    return _with(source, entity, [_field("Autocrypt", senders[0], key, mutual)], "autocrypt")


def add_gossip(mail: Source, keys: Iterable[PgpKey]) -> Mail:
    """Return the mail with a field for the key of each of several readers (§4).

    Seal it with ``Policy.replace(hidden={"Autocrypt-Gossip"})``: then the fields stand
    inside alone, so that readers can answer each other.
    """
    source = mail if isinstance(mail, Mail) else Mail(mail)
    entity = split_entity(bytes(source))
    readers = [*addresses(entity, "to"), *addresses(entity, "cc")]
    made = [
        _field("Autocrypt-Gossip", reader, key, False)
        for key in keys
        for reader in readers
        if any(same_address(reader, one) for one in key.addresses)
    ]
    return _with(source, entity, made, "autocrypt-gossip")


def write_setup(key: PgpKey, *, mutual: bool = False) -> tuple[Mail, str]:
    """Return a mail to oneself with the secret key in it, and the code that opens it (§5.3).

    Show the code to the user, and send it nowhere. The key itself is not locked in it.
    Raises ``KeyProblem`` if it is not one's own, or locked with an unknown passphrase;
    ``NotSupported`` without GnuPG.
    """
    ring, own = key.keyring, key.addresses[0] if key.addresses else ""
    if not own:
        raise KeyProblem(f"{key!r} names no address to send it to")
    with type(ring)(
        ring.export(key, secret=True), passphrase=key.passphrase(), engine="gnupg"
    ) as copy:
        bare = copy.change_passphrase(copy.key(key.fingerprint), None)
        armour = copy.export(bare, secret=True)
        preference = b"mutual" if mutual else b"nopreference"
        first, _, rest = armour.partition(b"\r\n")
        inside = first + b"\r\nAutocrypt-Prefer-Encrypt: " + preference + b"\r\n" + rest
        code = "-".join(
            f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}" for _ in range(_CODE_BLOCKS)
        )
        sealed = copy.gnupg.seal(inside, passphrase=[code.encode()])
    begin, _, rest = sealed.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").partition(b"\r\n")
    format_lines = b"Passphrase-Format: numeric9x4\r\nPassphrase-Begin: " + code[:2].encode()
    block = begin + b"\r\n" + format_lines + b"\r\n" + rest
    return Mail._made(_setup_mail(own, block), recipients=(own,)), code


def read_setup(mail: Source, code: str, ring: PgpKeyring) -> tuple[bytes, bool]:
    """Return the secret key in a setup message, as armour, and whether it is ``mutual``.

    ``code`` may be written in any way: its digits count. ``ring`` lends its engine.
    Raises ``MalformedMail`` for what is no setup message, ``DecryptionFailed`` for a
    wrong code.
    """
    from smime.pgp.packets import read_message, read_sealed

    entity = split_entity(bytes(mail if isinstance(mail, Mail) else Mail(mail)))
    if entity.get("autocrypt-setup-message") != "v1":
        raise MalformedMail("this is no Autocrypt setup message")
    digits = re.sub(r"[^0-9]", "", code)
    if len(digits) != _CODE_BLOCKS * _CODE_DIGITS:
        raise DecryptionFailed("a setup code has 36 digits")
    parts = [digits[at : at + _CODE_DIGITS] for at in range(0, len(digits), _CODE_DIGITS)]
    sealed = read_sealed(_setup_block(entity))
    opened = ring.engine.decrypt(sealed, (), passphrase="-".join(parts).encode())
    content = opened.content
    if content[:1] >= b"\x80":
        content = read_message(content).content
    match = _BLOCK.search(content)
    if match is None or match[1] != b"PRIVATE KEY BLOCK":
        raise MalformedMail("the setup message holds no secret key")
    head = match[0].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    return match[0], b"\nAutocrypt-Prefer-Encrypt: mutual" in head


# --- the field --------------------------------------------------------------------


def _read(text: str) -> Announced | None:
    """Read the attributes of a field; None where it is to be ignored."""
    attributes: dict[str, str] = {}
    for one in text.split(";"):
        name, sign, value = one.partition("=")
        name = name.strip().lower()
        if not name and not sign:
            continue
        if not sign or name in attributes:
            return None
        if name not in _KNOWN and not name.startswith("_"):
            return None  # critical, and not known
        attributes[name] = value.strip()
    address, data = attributes.get("addr", ""), attributes.get("keydata", "")
    try:
        keydata = b64decode("".join(data.split()).encode("ascii"), validate=True)
    except ValueError:
        return None
    if not address or keydata[:1] < b"\x80":
        return None
    return Announced(address, keydata, attributes.get("prefer-encrypt") == "mutual")


def _field(name: str, address: str, key: PgpKey, mutual: bool) -> bytes:
    text = b64encode(_minimal(key, address)).decode("ascii")
    width = _LINE - 1
    lines = [" " + text[at : at + width] for at in range(0, len(text), width)]
    preference = " prefer-encrypt=mutual;" if mutual else ""
    return "\r\n".join([f"{name}: addr={address};{preference} keydata=", *lines, ""]).encode()


def _minimal(key: PgpKey, address: str) -> bytes:
    """Return the key with one user ID and the one subkey to write to (§2.1.1)."""
    from smime.pgp.certs import only_subkey, only_user_id
    from smime.pgp.packets import dearmor_keys
    from smime.policy import moment

    subkey = key.facts.encrypts_at(moment(None))
    if subkey is None:
        raise KeyProblem(f"{key!r} cannot be written to", missing=key.addresses)
    octets = only_subkey(dearmor_keys(key.keyring.export(key)), subkey.fingerprint)
    named = [one.text for one in key.facts.user_ids if same_address(one.address, address)]
    return only_user_id(octets, named[0]) if named else octets


def _with(source: Mail, entity: Entity, made: list[bytes], key: str) -> Mail:
    """Put fields behind those that are there, instead of earlier ones of that name."""
    kept = b"".join([one.raw for one in entity.fields if one.key != key])
    line_end = b"\r\n" if b"\r\n" in entity.header_block or not kept else b"\n"
    fields = b"".join(made).replace(b"\r\n", line_end)
    return source._changed(kept + fields + line_end + entity.body)


# --- the setup message -----------------------------------------------------------------


def _setup_mail(address: str, block: bytes) -> bytes:
    boundary = b"setup-" + os.urandom(16).hex().encode()
    name = address.encode()
    text = (
        b"This message holds all that is needed to move your Autocrypt settings and your secret\r\n"
        b"key to another mail program. Keep it, and keep its code elsewhere.\r\n"
    )
    return b"".join(
        (
            b"From: " + name + b"\r\nTo: " + name + b"\r\n",
            b"Subject: Autocrypt Setup Message\r\nAutocrypt-Setup-Message: v1\r\n",
            b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="' + boundary + b'"\r\n',
            b"\r\n--" + boundary + b"\r\nContent-Type: text/plain\r\n\r\n" + text,
            b"\r\n--" + boundary + b"\r\nContent-Type: application/autocrypt-setup\r\n",
            b'Content-Disposition: attachment; filename="autocrypt-setup-message.html"\r\n\r\n',
            b"<html><body>\r\n<p>This is the Autocrypt setup file of "
            + name
            + b".</p>\r\n<pre>\r\n",
            block,
            b"\r\n</pre></body></html>\r\n",
            b"\r\n--" + boundary + b"--\r\n",
        )
    )


def _setup_block(entity: Entity) -> bytes:
    """Return the armour in the one part of a setup message that has it."""
    if len(entity.raw) > MAX_SETUP_OCTETS or not entity.content_type.value.startswith("multipart/"):
        raise MalformedMail("this is no Autocrypt setup message, or too large for one")
    body = entity.body
    found = []
    for start, end in cut(body, boundary_of(entity)).spans:
        part = split_entity(body[start:end] or b"\r\n")
        if part.content_type.value == "application/autocrypt-setup":
            found += [one[0] for one in _BLOCK.finditer(part.decoded()) if one[1] == b"MESSAGE"]
    if len(found) != 1:
        raise MalformedMail("a setup message has one sealed part")
    return found[0]
