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
    frames_per_s: int
    """Of all publishers together."""
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
    fps: int = FRAMES_PER_S
    rooms: int = 1
    """As many rooms of this shape at once."""
    group: str = "main"
    long_only: bool = False

    @property
    def receivers(self) -> int:
        """How many get each packet."""
        return self.publishers - 1 if self.meeting else self.subscribers

    def options(self) -> list[str]:
        return [
            *("--rooms", str(self.rooms)),
            *("--publishers", str(self.publishers), "--subscribers", str(self.subscribers)),
            *("--meeting", str(self.meeting).lower(), "--publish", self.publish),
            *(
                "--packets-per-frame",
                str(self.packets_per_frame),
                "--payload",
                str(VIDEO_PAYLOAD),
                "--fps",
                str(self.fps),
            ),
            *("--kernel-stamps", str(self.group == "half").lower()),
        ]

    def shapes(self) -> list[Shape]:
        video_per_s = self.packets_per_frame * self.fps if self.publish != "audio" else 0
        audio_per_s = AUDIO_PACKETS_PER_S if self.publish != "video" else 0
        total = video_per_s + audio_per_s
        shapes = [
            Shape(
                self.receivers,
                self.packets_per_frame,
                VIDEO_PAYLOAD + OVERHEAD,
                self.rooms * self.publishers * self.fps,
                video_per_s / total,
            ),
            Shape(
                self.receivers,
                1,
                AUDIO_PAYLOAD + OVERHEAD,
                self.rooms * self.publishers * AUDIO_PACKETS_PER_S,
                audio_per_s / total,
            ),
        ]
        return [shape for shape in shapes if shape.share > 0]


ROWS = [
    Row("video 1 to 1", 1, 1, "video"),
    Row("video 1 to 10", 1, 10, "video"),
    Row("video 1 to 50", 1, 50, "video"),
    Row("video 1 to 200", 1, 200, "video"),
    Row("video 10 to 20", 10, 20, "video"),
    Row("audio 10 to 50", 10, 50, "audio"),
    Row("audio 10 to 100", 10, 100, "audio"),
    Row("meeting 10 x 10, audio and video", 10, 0, "both", meeting=True),
    Row("video 1 to 200, three times the rate", 1, 200, "video", packets_per_frame=30, long_only=True),
    Row("audio 20 to 100", 20, 100, "audio", long_only=True),
    # The same 25,000 packets a second to ever more subscribers, and in ever more streams to each.
    Row("flat: audio 50 to 10", 50, 10, "audio", group="flat"),
    Row("flat: audio 10 to 50", 10, 50, "audio", group="flat"),
    Row("flat: audio 1 to 500", 1, 500, "audio", group="flat"),
    # The same 15,000 packets a second, in frames of ten.
    Row("flat: video 50 to 10", 50, 10, "video", fps=3, group="flat"),
    Row("flat: video 5 to 10", 5, 10, "video", group="flat"),
    Row("flat: video 1 to 50", 1, 50, "video", group="flat"),
    Row("flat: video 1 to 500", 1, 500, "video", fps=3, group="flat"),
    # About half of what one core forwards: what latency is promised for.
    Row("half load: audio 10 to 200", 10, 200, "audio", group="half"),
    Row("half load: 6 meetings of 10, audio and video", 10, 0, "both", meeting=True, rooms=6, group="half"),
    Row("half load: 18 audio rooms of 10", 10, 0, "audio", meeting=True, rooms=18, group="half"),
    # The same rooms, as many as LiveKit carries with about half of a core.
    Row("LiveKit's half load: 1 meeting of 10, audio and video", 10, 0, "both", meeting=True, group="half"),
    Row("LiveKit's half load: 7 audio rooms of 10", 10, 0, "audio", meeting=True, rooms=7, group="half"),
    # One frame is 700 packets here: sending it alone takes longer than the 2 ms that are promised.
    Row("half load: video 1 to 140, four times the rate", 1, 140, "video", packets_per_frame=5, fps=240, group="half"),
    # More than one core forwards.
    Row("saturated: video 1 to 300, five times the rate", 1, 300, "video", packets_per_frame=50, group="saturated"),
    Row("saturated: audio 40 to 300", 40, 300, "audio", group="saturated"),
]
GROUPS = tuple(dict.fromkeys(row.group for row in ROWS))
