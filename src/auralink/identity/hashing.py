"""Argon2id away from the event loop, in a bounded number of threads with a bounded queue.

Owner of the threads: the PasswordHasher; close it after the last request.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from auralink.identity.passwords import normalise
from auralink.kit.errors import Unavailable

T = TypeVar("T")


class HashingBusy(Unavailable):
    code = "sign_in_busy"
    title = "Too many people are signing in at this moment"


class PasswordHasher:
    def __init__(self, *, time_cost: int, memory_kib: int, parallelism: int, workers: int, queue: int) -> None:
        self._argon2 = argon2.PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="argon2")
        self._waiting = 0
        self._most = workers + queue
        self._nobodys_hash = self._argon2.hash(secrets.token_urlsafe(16))

    async def hash(self, password: str) -> str:
        """Raises HashingBusy when the queue is full."""
        return await self._run(lambda: self._argon2.hash(normalise(password)))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether `password` is the one hashed. Without a hash (no such account) the same work is done for nothing, so
        that the time taken tells nothing. Raises HashingBusy when the queue is full."""
        return await self._run(lambda: self._verify(encoded or self._nobodys_hash, password)) and encoded is not None

    def is_outdated(self, encoded: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(encoded)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._argon2.verify(encoded, normalise(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most:
            raise HashingBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
