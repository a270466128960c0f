"""Kept keys: opened by those who may, by nobody else, and never a key that signs."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from pki import escrow, keys
from pki.authority import halves, identity_of, new_serial
from tests.support.peers import Peer

AT = datetime.now(UTC).replace(microsecond=0)  # sealing is for certificates of today
LETTER = b"From: bob@example.org\r\nTo: alice@example.org\r\nSubject: hi\r\n\r\nhi\r\n"


@dataclass(frozen=True)
class House:
    ca: pki.Authority
    agents: dict[str, smime.Identity]
    key: object
    certificate: object

    def seal(self, *names: str, threshold: int = 1) -> bytes:
        agents = [self.agents[name].recipient.certificate for name in names]
        return escrow.seal(self.key, self.certificate, agents=agents, threshold=threshold, at=AT)


@pytest.fixture(scope="module")
def house() -> House:
    ca = pki.Authority.create("Test CA", at=AT)
    kinds = {"ann": "rsa2048", "ben": "p256", "cem": "p384"}
    agents = {
        name: ca.issue(f"{name}@example.org", algorithm=kind, at=AT) for name, kind in kinds.items()
    }
    _, (half, kind) = halves(pki.Profile.named("mailbox"), "rsa2048", pair=True)
    key = keys.generate(kind)
    request = pki.CertificationRequest(key.public_key(), ["alice@example.org"])
    return House(ca, agents, key, ca.certify(request, profile=half, serial=new_serial(), at=AT))


@pytest.mark.parametrize("name", ["ann", "ben", "cem"])
def test_each_agent_alone_opens_what_takes_one(house: House, name: str) -> None:
    record = house.seal("ann", "ben", "cem")

    found = escrow.recover(record, keys=house.agents[name])

    assert found.certificate == house.certificate
    assert found.key.private_numbers() == house.key.private_numbers()
    assert (found.subject, found.at) == ("alice@example.org", AT)


@pytest.mark.parametrize("pair", [("ann", "ben"), ("ann", "cem"), ("cem", "ben")])
def test_two_agents_open_what_takes_two(house: House, pair: tuple[str, str]) -> None:
    record = house.seal("ann", "ben", "cem", threshold=2)

    found = escrow.recover(record, keys=[house.agents[name] for name in pair])

    assert found.key.private_numbers() == house.key.private_numbers()


@pytest.mark.parametrize("name", ["ann", "ben", "cem"])
def test_no_agent_alone_opens_what_takes_two(house: House, name: str) -> None:
    record = house.seal("ann", "ben", "cem", threshold=2)
    agent = house.agents[name]

    with pytest.raises(smime.DecryptionFailed):
        escrow.recover(record, keys=agent)
    with pytest.raises(smime.DecryptionFailed):
        escrow.recover(record, keys=[agent, agent])
    with pytest.raises(smime.DecryptionFailed):
        escrow.recover(
            record,
            keys=agent,
            handed_over=[escrow.hand_over(record, keys=agent, to=agent.recipient.certificate)],
        )


def test_nothing_of_the_key_is_in_what_one_agent_opens(house: House) -> None:
    """All that one agent can open, put together, holds no piece of the key."""
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    record = house.seal("ann", "ben", "cem", threshold=2)
    plain = house.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    _, blobs = escrow._parse(record)
    shares = [share for _, _, share in escrow._shares(blobs, house.agents["ann"])]

    assert len(shares) == 2
    pieces = [plain[n : n + 8] for n in range(len(plain) - 8)]
    for opened in (*shares, bytes(a ^ b for a, b in zip(*shares, strict=True))):
        assert not any(piece in opened for piece in pieces)


def test_an_agent_who_is_elsewhere_hands_over(house: House) -> None:
    record = house.seal("ann", "ben", threshold=2)
    ann, ben = house.agents["ann"], house.agents["ben"]

    letter = escrow.hand_over(record, keys=ann, to=ben.recipient.certificate)
    found = escrow.recover(record, keys=ben, handed_over=[letter])

    assert found.certificate == house.certificate
    with pytest.raises(smime.DecryptionFailed):
        escrow.recover(record, keys=house.agents["cem"], handed_over=[letter])
    with pytest.raises(pki.RequestRefused, match="alone"):
        escrow.hand_over(house.seal("ann"), keys=ann, to=ben.recipient.certificate)


@pytest.mark.parametrize("threshold", [1, 2])
def test_who_is_no_agent_opens_nothing(house: House, threshold: int) -> None:
    record = house.seal("ann", "ben", threshold=threshold)

    escrow.recover(record, keys=[house.agents["ann"], house.agents["ben"]])
    with pytest.raises(smime.DecryptionFailed):
        escrow.recover(record, keys=house.agents["cem"])
    with pytest.raises(smime.DecryptionFailed):
        escrow.recover(record, keys=())


def test_agents_change(house: House) -> None:
    """After the change the new agent opens it, the former does not; the first date stays."""
    record = house.seal("ann", "ben")
    ann, cem = house.agents["ann"], house.agents["cem"]
    later = AT + timedelta(days=90)

    changed = escrow.rotate(
        record, keys=ann, agents=[cem.recipient.certificate], threshold=1, at=later
    )

    assert escrow.recover(changed, keys=cem).at == AT
    with pytest.raises(smime.DecryptionFailed):
        escrow.recover(changed, keys=ann)
    with pytest.raises(smime.DecryptionFailed):
        escrow.rotate(record, keys=cem, agents=[cem.certificate], threshold=1, at=later)


def test_who_the_agents_are_is_told_without_a_key(house: House) -> None:
    threshold, names = escrow.agents_of(house.seal("ann", "ben", threshold=2))

    assert threshold == 2
    assert len(names) == 2
    assert names < escrow.agents_of(house.seal("ann", "ben", "cem"))[1]


@pytest.mark.parametrize("profile", ["mailbox", "signing"])
def test_a_key_that_signs_is_never_kept(house: House, profile: str) -> None:
    key = keys.generate("p256")
    request = pki.CertificationRequest(key.public_key(), ["alice@example.org"])
    chosen = pki.Profile.named(profile)
    certificate = house.ca.certify(request, profile=chosen, serial=new_serial(), at=AT)

    with pytest.raises(pki.RequestRefused, match="signs"):
        escrow.seal(key, certificate, agents=[house.agents["ann"].certificate], at=AT)
    with pytest.raises(pki.RequestRefused, match="signs"):
        escrow.seal(
            house.ca.private_key,
            house.ca.certificate,
            agents=[house.agents["ann"].certificate],
            at=AT,
        )


def test_agents_that_are_none_are_refused(house: House) -> None:
    ann = house.agents["ann"].certificate
    signs = house.ca.issue("dora@example.org", profile="signing", at=AT).certificate
    for agents, threshold in (([], 1), ([ann], 2), ([ann, ann], 2), ([ann] * 21, 1)):
        with pytest.raises(pki.RequestRefused):
            escrow.seal(house.key, house.certificate, agents=agents, threshold=threshold, at=AT)
    with pytest.raises(smime.KeyProblem):
        escrow.seal(house.key, house.certificate, agents=[signs], at=AT)
    with pytest.raises(ValueError, match="threshold"):
        escrow.seal(house.key, house.certificate, agents=[ann], threshold=3, at=AT)
    with pytest.raises(pki.RequestRefused, match="belong"):
        escrow.seal(keys.generate("rsa2048"), house.certificate, agents=[ann], at=AT)


@pytest.mark.parametrize("threshold", [1, 2])
def test_a_changed_record_gives_no_key(house: House, threshold: int) -> None:
    """At each place, in steps: our errors, and never another key than the one sealed."""
    good = house.seal("ann", "ben", threshold=threshold)
    agents = [house.agents["ann"], house.agents["ben"]]

    for place in range(0, len(good), 97):
        bad = good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :]
        try:
            found = escrow.recover(bad, keys=agents)
        except smime.SmimeError:
            continue
        assert found.key.private_numbers() == house.key.private_numbers()
    for size in range(0, len(good), 211):
        with pytest.raises(smime.SmimeError):
            escrow.recover(good[:size], keys=agents)


def test_halves_of_two_records_do_not_join(house: House) -> None:
    """A half of another record, put in the place of one, gives an error and no key."""
    first, second = (house.seal("ann", "ben", threshold=2) for _ in range(2))
    blobs = [escrow._parse(record)[1] for record in (first, second)]
    agents = [house.agents["ann"], house.agents["ben"]]
    from smime.cms.der import integer, sequence

    mixed = sequence(integer(1), integer(2), sequence(blobs[0][0], blobs[1][1]))
    with pytest.raises(smime.DecryptionFailed):
        escrow.recover(mixed, keys=agents)


def test_all_former_keys_in_one_file_open_old_mail(house: House, openssl: Peer) -> None:
    """Two keys lost and found again: one .p12 with both opens what was sealed to either."""
    records, sealed = [], []
    reading = pki.Profile.named("encryption")
    for _ in range(2):
        key = keys.generate("rsa2048")
        request = pki.CertificationRequest(key.public_key(), ["alice@example.org"])
        now = datetime.now(UTC)
        certificate = house.ca.certify(request, profile=reading, serial=new_serial(), at=now)
        sealed.append(smime.encrypt(LETTER, to=certificate))
        agents = [house.agents["ann"].certificate]
        records.append(escrow.seal(key, certificate, agents=agents, at=AT))

    found = [escrow.recover(record, keys=house.agents["ann"]) for record in records]
    single = identity_of([(one.key, one.certificate) for one in found], house.ca.chain)
    p12 = single.to_p12("secret")

    again = smime.Identity.parse(p12, passphrase="secret")
    for mail in sealed:
        assert bytes(smime.open(mail, keys=again, trust=house.ca.anchors, at=AT).content)
    listed = openssl.run("pkcs12", "-nodes", "-passin", "pass:secret", input=p12)
    assert listed.count(b"BEGIN PRIVATE KEY") == 2


def test_a_recovered_key_does_not_show(house: House) -> None:
    found = escrow.recover(house.seal("ann"), keys=house.agents["ann"])

    assert "RSAPrivateKey" not in repr(found)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(found)
    assert found.identity(house.ca.chain).addresses == ("alice@example.org",)
