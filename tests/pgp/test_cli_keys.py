"""``smimetool pgp``: keys are changed, and come from a mail domain and with mail."""

from __future__ import annotations

import time

import pytest

import smime
from smime import autocrypt, wkd
from smime.cli.main import main
from smime.cli.pgp import ACTIONS
from smime.pgp.gnupg import end_agents
from smime.pgp.packets import dearmor_keys
from tests.pgp.desk import Desk

pytestmark = pytest.mark.peer("gpg")

LETTER = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: lunch\r\n\r\nnoon\r\n"


@pytest.fixture
def other(desk):
    """Another home, of somebody else."""
    made = Desk(desk.folder, f"{desk.home}/other", desk.capture)
    yield made
    end_agents(made.home)


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_has_its_help_with_an_example(name, capsys):
    assert main(["pgp", name, "--help"]) == 0
    said = capsys.readouterr().out

    assert said.startswith(f"usage: smimetool pgp {name}")
    assert f"example:\n  smimetool pgp {name}" in said
    assert "exit status:\n  0     done" in said
    assert ("--json" in said) is (name not in ("export", "announce", "setup"))
    assert main(["pgp", "--help"]) == 0
    assert f"\n  {name} " in capsys.readouterr().out


def test_the_examples_are_of_options_that_there_are(desk, capsys):
    """They parse: what is missing then is a key or a file, or it works."""
    for action in ACTIONS.values():
        status = main(["pgp", *action.example.split(), "--pgp-home", desk.home])
        said = capsys.readouterr()
        assert status in (0, 5, 8), (action.example, said.err)


# --- changing keys ------------------------------------------------------------------


def test_an_address_comes_and_goes(people):
    said = people.run("pgp", "add-address", "alice@example.org", "a@example.net", "--name", "Al")
    assert "Al <a@example.net>" in said
    assert "give the key out again" in said
    (key,) = people.json("pgp", "show", "a@example.net")
    assert set(key["addresses"]) == {"a@example.net", "alice@example.org"}

    people.json("pgp", "revoke-address", "alice@example.org", "a@example.net")
    # gpg dates it a second after what it takes back, which may be yet to come.
    for _ in range(30):
        (key,) = people.json("pgp", "show", "alice@example.org")
        if len(key["addresses"]) == 1:
            break
        time.sleep(0.1)
    assert key["addresses"] == ["alice@example.org"]
    assert [one["valid"] for one in key["user_ids"] if one["address"] == "a@example.net"] == [False]
    last = people.run("pgp", "revoke-address", "alice@example.org", "alice@example.org", status=5)
    assert "only address" in last
    assert "does not name" in people.run(
        "pgp", "revoke-address", "alice@example.org", "x@y", status=5
    )
    assert "no mail address" in people.run("pgp", "add-address", "alice@example.org", "x", status=2)


def test_a_subkey_comes_and_goes(people):
    (before,) = people.json("pgp", "show", "bob@example.org")
    people.run("encrypt", "-t", "bob@example.org", "-o", "old.eml", "letter.eml")
    said = people.run("pgp", "add-subkey", "bob@example.org", "--days", "30")
    (after,) = people.json("pgp", "show", "bob@example.org")
    (made,) = [k for k in after["keys"] if k not in before["keys"]]
    assert made["use"] == ["encrypt"]
    assert f"subkey {made['fingerprint']}, encrypt" in said

    people.run("encrypt", "-t", "bob@example.org", "-o", "new.eml", "letter.eml")
    (gone,) = people.json(
        "pgp", "revoke-subkey", "bob@example.org", made["fingerprint"], "--reason", "superseded"
    )
    state = {one["fingerprint"]: one["state"] for one in gone["keys"]}
    assert state[made["fingerprint"]] == "revoked"
    people.run("encrypt", "-t", "bob@example.org", "-o", "last.eml", "letter.eml")
    for name in (
        "old.eml",
        "new.eml",
        "last.eml",
    ):  # a revoked subkey still opens what was sealed for it
        people.run("decrypt", "-o", f"{name}.out", name)
    wrong = people.run("pgp", "revoke-subkey", "bob@example.org", "0" * 40, status=5)
    assert "has no subkey" in wrong


