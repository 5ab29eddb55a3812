"""How fast somebody may try passwords: slower with every attempt, never locked out. Knows no accounts and no HTTP.

Attempts are spaced, not refused: whoever has the right password gets in after a wait, even while somebody else guesses.
Each counts before it is checked, so that many at once gain nothing. All of it is in memory: a restart forgets it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

QUIET_S = 900.0
"""Seconds without an attempt after which those before are forgotten."""

LONGEST_WAIT_S = 30.0
"""Longest wait that a request is held for; behind it, it is told to come again."""

MOST_KEPT = 20_000
"""Names, or addresses, that are remembered; the one that was quiet for longest goes first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How the spacing grows: `free` attempts at once, then `first_s` seconds apart, doubling up to `most_s`."""

    free: int
    first_s: float
    most_s: float

    def spacing(self, attempts: int) -> float:
        """Seconds from the last of so many attempts to the next."""
        over = attempts - self.free
        return 0.0 if over < 0 else min(self.first_s * 2.0 ** min(over, 30), self.most_s)


PER_NAME = Rule(free=4, first_s=1.0, most_s=5.0)
PER_ADDRESS = Rule(free=20, first_s=1.0, most_s=10.0)
"""An office shares one address, and everybody there signs in at nine."""


@dataclass(slots=True)
class _Trail:
    attempts: int
    next_at: float
    last_at: float


class Pace:
    """The attempts on each of some keys."""

    def __init__(self, rule: Rule, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule
        self._clock = clock
        self._trails: dict[str, _Trail] = {}  # the one used last at the end

    def wait(self, key: str) -> float:
        """Seconds until the next attempt on `key` may be made."""
        trail = self._trail(key)
        return max(0.0, trail.next_at - self._clock())

    def take(self, key: str) -> None:
        """Count an attempt, made as soon as `wait` said."""
        trail = self._trail(key)
        self._trails.pop(key, None)
        self._trails[key] = trail
        if len(self._trails) > MOST_KEPT:
            del self._trails[next(iter(self._trails))]
        trail.attempts += 1
        trail.last_at = max(self._clock(), trail.next_at)
        trail.next_at = trail.last_at + self._rule.spacing(trail.attempts)

    def forgive(self, key: str, attempts: int = 1) -> None:
        """Take attempts off: the password was right."""
        trail = self._trail(key)
        trail.attempts = max(0, trail.attempts - attempts)
        trail.next_at = min(trail.next_at, self._clock() + self._rule.spacing(trail.attempts))
        if not trail.attempts:
            self._trails.pop(key, None)

    def _trail(self, key: str) -> _Trail:
        now = self._clock()
        trail = self._trails.get(key)
        return trail if trail and now - trail.last_at < QUIET_S else _Trail(0, now, now)
