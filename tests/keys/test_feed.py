"""What the media role hears of key pairs: who may ask, when it is answered, and what nobody else can read."""

import asyncio
from typing import Any

import httpx
import jwt
import pytest
from tests.keys.test_api_keys import keys_of, made

from auralink.app.testing import Gateway, MakePerson
from auralink.keys import FEED_PATH, KeyDocument, feed_request, open_feed
from auralink.kit.livekit import LiveKitSettings
from auralink.kit.sealing import SealBroken


class Asker:
    """The media role's side."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        pair = gateway.assembly.settings(LiveKitSettings)
        self.key = pair.livekit_api_key.get_secret_value()
        self.secret = pair.livekit_api_secret.get_secret_value()

    async def ask(self, token: str, **parameters: Any) -> httpx.Response:
        async with self._gateway.client(Authorization=f"Bearer {token}") as client:
            return await client.get(FEED_PATH, params=parameters)

    async def read(self, **parameters: Any) -> KeyDocument:
        token, nonce = feed_request(self.key, self.secret)
        answer = await self.ask(token, **parameters)
        assert answer.status_code == 200, answer.text
        return open_feed(answer.content, self.secret, nonce)


async def test_every_working_pair_is_told(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    keys = [await made(ann, webhook_urls=["https://example.org/hook"]), await made(bob)]
    revoked = await made(bob)
    await bob.client.delete(f"{await keys_of(bob)}/{revoked['id']}")
    document = await Asker(gateway).read()
    assert [(pair.key, pair.secret) for pair in document.pairs] == [(key["api_key"], key["secret"]) for key in keys]
    assert document.pairs[0].webhook_urls == ["https://example.org/hook"]
    assert document.pairs[0].tenant != document.pairs[1].tenant


async def test_the_former_secret_is_told_until_its_time(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    key = await made(ann)
    await ann.client.post(f"{await keys_of(ann)}/{key['id']}/rotate", json={"overlap_seconds": 60})
    (pair,) = (await Asker(gateway).read()).pairs
    assert pair.former
    assert pair.former.secret == key["secret"]
    await gateway.clock.advance(61)
    (pair,) = (await Asker(gateway).read()).pairs
    assert pair.former is None


async def test_who_knows_the_version_waits_and_hears_of_a_revocation_at_once(
    gateway: Gateway, person: MakePerson
) -> None:
    ann = await person("Ann")
    key = await made(ann)
    asker = Asker(gateway)
    version = (await asker.read()).version
    token, _ = feed_request(asker.key, asker.secret)
    assert (await asker.ask(token, known=version)).status_code == 204
    waiting = asyncio.create_task(asker.read(known=version, wait=20))
    await (await person("Bob")).create_room()  # nothing to do with keys
    gateway.assembly.notifier.wake()
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await ann.client.delete(f"{await keys_of(ann)}/{key['id']}")
    gateway.assembly.notifier.wake()  # as PostgreSQL's notification does
    assert (await asyncio.wait_for(waiting, 5)).pairs == []


async def test_nobody_else_may_ask(gateway: Gateway, person: MakePerson) -> None:
    asker = Asker(gateway)
    room = await (await person("Ann")).create_room()
    join = jwt.encode({"iss": asker.key, "exp": 4_000_000_000, "video": {"room": room["id"]}}, asker.secret)
    foreign, _ = feed_request(asker.key, "a secret of somebody else's, long enough")
    for token in ("", "junk", join, foreign):
        answer = await asker.ask(token)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_feed_refused")


async def test_an_answer_opens_for_its_own_question_only(gateway: Gateway, person: MakePerson) -> None:
    key = await made(await person("Ann"))
    asker = Asker(gateway)
    token, nonce = feed_request(asker.key, asker.secret)
    answer = await asker.ask(token)
    assert key["secret"].encode() not in answer.content
    with pytest.raises(SealBroken):
        open_feed(answer.content, asker.secret, "another nonce")
    with pytest.raises(SealBroken):
        open_feed(answer.content, "a secret of somebody else's, long enough", nonce)
