"""One platform for the journeys of a worker; those that break it start their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.journeys.people import Person
from tests.platform import Platform, running_platform


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path_factory.mktemp("platform") / "state") as running:
        yield running


def pytest_report_header() -> str:
    from tests.journeys.test_external_livekit import BINARY

    if BINARY is None:
        return "LiveKit: no livekit-server found, the journey against one is NOT run (set LIVEKIT_SERVER_BINARY)"
    return f"LiveKit: the journey runs against {BINARY}"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where a platform of a test's own keeps its data."""
    return tmp_path / "state"


@pytest_asyncio.fixture
async def person(platform: Platform) -> AsyncIterator[Person]:
    async with await Person.sign_up(platform.url) as person:
        yield person
