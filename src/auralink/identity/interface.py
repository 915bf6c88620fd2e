"""What other domains may ask of identity."""

from typing import Protocol

from auralink.identity.domain import Account
from auralink.kit.db import Tx
from auralink.kit.ids import UserId


class People(Protocol):
    async def get(self, tx: Tx, user_id: UserId) -> Account:
        """Raises AccountNotFound, also for accounts this transaction's principal may not see."""
