"""The server API answers as LiveKit's own server did when `golden/livekit.json` was recorded."""

import json
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from livekit.protocol import agent_dispatch, room
from tests.compat.conftest import MediaServer
from tests.compat.golden.meant import MEANT
from tests.compat.golden.player import METHODS, Answer, Player

GOLDEN: list[dict[str, Any]] = json.loads(Path(__file__).with_name("golden").joinpath("livekit.json").read_text())[
    "steps"
]
_WRAPPED = "twirp error unknown: "
"""What LiveKit puts before some messages."""
_OTHERWISE_FILLED = frozenset({"turn_password", "mime_type"})
"""We run no TURN inside the server, and ask no client for RED that would rather send Opus alone."""

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def answers(server: MediaServer) -> dict[str, dict[str, Answer]]:
    return {kind: await Player(server, protobuf=kind == "protobuf").play() for kind in ("json", "protobuf")}


@pytest.mark.parametrize("kind", ["json", "protobuf"])
@pytest.mark.parametrize("step", GOLDEN, ids=[step["name"] for step in GOLDEN])
async def test_the_answer_is_livekits(answers: dict[str, dict[str, Answer]], step: dict[str, Any], kind: str) -> None:
    ours, theirs = answers[kind][step["name"]], step[kind]
    if meant := MEANT.get(step["name"]):
        assert (ours.status, ours.body["code"]) == (meant.status, meant.code), ours.body
        assert ours.shown() != theirs, "it is LiveKit's answer after all: take it out of meant.py"
        return
    assert (ours.status, ours.content_type) == (theirs["status"], theirs["content_type"]), ours.body
    if ours.status != 200:
        assert ours.body["code"] == theirs["body"]["code"]
        assert theirs["body"]["msg"].removeprefix(_WRAPPED) in ours.body["msg"]
        assert ours.body.get("meta") == theirs["body"].get("meta")
        return
    assert _compared(ours.body) == _compared(theirs["body"])


def _compared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _compared(one) for key, one in value.items() if key not in _OTHERWISE_FILLED}
    if isinstance(value, list):
        return [_compared(one) for one in value]
    return value


async def test_every_method_is_asked() -> None:
    services = (
        room.DESCRIPTOR.services_by_name["RoomService"],
        agent_dispatch.DESCRIPTOR.services_by_name["AgentDispatchService"],
    )
    wanted = {f"{service.name}/{method.name}" for service in services for method in service.methods}
    assert wanted == METHODS
    assert wanted <= {step["request"]["call"].removeprefix("POST ") for step in GOLDEN}


async def test_every_meant_difference_is_of_a_step() -> None:
    assert MEANT.keys() <= {step["name"] for step in GOLDEN}
