"""Figures of the platform, taken by `make bench`; nothing here runs in the test suite."""
