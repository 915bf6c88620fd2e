"""Ids are typed, sort by time, and are written in one way only."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from auralink.kit.ids import Id, InvalidId, RoomId, UserId, uuid7


@given(st.integers(min_value=0, max_value=2**128 - 1))
def test_text_form_comes_back_as_the_same_id(number: int) -> None:
    room = RoomId(uuid.UUID(int=number))
    assert RoomId.parse(str(room)) == room
    assert len(str(room)) == len("room_") + 26


@given(st.lists(st.integers(min_value=0, max_value=2**128 - 1), min_size=2, max_size=5))
def test_text_form_sorts_as_the_id(numbers: list[int]) -> None:
    rooms = [RoomId(uuid.UUID(int=number)) for number in numbers]
    assert sorted(map(str, rooms)) == [str(room) for room in sorted(rooms)]


def test_new_ids_are_version_7_and_never_go_backwards() -> None:
    made = [uuid7() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {uuid.RFC_4122}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "room",
        "room_",
        "usr_00000000000000000000000000",
        "room_0000000000000000000000000",
        "room_000000000000000000000000000",
        "room_0000000000000000000000000I",
        "room_0000000000000000000000000u",
        "room_80000000000000000000000000",
        "ROOM_00000000000000000000000000",
        "room_0000000000000000000000000\n",
        "room_' or 1=1 --              ",
    ],
)
def test_anything_else_is_not_an_id(text: str) -> None:
    with pytest.raises(InvalidId):
        RoomId.parse(text)


def test_ids_of_different_kinds_are_different() -> None:
    same = uuid7()
    assert RoomId(same) != UserId(same)
    assert hash(RoomId(same)) != hash(UserId(same))


def test_models_take_and_give_the_text_form() -> None:
    class Door(BaseModel):
        room: RoomId

    room = RoomId.new()
    assert Door.model_validate({"room": str(room)}).room == room
    assert Door(room=room).model_dump_json() == f'{{"room":"{room}"}}'
    assert Door.model_json_schema()["properties"]["room"]["pattern"].startswith("^room_")
    for wrong in (str(UserId.new()), 7, None, UserId.new()):
        with pytest.raises(ValidationError):
            Door.model_validate({"room": wrong})


def test_kind_needs_a_prefix() -> None:
    with pytest.raises(TypeError):

        class Nameless(Id):  # type: ignore[call-arg]
            pass
