"""Simulated: the signal connection of a participant that wants to resume breaks again."""

import time
from dataclasses import dataclass

_CUTS_S = 5.0
"""How long after the request a resume is cut."""
_SILENT_CUTS = 3


@dataclass
class ResumeCuts:
    """Whether the coming resumes of a participant are to be cut."""

    after_until: float = 0.0
    silent_until: float = 0.0
    silent_left: int = 0

    def cut_once_told(self) -> None:
        self.after_until = time.monotonic() + _CUTS_S

    def cut_silently(self) -> None:
        self.silent_until, self.silent_left = time.monotonic() + _CUTS_S, _SILENT_CUTS

    def silently(self) -> bool:
        """Before anything was said?"""
        if self.silent_left == 0 or time.monotonic() >= self.silent_until:
            return False
        self.silent_left -= 1
        return True

    def afterwards(self) -> bool:
        """After everything was said? Once."""
        due = time.monotonic() < self.after_until
        self.after_until = 0.0
        return due
