"""livekit-client's data: packets, text and byte streams, RPC."""

import pytest
from tests.browser.conftest import Call

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_packets_reach_those_they_are_for(call: Call, path: dict[str, bool]) -> None:
    ada, bob, eve = await call("ada", **path), await call("bob", **path), await call("eve", **path)
    encode = "new TextEncoder().encode"

    await ada.local(
        f"me.publishData({encode}('for bob'), {{reliable: true, destinationIdentities: ['bob'], topic: 't'}})"
    )
    await ada.local(f"me.publishData({encode}('for all'), {{reliable: true}})")

    assert await bob("got", "data", 2) == [
        {"text": "for bob", "from": "ada", "topic": "t"},
        {"text": "for all", "from": "ada", "topic": None},
    ]
    assert await eve("got", "data", 1) == [{"text": "for all", "from": "ada", "topic": None}]


async def test_lossy_packets_arrive_on_a_good_network(call: Call, path: dict[str, bool]) -> None:
    ada, bob = await call("ada", **path), await call("bob", **path)

    await ada.local("me.publishData(new TextEncoder().encode('quick'), {reliable: false})")

    assert await bob("got", "data", 1) == [{"text": "quick", "from": "ada", "topic": None}]


async def test_long_texts_and_files_arrive_whole(call: Call, path: dict[str, bool]) -> None:
    ada, bob = await call("ada", **path), await call("bob", **path)

    await ada.local("me.sendText('x'.repeat(400_000) + 'the  end', {topic: 'texts'})")
    digest = await ada("sendBytes", ["bob"], "photo.bin", 3_000_000)

    assert await bob("got", "texts", 1) == [{"length": 400_008, "end": "the  end", "from": "ada"}]
    assert await bob("got", "files", 1) == [{"name": "photo.bin", "size": 3_000_000, "digest": digest, "from": "ada"}]


async def test_calls_are_answered(call: Call, path: dict[str, bool]) -> None:
    ada, bob = await call("ada", **path), await call("bob", **path)
    await ada.page.wait_for_function("caller.state.room.remoteParticipants.has('bob')")

    answer = await ada.local("me.performRpc({destinationIdentity: 'bob', method: 'double', payload: 'ab'})")
    long = await ada.local("me.performRpc({destinationIdentity: 'bob', method: 'double', payload: 'y'.repeat(40_000)})")
    refused = await ada.local(
        "me.performRpc({destinationIdentity: 'bob', method: 'unknown', payload: ''}).catch((e) => e.code)"
    )

    assert answer == "ada:abab"
    assert long == "ada:" + "y" * 80_000
    assert refused == 1400, "UNSUPPORTED_METHOD"
    assert bob.sid