def test_changes_need_the_passphrase_and_it_is_in_no_argument(desk):
    (desk.folder / "pass").write_text("open sesame\n")
    desk.run("pgp", "keygen", "alice@example.org", "--passphrase-file", "pass")
    end_agents(desk.home)  # its agent may keep the passphrase
    words = ("pgp", "add-address", "alice@example.org", "a@example.net")

    assert "must be in the keyring, and open" in desk.run(*words, status=5)
    assert "a@example.net" in desk.run(*words, "--passphrase-file", "pass")
    assert main(["pgp", "add-address", "--help"]) == 0
    assert "--passphrase " not in desk.capture.readouterr().out


def test_a_secret_key_from_elsewhere_is_ones_own_once_one_says_so(people, other):
    people.run("pgp", "export", "alice@example.org", "--secret", "-o", "alice.asc")
    people.run("pgp", "export", "bob@example.org", "-o", "bob.asc")
    people.run("sign", "-i", "alice@example.org", "-o", "a.eml", "letter.eml")
    other.run("pgp", "import", "alice.asc", "bob.asc")
    assert "nobody told GnuPG" in other.run("verify", "a.eml", status=7)
    other.run("pgp", "vouch", "alice@example.org")
    assert "good" in other.run("verify", "a.eml")
    (bob,) = other.json("pgp", "vouch", "bob@example.org")
    assert [one["vouched"] for one in bob["user_ids"]] == [True]


# --- from a mail domain ---------------------------------------------------------------


def test_a_key_is_looked_up(desk, place, ring, alice):
    place.put(wkd.urls("alice@example.org")[1], dearmor_keys(ring.export(alice)))
    root = str(place.root)

    said = desk.run("pgp", "lookup", "alice@example.org", "--tls-ca", root, "--private")
    assert said.startswith(f"{alice.fingerprint} public until ")
    assert "nobody vouched" in said
    desk.run("encrypt", "-t", "alice@example.org", "-o", "s.eml", "letter.eml")
    sealed = (desk.folder / "s.eml").read_bytes()
    assert smime.decrypt(sealed, keys=alice, trust=smime.NoTrust()).encrypted
    # It says to whom to write, and makes nobody's signature good.
    (desk.folder / "a.eml").write_bytes(bytes(smime.sign(LETTER, by=alice)))
    assert "nobody told GnuPG" in desk.run("verify", "a.eml", status=7)


def test_what_a_domain_may_not_do(desk, place, ring, bob):
    root = str(place.root)
    words = ("pgp", "lookup", "alice@example.org", "--private", "--tls-ca")
    public = desk.run("pgp", "lookup", "alice@example.org", "--tls-ca", root, status=5)
    assert "not public" in public
    assert "gives out no key" in desk.run(*words, root, status=5)
    place.put(wkd.urls("alice@example.org")[1], dearmor_keys(ring.export(bob)))
    assert "no key for that address" in desk.run(*words, root, status=5)
    (desk.folder / "junk.pem").write_text("no certificate")
    assert "no certificates in PEM" in desk.run(*words, "junk.pem", status=5)
    assert "absent.pem" in desk.run(*words, "absent.pem", status=8)
    # Without the CA nobody vouches for the server.
    stranger = desk.run("pgp", "lookup", "alice@example.org", "--private", status=5)
    assert "certificate verify failed" in stranger
    assert "no mail address" in desk.run("pgp", "lookup", "alice", status=2)
    assert desk.json("pgp", "list") == []


# --- with mail ------------------------------------------------------------------------


def test_a_key_is_announced_and_learned(people, other):
    people.run(
        "pgp", "announce", "letter.eml", "-i", "alice@example.org", "-o", "a.eml", "--mutual"
    )
    announced = (people.folder / "a.eml").read_bytes()
    assert autocrypt.announced(announced).mutual

    said = other.run("pgp", "learn", "a.eml")
    assert "alice@example.org" in said
    assert "nobody vouched" in said
    (key,) = other.json("pgp", "show", "alice@example.org")
    assert key["secret"] is False
    assert "announces no key" in other.run("pgp", "learn", "letter.eml")
    assert "does not name" in people.run(
        "pgp", "announce", "letter.eml", "-i", "bob@example.org", status=5
    )


