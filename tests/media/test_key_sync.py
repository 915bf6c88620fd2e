"""How the media role learns key pairs: from the gateway at once, from its own disk when nobody answers."""

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.media.receivers import FakeGateway, served
from tests.platform import eventually

from auralink.keys import KeyDocument, PairOut
from auralink.media.key_sync import KeySync
from auralink.media.keys import KeyPair

KEY, SECRET = "APIplatform", "the platform's own secret, long enough"
ACME = PairOut(
    tenant="org_acme", key="APIacme", secret="acme's secret, long enough to sign", webhook_urls=["http://h/"]
)


class Known:
    def __init__(self) -> None:
        self.pairs: Sequence[KeyPair] = ()
        self.times = 0

    def set(self, pairs: Sequence[KeyPair]) -> None:
        self.pairs, self.times = pairs, self.times + 1


def sync_of(gateway: str | None, cache: Path, known: Known, secret: str = SECRET) -> KeySync:
    return KeySync(gateway, KEY, secret, cache, [known.set])


@asynccontextmanager
async def running(sync: KeySync) -> AsyncIterator[None]:
    task = asyncio.create_task(sync.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_pairs_come_and_go_as_the_gateway_says(tmp_path: Path) -> None:
    gateway, known = FakeGateway(KEY, SECRET), Known()
    gateway.tell(KeyDocument(pairs=[ACME]))
    async with served(gateway.app()) as url, running(sync_of(url, tmp_path / "keys", known)):
        await eventually("the pair is known", lambda: bool(known.pairs))
        (pair,) = known.pairs
        assert (pair.key, pair.secret, pair.tenant, pair.webhook_urls) == (
            ACME.key,
            ACME.secret,
            ACME.tenant,
            ("http://h/",),
        )
        gateway.tell(KeyDocument(pairs=[]))
        await eventually("the pair is gone", lambda: not known.pairs, timeout_s=5)


async def test_what_was_known_survives_a_restart_without_the_gateway(tmp_path: Path) -> None:
    cache = tmp_path / "media" / "keys"
    gateway, first = FakeGateway(KEY, SECRET), Known()
    gateway.tell(KeyDocument(pairs=[ACME]))
    async with served(gateway.app()) as url, running(sync_of(url, cache, first)):
        await eventually("the answer is on disk", cache.exists)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert ACME.secret.encode() not in cache.read_bytes()
    second = Known()
    sync_of("http://127.0.0.1:9", cache, second).load()
    assert [pair.key for pair in second.pairs] == [ACME.key]


async def test_a_cache_of_another_installation_is_not_believed(tmp_path: Path) -> None:
    cache = tmp_path / "keys"
    gateway = FakeGateway(KEY, SECRET)
    gateway.tell(KeyDocument(pairs=[ACME]))
    async with served(gateway.app()) as url, running(sync_of(url, cache, Known())):
        await eventually("the answer is on disk", cache.exists)
    known = Known()
    sync_of("http://127.0.0.1:9", cache, known, "the secret of another platform").load()
    assert not known.times
    cache.write_bytes(b"half a fi")
    sync_of("http://127.0.0.1:9", cache, known).load()
    assert not known.times


async def test_while_the_gateway_is_away_nothing_is_forgotten_and_it_is_asked_again(tmp_path: Path) -> None:
    gateway, known = FakeGateway(KEY, SECRET), Known()
    gateway.tell(KeyDocument(pairs=[ACME]))
    async with served(gateway.app()) as url, running(sync_of(url, tmp_path / "keys", known)):
        await eventually("the pair is known", lambda: bool(known.pairs))
        gateway.away = True
        gateway.tell(gateway.document.model_copy(update={"pairs": [ACME, ACME.model_copy(update={"key": "APInew"})]}))
        asked = gateway.asked
        await eventually("it is asked again", lambda: gateway.asked >= asked + 2)
        assert len(known.pairs) == 1
        gateway.away = False
        await eventually("the new pair is known", lambda: len(known.pairs) == 2)


async def test_an_answer_by_somebody_else_changes_nothing(tmp_path: Path) -> None:
    impostor, known = FakeGateway(KEY, SECRET), Known()
    impostor._secret = "not the platform's secret, but long too"
    async with served(impostor.app()) as url, running(sync_of(url, tmp_path / "keys", known)):
        await eventually("it was asked", lambda: impostor.asked >= 2)
    assert not known.times


async def test_without_a_gateway_an_old_cache_opens_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "keys"
    gateway = FakeGateway(KEY, SECRET)
    gateway.tell(KeyDocument(pairs=[ACME]))
    async with served(gateway.app()) as url, running(sync_of(url, cache, Known())):
        await eventually("the answer is on disk", cache.exists)
    known = Known()
    sync_of(None, cache, known).load()
    assert not known.times
