"""Fixtures for every test."""

pytest_plugins = ["auralink.kit.testing.database"]
