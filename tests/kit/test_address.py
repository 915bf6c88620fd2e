"""Where a request comes from, as rate limits count it."""

import pytest
from starlette.requests import HTTPConnection

from auralink.kit.http.address import origin_of


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_one_site_counts_as_one(address: str, origin: str) -> None:
    assert origin_of(HTTPConnection({"type": "http", "headers": [], "client": (address, 1)})) == origin


def test_a_request_from_nowhere_counts_too() -> None:
    assert origin_of(HTTPConnection({"type": "http", "headers": [], "client": None})) == "unknown"
