"""Is this process alive, and can it do its work? `/readyz` asks every dependency and names the one that fails."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from auralink.kit.errors import AuraError

Check = Callable[[], Awaitable[None]]
"""Returns when the dependency answers; raises, with words for the operator, when it does not."""

_CHECK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    name: str
    ok: bool
    reason: str | None = None


class HealthRegistry:
    """The checks of one server. Filled while the process is put together."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self.draining = False
        """Set when the process stops: no new work, so not ready."""

    def add(self, name: str, check: Check) -> None:
        if name in self._checks:
            raise ValueError(f"there is a health check named {name} already")
        self._checks[name] = check

    async def run(self) -> list[CheckResult]:
        results = await asyncio.gather(*(_ask(name, check) for name, check in self._checks.items()))
        if self.draining:
            results.append(CheckResult("process", False, "shutting down"))
        return results


async def _ask(name: str, check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except TimeoutError:
        return CheckResult(name, False, f"no answer within {_CHECK_SECONDS:g} s")
    except AuraError as error:
        return CheckResult(name, False, error.detail or error.title)
    except Exception as error:  # noqa: BLE001 (whatever a check raises is its answer)
        return CheckResult(name, False, f"{type(error).__name__}: {error}")
    return CheckResult(name, True)
