"""Which two answers of an evaluation a rater is shown: blinded, drawn by lot, and the same whenever it is asked.

Knows the answers' files; knows no HTML, no request, and not what anyone said.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, Self

from ingest.errors import DeskmateError

RESULTS = "results-*.jsonl"

SEED = "deskmate ratings 1"
"""Changes every order and every side. Whoever repeats an evaluation of people keeps it."""

SHARED_EVERY = 3
"""Every third question is put to all raters with the same two modes, so that their agreement can be told."""


@dataclass(frozen=True, slots=True)
class Source:
    """One passage that an answer cites."""

    n: int
    doc: str
    heading: str
    page: int | None
    quote: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one mode answered to a question: one side of a comparison."""

    mode: str
    text: str
    sources: tuple[Source, ...]

    def reads_like(self, other: Self) -> bool:
        """Whether both are the same words, so that nobody can tell which is better."""
        return self.text.split() == other.text.split()


class Key(NamedTuple):
    """A question, two modes in alphabetical order, and a hash of the words that were compared."""

    question: str
    one: str
    other: str
    words: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and its answers by mode."""

    id: str
    question: str
    answers: Mapping[str, Candidate]

    def comparable(self) -> list[tuple[str, str]]:
        """The pairs of modes, in alphabetical order, whose answers differ."""
        return [
            (one, other)
            for one, other in combinations(sorted(self.answers), 2)
            if not self.answers[one].reads_like(self.answers[other])
        ]

    def key(self, modes: tuple[str, str]) -> "Key":
        """What a rating of two modes' answers holds for: this question, these modes, these very words."""
        one, other = sorted(modes)
        words = json.dumps([self.question, self.answers[one].text, self.answers[other].text])
        return Key(self.id, one, other, hashlib.sha256(words.encode()).hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers as one rater is shown them. `id` names the pair to this rater and tells nothing of the modes."""

    id: str
    question: Asked
    left: Candidate
    right: Candidate
    shared: bool

    @property
    def key(self) -> Key:
        """What is compared, whichever stands left."""
        return self.question.key((self.left.mode, self.right.mode))


def evaluations(reports: Path) -> list[str]:
    """The evaluations of a workspace whose answers can be compared, by name."""
    return sorted({path.parent.name for path in reports.glob(f"*/{RESULTS}")})


def questions_of(folder: Path) -> tuple[Asked, ...]:
    """The questions of an evaluation with the answers of all its modes, in the order of the set.

    A question that a set asks twice in the same words (once more without its documents, say) is taken once: people
    could not tell which of the two they judge. A line without an answer is left out.

    Raises:
        DeskmateError: a line that is no answer.
    """
    files = sorted(folder.glob(RESULTS))
    return _questions(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@lru_cache(maxsize=4)
def _questions(files: tuple[tuple[Path, int, int], ...]) -> tuple[Asked, ...]:
    """Read the answers; the times and sizes are for the cache, so that an evaluation that goes on is read again."""
    asked: dict[str, str] = {}
    answers: dict[str, dict[str, Candidate]] = {}
    for path, _, _ in files:
        for number, line in complete_lines(path):
            try:
                name, question, mode = (_text(line[key]) for key in ("id", "question", "mode"))
                if (text := line.get("answer")) is None:
                    continue
                answered = Candidate(mode, _text(text), tuple(_source(one) for one in line.get("citations") or ()))
            except (KeyError, TypeError, ValueError) as error:
                raise DeskmateError(
                    f"{path}:{number} is not an answer of deskmate eval; run the evaluation again"
                ) from (error)
            asked.setdefault(name, question)
            answers.setdefault(name, {})[mode] = answered
    first = {question: name for name, question in reversed(asked.items())}
    return tuple(Asked(name, asked[name], answers[name]) for name in asked if first[asked[name]] == name)


def _source(citation: Mapping[str, Any]) -> Source:
    page = citation.get("page")
    heading = _text(citation.get("heading") or "")
    return Source(int(citation["n"]), _text(citation["doc"]), heading, page and int(page), _text(citation["quote"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def plan(questions: Sequence[Asked], rater: str) -> tuple[Pair, ...]:
    """What a rater is shown, in order: the same for the same answers and the same name, wherever it is computed.

    Every third pair is of a shared question. The other questions come in an order of the rater's own. Pairs of modes
    are spread evenly over what a rater sees first, so that one who stops early has seen them all. Which answer stands
    left is drawn for each rater and pair: people, and models as judges, favour a side.
    """
    offered = sorted((one for one in questions if one.comparable()), key=lambda one: _draw("question", one.id))
    shared = offered[::SHARED_EVERY]
    own = [one for place, one in enumerate(offered) if place % SHARED_EVERY]
    own.sort(key=lambda one: _draw("order", rater, one.id))
    of_all, of_one = _spread(shared, ""), _spread(own, rater)
    return tuple(
        _pair(rater, *next(of_one if place % SHARED_EVERY else of_all), shared=place % SHARED_EVERY == 0)
        for place in range(len(offered))
    )


def _spread(questions: Sequence[Asked], rater: str) -> Iterator[tuple[Asked, tuple[str, str]]]:
    """Each question with the pair of modes that came least often before it; chance decides between equals."""
    came: Counter[tuple[str, str]] = Counter()
    for one in questions:
        modes = min(one.comparable(), key=lambda pair: (came[pair], _draw("modes", rater, one.id, *pair)))
        came[modes] += 1
        yield one, modes


def _pair(rater: str, asked: Asked, modes: tuple[str, str], *, shared: bool) -> Pair:
    left, right = modes if _draw("side", rater, asked.id, *modes) % 2 else modes[::-1]
    name = f"{_draw('pair', rater, *asked.key(modes)):032x}"
    return Pair(name, asked, asked.answers[left], asked.answers[right], shared)


def _draw(*parts: str) -> int:
    """A number of 128 bits that looks random and is the same in every process."""
    text = json.dumps([SEED, *parts])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())


def complete_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a file with their numbers; what stands behind the last end of line is not there yet, or torn."""
    for number, raw in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            line = json.loads(raw)
            if not isinstance(line, dict):
                raise ValueError(line)
        except ValueError as error:
            raise DeskmateError(f"{path}:{number} is not a JSON object; correct or remove this line") from error
        yield number, line
