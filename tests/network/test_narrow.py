"""A camera in three layers, behind a line that becomes narrow; `python -m tests.network.narrow` tells it by seconds."""

import pytest
from tests.network.conftest import Site
from tests.network.narrow import watching


@pytest.mark.timeout(240)
async def test_a_narrow_line_gets_a_smaller_picture_and_a_wide_one_the_larger_again(site: Site, room: str) -> None:
    async with watching(site, room) as line:
        large = line.seen.frames[-1][1]
        line.narrow(250_000)
        small = await line.seen.settles("a smaller picture", lambda width: width < large)
        line.narrow(0)
        await line.seen.settles("a larger picture", lambda width: width > small)