def test_a_key_that_came_in_does_not_take_the_place_of_one_that_is_vouched_for(people, ring, bob):
    """A stranger who writes as bob gets nothing that is meant for bob."""
    (known,) = people.json("pgp", "show", "bob@example.org")
    mail = autocrypt.announce(LETTER.replace(b"alice@", b"bob@"), bob)
    (people.folder / "fake.eml").write_bytes(bytes(mail))
    (came,) = people.json("pgp", "learn", "fake.eml")
    assert came["fingerprint"] == bob.fingerprint != known["fingerprint"]

    (found,) = people.json("pgp", "show", "bob@example.org")
    assert found["fingerprint"] == known["fingerprint"]
    people.run("encrypt", "-t", bob.fingerprint, "-o", "s.eml", "letter.eml")


def test_nobody_announces_a_key_for_another(other, ring, alice, gpg):
    """A key that mallory sends as his own, and that names alice, is not taken in as hers."""
    with smime.PgpKeyring() as bad:
        both = bad.generate("mallory@example.org")
        both = bad.add_address(both, "alice@example.org")
        keydata = autocrypt.Announced("", dearmor_keys(bad.export(both))).keydata
    mail = bytes(autocrypt.announce(LETTER, alice)).replace(b"alice@", b"mallory@")
    assert autocrypt.announced(mail).address == "mallory@example.org"
    with smime.PgpKeyring() as known:
        with pytest.raises(smime.KeyProblem) as refused:  # alice's key for mallory
            autocrypt.announced(mail).add_to(known)
        assert refused.value.missing == ("mallory@example.org",)
        taken = autocrypt.Announced("mallory@example.org", keydata).add_to(known)
        assert taken.addresses == ("mallory@example.org",)
        with pytest.raises(smime.KeyProblem):
            known.find("alice@example.org")
    (other.folder / "m.eml").write_bytes(mail)
    assert "no key with that address" in other.run("pgp", "learn", "m.eml")
    assert other.json("pgp", "list") == []


def test_gossip_is_learned_from_what_opens(people, other, ring, alice):
    with smime.PgpKeyring() as hers:
        carol = hers.generate("carol@example.org")
        to = LETTER.replace(b"bob@example.org", b"bob@example.org, carol@example.org")
        told = autocrypt.add_gossip(to, [carol])
        people.run("pgp", "export", "bob@example.org", "-o", "bob.asc")
        bob = hers.add((people.folder / "bob.asc").read_bytes())[0]
        policy = smime.Policy.modern().replace(hidden={"Autocrypt-Gossip"})
        sealed = smime.encrypt(told, to=[bob, carol], policy=policy)
    (people.folder / "g.eml").write_bytes(bytes(sealed))
    assert [key["addresses"] for key in people.json("pgp", "learn", "g.eml")] == [
        ["carol@example.org"]
    ]
    assert "was not read" in other.run("pgp", "learn", "g.eml")


def test_a_key_moves_by_a_setup_message(people, other):
    code, said = people.said("pgp", "setup", "alice@example.org", "-o", "setup.eml")
    assert "send it nowhere" in said
    assert (people.folder / "setup.eml").stat().st_mode & 0o777 == 0o600
    assert code.strip().encode() not in (people.folder / "setup.eml").read_bytes()
    (people.folder / "code").write_text(code)
    (people.folder / "wrong").write_text("1" * 36)

    assert other.said("pgp", "setup-import", "setup.eml", "--code-file", "wrong", status=6)
    assert "--code-file" in other.run("pgp", "setup-import", "setup.eml", status=5)
    assert other.json("pgp", "list") == []
    said = other.run("pgp", "setup-import", "setup.eml", "--code-file", "code")
    assert " secret until " in said
    other.run("pgp", "vouch", "alice@example.org")
    other.run("sign", "-i", "alice@example.org", "-o", "s.eml", "letter.eml")
    assert "good" in other.run("verify", "s.eml")
    assert "letter.eml" in other.run(
        "pgp", "setup-import", "letter.eml", "--code-file", "code", status=3
    )
    assert "to a file" in people.run("pgp", "setup", "alice@example.org", "-o", "-", status=2)
