"""How the tests hear."""

import math
from array import array

from tests.compat.sound import frequency_hz
from tests.journeys.people import SAMPLE_RATE


def test_the_frequency_of_a_tone_is_heard_and_nothing_has_none() -> None:
    tone = array("h", (int(8_000 * math.sin(math.tau * 440 * at / SAMPLE_RATE)) for at in range(SAMPLE_RATE // 5)))
    assert abs(frequency_hz(tone) - 440) < 10
    assert frequency_hz(array("h")) == 0, "a track that ended before a sample came"
