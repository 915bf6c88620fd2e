"""Accounts, AuraIDs, sessions."""

from auralink.identity.aura_ids import AuraId
from auralink.identity.domain import Account, InstanceRole, SignupMode
from auralink.identity.errors import AccountNotFound
from auralink.identity.events import AccountOpened, SessionRevokedByReplay
from auralink.identity.interface import People
from auralink.identity.ports import Tenancy

__all__ = [
    "Account",
    "AccountNotFound",
    "AccountOpened",
    "AuraId",
    "InstanceRole",
    "People",
    "SessionRevokedByReplay",
    "SignupMode",
    "Tenancy",
]
