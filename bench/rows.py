"""The loads that are measured, and what each asks of a bare UDP socket."""

from dataclasses import dataclass
from typing import Literal

VIDEO_PAYLOAD = 1100
PACKETS_PER_FRAME = 10
FRAMES_PER_S = 30
AUDIO_PACKETS_PER_S = 50
# RTP header with MID and transport-wide sequence (24), GCM tag (16).
OVERHEAD = 40
AUDIO_PAYLOAD = 80

Media = Literal["audio", "video", "both"]


@dataclass(frozen=True)
class Shape:
    """Sends of one kind of media: every packet of a frame to every receiver."""

    destinations: int
    packets_per_frame: int
    bytes: int
    share: float
    """Part of the row's packets that have this shape."""


@dataclass(frozen=True)
class Row:
    name: str
    publishers: int
    subscribers: int
    publish: Media
    meeting: bool = False
    """Publishers subscribe to each other; there are no other subscribers."""
    packets_per_frame: int = PACKETS_PER_FRAME
    long_only: bool = False

    @property
    def receivers(self) -> int:
        """How many get each packet."""
        return self.publishers - 1 if self.meeting else self.subscribers

    def options(self) -> list[str]:
        return [
            *("--publishers", str(self.publishers), "--subscribers", str(self.subscribers)),
            *("--meeting", str(self.meeting).lower(), "--publish", self.publish),
            *(
                "--packets-per-frame",
                str(PACKETS_PER_FRAME),
                "--payload",
                str(VIDEO_PAYLOAD),
                "--fps",
                str(FRAMES_PER_S),
            ),
        ]

    def shapes(self) -> list[Shape]:
        video_per_s = self.packets_per_frame * FRAMES_PER_S if self.publish != "audio" else 0
        audio_per_s = AUDIO_PACKETS_PER_S if self.publish != "video" else 0
        total = video_per_s + audio_per_s
        shapes = [
            Shape(self.receivers, self.packets_per_frame, VIDEO_PAYLOAD + OVERHEAD, video_per_s / total),
            Shape(self.receivers, 1, AUDIO_PAYLOAD + OVERHEAD, audio_per_s / total),
        ]
        return [shape for shape in shapes if shape.share > 0]


ROWS = [
    Row("video 1 to 1", 1, 1, "video"),
    Row("video 1 to 10", 1, 10, "video"),
    Row("video 1 to 50", 1, 50, "video"),
    Row("video 1 to 200", 1, 200, "video"),
    Row("audio 10 to 50", 10, 50, "audio"),
    Row("video 1 to 200, three times the rate", 1, 200, "video", packets_per_frame=30, long_only=True),
    Row("audio 20 to 100", 20, 100, "audio", long_only=True),
    Row("meeting 10 x 10, audio and video", 10, 0, "both", meeting=True),
]
