"""Password hashing keeps the event loop free and is bounded."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from auralink.app.testing import Gateway, MakePerson
from auralink.identity.hashing import HashingBusy, PasswordHasher
from auralink.identity.pruning import session_pruning
from auralink.identity.store import SessionStore
from auralink.kit.auth import Principal


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    made = PasswordHasher(time_cost=1, memory_kib=8192, parallelism=1, workers=1, queue=2)
    yield made
    made.close()


async def test_a_password_verifies_against_its_hash_in_any_keyboards_spelling(hasher: PasswordHasher) -> None:
    encoded = await hasher.hash("ein schöner Tag")
    assert encoded.startswith("$argon2id$")
    assert await hasher.verify(encoded, "ein scho\u0308ner Tag")
    assert not await hasher.verify(encoded, "ein schoner Tag")
    assert not await hasher.verify(None, "anything")
    assert not await hasher.verify("not a hash", "anything")


async def test_hashing_leaves_the_event_loop_and_refuses_more_than_its_queue(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on, proceed = threading.Event(), threading.Event()

    def slow(_: PasswordHasher, encoded: str, password: str) -> bool:
        going_on.set()
        return proceed.wait(30)

    monkeypatch.setattr(PasswordHasher, "_verify", slow)
    waiting = [asyncio.create_task(hasher.verify("x", "y")) for _ in range(3)]
    await asyncio.to_thread(going_on.wait, 30)  # the loop runs on while the hash is being made
    with pytest.raises(HashingBusy):
        await hasher.verify("x", "y")
    proceed.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await hasher.verify("x", "y")


async def test_sessions_that_ended_long_ago_are_removed(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    await ann.client.post("/api/v1/auth/refresh", json={"refresh_token": ann.refresh_token})
    await ann.client.post("/api/v1/auth/logout")
    bob = await person("Bob")
    pruning = session_pruning(gateway.database, SessionStore(), gateway.clock)
    assert await pruning.step() == 0
    await gateway.clock.advance(timedelta(days=31).total_seconds())
    bob_again = await bob.client.post(
        "/api/v1/auth/login", json={"email": bob.account["user"]["email"], "password": "a quiet place in the sun"}
    )
    assert bob_again.status_code == 200
    assert await pruning.step() >= 1
    async with gateway.database.transaction(Principal.system()) as tx:
        revoked = text("select count(*) from session_families where revoked_at is not null")
        assert (await tx.session.execute(revoked)).scalar_one() == 0
        tokens = text("select count(*) from refresh_tokens")
        assert (await tx.session.execute(tokens)).scalar_one() == 2  # Bob's
