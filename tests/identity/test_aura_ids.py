"""Which AuraIDs are taken, and what a new account gets."""

from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auralink.identity.aura_ids import MAXIMUM_LENGTH, MINIMUM_LENGTH, AuraId, candidates
from auralink.identity.errors import InvalidAuraId


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("alice", "alice"),
        ("@Alice.aura", "alice"),
        ("ALICE.AURA", "alice"),
        ("ａｌｉｃｅ", "alice"),
        ("anne-marie_7", "anne-marie_7"),
        ("мария", "мария"),
        ("石川さくら", "石川さくら"),
        ("josé", "josé"),
        ("jose\u0301", "josé"),
    ],
)
def test_a_name_is_kept_in_one_spelling(written: str, kept: str) -> None:
    assert AuraId.parse(written).name == kept


@pytest.mark.parametrize(
    "name",
    [
        "al",
        "a" * 31,
        "-alice",
        "alice-",
        "_alice",
        "al ice",
        "alice.smith",
        "alice@home",
        "12345",
        "al\x00ice",
        "ali\u202ece",
        "ali\u200dce",
        "alice😀",
        "",
        "...",
        "'; drop table users; --",
        "a\nb\nc",
        "\ud800abc",
    ],
)
def test_a_name_that_breaks_the_rules_is_refused(name: str) -> None:
    with pytest.raises(InvalidAuraId):
        AuraId.parse(name)


@pytest.mark.parametrize("name", ["pаypal", "αlice", "gооgle", "alicе"])
def test_letters_of_two_scripts_are_refused(name: str) -> None:
    assert not name.isascii()
    with pytest.raises(InvalidAuraId, match="script"):
        AuraId.parse(name)


@pytest.mark.parametrize("name", ["admin", "Admin", "adm1n", "support", "5upport", "r00t", "auralink"])
def test_reserved_names_and_their_lookalikes_are_refused(name: str) -> None:
    with pytest.raises(InvalidAuraId, match="reserved"):
        AuraId.parse(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "a1ice"),
        ("alice", "аӏісе"),
        ("corner", "comer"),
        ("bob-smith", "bob_smith"),
        ("bobo", "b0b0"),
        ("posa", "роѕа"),
        ("jose", "josé"),
        ("vvilly", "willy"),
    ],
)
def test_names_that_look_alike_share_a_skeleton(one: str, other: str) -> None:
    assert one != other
    assert AuraId.parse(one).skeleton == AuraId.parse(other).skeleton


def test_names_that_differ_to_the_eye_have_different_skeletons() -> None:
    names = ["alice", "bob", "carol", "мария", "石川さくら", "alice-2", "alicia"]
    assert len({AuraId.parse(name).skeleton for name in names}) == len(names)


@pytest.mark.parametrize(
    ("display_name", "email", "first"),
    [
        ("Ann Ray", "ann@example.org", "ann-ray"),
        ("José  Ñandú", "j@example.org", "jose-nandu"),
        ("Мария", "maria@example.org", "мария"),
        ("Al", "al.bundy@example.org", "al-bundy"),
        ("Admin", "carla@example.org", "carla"),
        ("x" * 100, "x@example.org", "x" * 30),
        ("Дима Brown", "dima@example.org", "dima"),
    ],
)
def test_a_new_account_is_named_after_its_owner(display_name: str, email: str, first: str) -> None:
    assert next(candidates(display_name, email, count(100))).name == first


def test_taken_names_are_followed_by_numbered_ones() -> None:
    found = [aura_id.name for aura_id in islice(candidates("Ann", "ann@example.org", count(100)), 4)]
    assert found == ["ann", "ann", "ann-100", "ann-101"]


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_people_are_called_they_get_a_valid_name(display_name: str, local_part: str) -> None:
    for aura_id in islice(candidates(display_name, f"{local_part}@example.org", count(100)), 4):
        assert AuraId.parse(aura_id.name) == aura_id
        assert MINIMUM_LENGTH <= len(aura_id.name) <= MAXIMUM_LENGTH


@given(st.text(max_size=40))
def test_parsing_is_total_and_idempotent(text: str) -> None:
    try:
        aura_id = AuraId.parse(text)
    except InvalidAuraId:
        return
    assert AuraId.parse(str(aura_id)) == aura_id
