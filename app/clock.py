"""How long an answer takes: its wall times. Knows no answers."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall times in milliseconds from the moment the question came in."""

    retrieval_ms: float = 0.0
    first_token_ms: float = 0.0
    total_ms: float = 0.0


class Clock:
    """Wall times of one answer in milliseconds, from now on."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.retrieval_ms = 0.0
        self._first_token_ms = 0.0

    def _now(self) -> float:
        return (time.perf_counter() - self._start) * 1000

    def retrieved(self) -> None:
        """What was searched for is found."""
        self.retrieval_ms = self._now()

    def wrote(self) -> None:
        """The model wrote something."""
        self._first_token_ms = self._first_token_ms or self._now()

    def timing(self, share: int = 1) -> Timing:
        """The times so far, of one of `share` questions."""
        times = (self.retrieval_ms, self._first_token_ms, self._now())
        return Timing(*(round(ms / share, 1) for ms in times))
