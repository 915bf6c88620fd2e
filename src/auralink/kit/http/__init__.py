"""The HTTP edge: what a router takes as parameters, and the shell every server shares."""

from auralink.kit.http.dependencies import Caller, SystemTransaction, Transaction

__all__ = ["Caller", "SystemTransaction", "Transaction"]
