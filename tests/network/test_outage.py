"""The media server alone, for some seconds; `python -m tests.network.outage` does it for minutes."""

from pathlib import Path

import pytest
from tests.network.outage import outage


@pytest.mark.timeout(300)
async def test_twenty_rooms_go_on_without_gateway_and_database_and_their_events_follow(tmp_path: Path) -> None:
    said: list[str] = []
    await outage(tmp_path, rooms=20, seconds=5.0, tell=said.append)
    assert said[-1] == "all events are there, in order"
