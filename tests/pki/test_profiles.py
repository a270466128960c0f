"""Profiles: data that is read, or refused with what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pki import Profile, ProfileProblem, keys

GOOD = {
    "about": '"a test"',
    "lifetime_days": "30",
    "extended_key_usage": '["emailProtection", "1.2.3.4"]',
    "policies": '["2.5.29.32.0"]',
    "key_usage": '{ rsa = ["digitalSignature"] }',
}


def toml(**changes: str) -> bytes:
    return "\n".join(f"{key} = {value}" for key, value in {**GOOD, **changes}.items()).encode()


@pytest.mark.parametrize("name", Profile.shipped())
def test_shipped_profiles_are_whole(name: str) -> None:
    profile = Profile.named(name)

    assert profile.about
    assert set(profile.key_usage) <= set(keys.FAMILIES)
    assert set(profile.key_usage) >= ({"rsa", "ec"})
    assert profile.authority == (name in {"root", "sub-ca", "cross"} or name.startswith("issuing"))


def test_every_kind_of_key_has_a_profile_for_users() -> None:
    assert set(Profile.named("mailbox").key_usage) == set(keys.FAMILIES)


@pytest.mark.parametrize("name", ["mailbox", "internal", "mailbox-strict", "sponsored"])
def test_a_pair_parts_what_one_certificate_does(name: str) -> None:
    """Nothing that one half may do may the other, and together they do what the whole does."""
    whole = Profile.named(name)

    for family, usages in whole.key_usage.items():
        halves = [half.key_usage.get(family, ()) for half in (whole.signing, whole.reading)]
        assert halves[0] + halves[1] == usages
    assert whole.reading.reads
    assert not whole.signing.reads


def test_a_half_of_nothing_is_refused() -> None:
    with pytest.raises(ProfileProblem):
        _ = Profile.named("signing").reading


def test_mail_users_have_at_most_825_days() -> None:
    users = [Profile.named(name) for name in ("mailbox", "signing", "encryption")]

    assert {profile.max_lifetime_days for profile in users} == {825}
    assert users[0].lasting(825).lifetime_days == 825
    with pytest.raises(ProfileProblem, match="826"):
        users[0].lasting(826)


def test_the_two_halves_make_the_whole() -> None:
    whole, signing, reading = map(Profile.named, ("mailbox", "signing", "encryption"))

    assert signing.key_usage == whole.signing.key_usage
    assert reading.key_usage == whole.reading.key_usage


def test_parse_reads_all(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(toml())

    profile = Profile.load(file)

    assert profile == Profile.parse(toml())
    assert profile.purposes == ("1.3.6.1.5.5.7.3.4", "1.2.3.4")
    assert profile.policies == ("2.5.29.32.0",)
    assert profile.usage_bits("rsa") == 1
    assert profile.usage_bits("ec") is None


def test_own_profiles_begin_with_a_shipped_one() -> None:
    own = Profile.parse(
        b"""
based_on = "sponsored"
lifetime_days = 100
[subject]
organization = "Example GmbH"
country = "DE"
organization_identifier = "NTRDE-HRB123456"
"""
    )

    shipped = Profile.named("sponsored")
    assert own.subject["organization"] == "Example GmbH"
    assert (own.lifetime_days, own.policies) == (100, shipped.policies)
    assert own == shipped.lasting(100).speaking_for(**own.subject)
    with pytest.raises(TypeError):
        own.subject["organization"] = "Other"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lifetime": "3"}, "unknown name 'lifetime'"),
        ({"lifetime_days": "true"}, "lifetime_days"),
        ({"lifetime_days": "0"}, "0 days"),
        ({"lifetime_days": "-1"}, "-1 days"),
        ({"key_usage": "{}"}, "no key usage"),
        ({"key_usage": "{ rsa = [] }"}, "empty"),
        ({"key_usage": '{ dsa = ["digitalSignature"] }'}, "dsa"),
        ({"key_usage": '{ rsa = ["digitalSignatures"] }'}, "digitalSignatures"),
        ({"key_usage": '{ rsa = "digitalSignature" }'}, "list"),
        ({"policies": "[1]"}, "list of texts"),
        ({"policies": '["1.2.x"]'}, "no OID"),
        ({"extended_key_usage": '["mail"]'}, "'mail'"),
        ({"path_length": "0"}, "path length"),
        ({"path_length": "-1", "authority": "true"}, "path length"),
        ({"about": "]"}, "not TOML"),
        ({"key_usage": '{ eddsa = ["keyAgreement"] }'}, "eddsa has no keyAgreement"),
        ({"key_usage": '{ ec = ["keyEncipherment"] }'}, "ec has no keyEncipherment"),
        ({"key_usage": '{ mlkem = ["digitalSignature"] }'}, "mlkem has no digitalSignature"),
        ({"key_usage": '{ rsa = ["keyCertSign"] }'}, "for CAs alone"),
        ({"subject": '{ country = "Germany" }'}, "two letters|no country"),
        ({"subject": '{ shoe_size = "44" }'}, "shoe_size"),
        ({"subject": "{ country = 49 }"}, "list of texts"),
        ({"subject_required": '["given_name|shoe_size"]'}, "shoe_size"),
        ({"names": '"everybody"'}, "everybody"),
        ({"common_name": '"nobody"'}, "nobody"),
        ({"capabilities": '["rot13"]'}, "rot13"),
        ({"based_on": '"mailbx"'}, "mailbx"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, str], says: str) -> None:
    with pytest.raises(ProfileProblem, match=says):
        Profile.parse(toml(**changes))


@pytest.mark.parametrize("data", [b"\xff", b"#" * 65_537], ids=["not-utf-8", "too-long"])
def test_bytes_that_are_no_profile_are_refused(data: bytes) -> None:
    with pytest.raises(ProfileProblem):
        Profile.parse(data)


def test_without_key_usage_there_is_no_profile() -> None:
    with pytest.raises(ProfileProblem, match="key usage"):
        Profile.parse(b"lifetime_days = 3")


@pytest.mark.parametrize("name", ["", "Mailbox", "../profiles/mailbox", "mailbox.toml", "\0"])
def test_unknown_names_are_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ProfileProblem) as refused:
        Profile.named(name)

    assert "mailbox" in refused.value.hint


def test_a_profile_does_not_change_with_the_dict_it_was_made_from() -> None:
    usages = {"rsa": ("digitalSignature",)}
    profile = Profile(usages)
    usages["ec"] = ("keyCertSign",)

    assert list(profile.key_usage) == ["rsa"]
    with pytest.raises(TypeError):
        profile.key_usage["ec"] = ("keyCertSign",)
