"""What raters said of an evaluation's answers: a file in its folder to which lines are added, and raters' names.

Knows neither how a rater was asked nor what the ratings add up to.
"""

import fcntl
import json
import os
import re
import unicodedata
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from app.ratings.plan import Key, Pair, complete_lines
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error

Verdict = Literal["left", "tie", "right"]
VERDICTS: tuple[Verdict, ...] = ("left", "tie", "right")

RATINGS = "ratings.jsonl"

LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Rating:
    """What a rater said of a pair; without verdicts it takes an earlier one back."""

    rater: str
    question: str
    left: str
    right: str
    words: str
    tone: Verdict | None
    correctness: Verdict | None
    time: str

    @property
    def key(self) -> Key:
        """What was compared, whichever stood left."""
        return Key(self.question, min(self.left, self.right), max(self.left, self.right), self.words)

    def withdrawn(self) -> Self:
        """The line that takes this rating back."""
        return replace(self, tone=None, correctness=None, time=_now())


def rater_name(written: str) -> str:
    """The name of a rater as it is kept: one spelling for one person.

    Raises:
        DeskmateError: nothing, too long, or with other signs than a name has.
    """
    if len(written) > 4 * LONGEST_NAME:  # before anything walks through it
        raise DeskmateError(f"the name is too long; at most {LONGEST_NAME} characters, please")
    name = " ".join(unicodedata.normalize("NFKC", written).casefold().split())
    if not name:
        raise DeskmateError("please give a name, so that your ratings can be told from those of others")
    if len(name) > LONGEST_NAME:
        raise DeskmateError(f"the name is too long; at most {LONGEST_NAME} characters, please")
    if not re.fullmatch(r"[^\W_][\w .'-]*", name):
        raise DeskmateError("a name has letters, digits, spaces, dots, hyphens and apostrophes; please choose another")
    return name


class Ratings:
    """The ratings of one evaluation: a file to which lines are added and in which none is ever changed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RATINGS

    def standing(self) -> list[Rating]:
        """What stands, the oldest first: for each rater and pair the last line, unless it takes the rating back.

        Raises:
            DeskmateError: a line that is no rating.
        """
        standing: dict[tuple[str, Key], Rating] = {}
        for number, line in complete_lines(self._path) if self._path.exists() else ():
            try:
                rating = Rating(**line)
                names = (rating.rater, rating.question, rating.left, rating.right, rating.words)
                verdicts = {rating.tone, rating.correctness}
                if not all(isinstance(name, str) for name in names) or not (
                    verdicts <= set(VERDICTS) or verdicts == {None}
                ):
                    raise TypeError(line)
            except TypeError as error:
                raise DeskmateError(f"{self._path}:{number} is not a rating; correct or remove this line") from error
            standing.pop((rating.rater, rating.key), None)
            if rating.tone:
                standing[(rating.rater, rating.key)] = rating
        return list(standing.values())

    def of(self, rater: str) -> list[Rating]:
        """What stands of one rater, the oldest first."""
        return [rating for rating in self.standing() if rating.rater == rater]

    def rate(self, rater: str, pair: Pair, tone: Verdict, correctness: Verdict) -> None:
        """Keep what a rater said; see `add`."""
        key = pair.key
        self.add(Rating(rater, key.question, pair.left.mode, pair.right.mode, key.words, tone, correctness, _now()))

    def add(self, rating: Rating) -> None:
        """Put a line at the end, on disk when this returns. Writers wait for each other, threads and processes alike.

        Raises:
            DeskmateError: the disk refuses; what was there before is kept.
        """
        line = json.dumps(asdict(rating)) + "\n"
        try:
            with open(self._path, "a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _drop_torn_line(file.fileno())
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise explain_disk_error(error, "keeping a rating") from error


def _drop_torn_line(fd: int) -> None:
    """Cut off what a writer that was killed left behind the last end of line; it would spoil the next line."""
    size = os.fstat(fd).st_size
    tail, at = b"", size
    while at and b"\n" not in tail:
        at = max(0, at - 4096)
        tail = os.pread(fd, size - at, at)
    if not tail.endswith(b"\n"):
        os.ftruncate(fd, at + tail.rfind(b"\n") + 1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
