"""Fixtures for every test."""

import pytest

from auralink.kit.telemetry import configure_logging

pytest_plugins = ["auralink.kit.testing.database", "auralink.app.testing"]


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """As the product logs: the library's default would draw every traceback with all local variables."""
    configure_logging("info", json=False)
