"""Texts that are the same, or nearly: duplicates, and training pairs that give away an evaluation question.

Near-duplicates are found exactly, by the Jaccard similarity of word shingles with a prefix filter (Bayardo et al. 2007,
"Scaling up all pairs similarity search"); 100,000 questions take seconds. Knows nothing of splits.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.curation.pairs import Pair
from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl

SHINGLE = 2
"""Words of a shingle. A question has ten words; longer shingles would see one changed word as another question."""
EXAMPLES = 5
"""Overlaps that a report shows of each set."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Asked:
    """An evaluation question with its reference answer."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """An evaluation set that must not be trained on, named by its file and the folder that it lies in."""

    name: str
    asked: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The text of an index that is most like another one: its place and the Jaccard similarity, 0 to 1."""

    place: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """A pair that gives an evaluation question away. `how` is `exact`, `near` or `shared`: a run of words in both."""

    pair_id: str
    question: str
    asked_id: str
    asked: str
    how: str
    shared: str


@dataclass(frozen=True, slots=True)
class Leakage:
    """The audit against one evaluation set, as the data card shows it: what was found, all of it taken out."""

    name: str
    questions: int
    pairs: int
    exact: int
    near: int
    shared: int
    examples: tuple[Overlap, ...]


def words(text: str) -> list[str]:
    """The words of a text as they are compared: NFKC, case folded, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def normal(text: str) -> str:
    """What two texts share when they differ in case, punctuation and white space only."""
    return " ".join(words(text)) or " ".join(text.split())


def shingles(text: str) -> frozenset[str]:
    """Runs of `SHINGLE` words; a shorter text is one shingle, one without words none."""
    return frozenset(_runs(words(text), SHINGLE)) or frozenset({normal(text)} - {""})


class NearIndex:
    """Texts in which the most similar one to another is looked up; what is less similar than `threshold` is not seen.

    Two sets that share `threshold` of their union share one of the rarest shingles of each. So only these are indexed.
    """

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        self._threshold = threshold
        self._sets = [shingles(text) for text in texts]
        self._frequency = Counter(shingle for one in self._sets for shingle in one)
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(self._sets):
            for shingle in self._rarest(one):
                self._places[shingle].append(place)

    def find(self, text: str) -> Match | None:
        """The most similar text of the index, the first of several; None where none is similar enough."""
        own = shingles(text)
        places = {place for shingle in self._rarest(own) for place in self._places.get(shingle, ())}
        best = max(
            (Match(place, _jaccard(own, self._sets[place])) for place in sorted(places)), key=_similarity, default=None
        )
        return best if best and best.similarity >= self._threshold else None

    def _rarest(self, one: frozenset[str]) -> list[str]:
        """As many of the rarest shingles as any set that is similar enough must share one of."""
        enough = len(one) - math.ceil(round(self._threshold * len(one), 9)) + 1
        return sorted(one, key=lambda shingle: (self._frequency[shingle], shingle))[:enough]


def read_questions(path: Path) -> QuestionSet:
    """Read an evaluation set's ids, questions and answers; what else stands in it is left alone.

    Raises:
        DeskmateError: no such file, no JSON, or a line without a question; with file and line.
    """
    asked = []
    for number, data in read_jsonl(path):
        question, answer = data.get("question"), data.get("answer", "")
        if not isinstance(question, str) or not question.strip() or not isinstance(answer, str):
            raise DeskmateError(f"{path}:{number}: no evaluation question: `question` and `answer` must be text")
        asked.append(Asked(str(data.get("id", number)), question, answer))
    return QuestionSet("/".join(path.absolute().parts[-2:]), tuple(asked))


def audit(
    pairs: Sequence[Pair], sets: Sequence[QuestionSet], threshold: float, run: int
) -> tuple[dict[int, Overlap], tuple[Leakage, ...]]:
    """Find the pairs that give evaluation questions away.

    Questions are compared with questions: the same words, shingles of which `threshold` agree, or a run of `run` words
    in both. Answers are compared with answers by the run alone, and refusals not at all: all of them are alike.

    Args:
        pairs: what is about to be trained on.
        sets: the evaluation sets.
        threshold: Jaccard similarity from which two questions are near-duplicates.
        run: words in a row that are too many to share.

    Returns:
        The first overlap of each pair by its place in `pairs`, and the findings set by set.
    """
    found: dict[int, Overlap] = {}
    findings = []
    for one in sets:
        overlaps = dict(_overlaps(pairs, one, threshold, run))
        how = Counter(overlap.how for overlap in overlaps.values())
        shown = tuple(list(overlaps.values())[:EXAMPLES])
        findings.append(
            Leakage(one.name, len(one.asked), len(overlaps), how["exact"], how["near"], how["shared"], shown)
        )
        found = overlaps | found
    return found, tuple(findings)


def _overlaps(pairs: Sequence[Pair], one: QuestionSet, threshold: float, run: int) -> Iterator[tuple[int, Overlap]]:
    exact = {normal(asked.question): asked for asked in reversed(one.asked)}
    near = NearIndex((asked.question for asked in one.asked), threshold)
    questions = {run_: asked for asked in reversed(one.asked) for run_ in _runs(words(asked.question), run)}
    answers = {run_: asked for asked in reversed(one.asked) for run_ in _runs(words(asked.answer), run)}
    for place, pair in enumerate(pairs):
        if asked := exact.get(normal(pair.question)):
            yield place, Overlap(pair.id, pair.question, asked.id, asked.question, "exact", pair.question)
        elif match := near.find(pair.question):
            asked = one.asked[match.place]
            alike = f"{match.similarity:.0%} of their word pairs"
            yield place, Overlap(pair.id, pair.question, asked.id, asked.question, "near", alike)
        else:
            shared = [(questions[run_], run_) for run_ in _runs(words(pair.question), run) if run_ in questions]
            if pair.answerable:
                shared += [(answers[run_], run_) for run_ in _runs(words(pair.answer), run) if run_ in answers]
            for asked, words_ in shared[:1]:
                yield place, Overlap(pair.id, pair.question, asked.id, asked.question, "shared", words_)


def _runs(words_: Sequence[str], length: int) -> Iterator[str]:
    """Every run of `length` words."""
    return (" ".join(words_[at : at + length]) for at in range(len(words_) - length + 1))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def _similarity(match: Match) -> float:
    return match.similarity
