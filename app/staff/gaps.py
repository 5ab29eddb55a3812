"""What could not be answered: questions that were declined, judged not found or handed over, put together by meaning.

Vectors live in memory only, so that an erased conversation leaves nothing behind. Knows who asked only to count them.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from app.answering.history import standalone
from app.database import Database, conversations, exchanges, handovers, judgements
from app.loop.corrections import question_key
from app.staff.packets import names_of
from finetune.curation.pii import mask
from finetune.template import Turn
from retrieval.embed import Vectors

DAYS = 90
"""How far back is looked."""

MOST = 10_000
"""Questions that are looked at, the latest."""

ALIKE = 0.75
"""Cosine from which two questions are about one thing; see docs/help-desk.md for how it was chosen."""

WEEK_S = 7 * 86_400
WEEKS = 5
"""Weeks of a trend: this one and the four before."""

EXAMPLES = 5
BATCH = 64
BLOCK = 512

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """One question that got no answer. `owner` is a `Person.id`, for counting."""

    exchange: int
    conversation: str
    owner: str
    asked: float
    question: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Questions about one thing, the most central one first."""

    questions: tuple[Unanswered, ...]

    @property
    def askers(self) -> int:
        """How many different people asked."""
        return len({one.owner for one in self.questions})

    def weeks(self, now: float) -> tuple[int, ...]:
        """How often it was asked in each of the last weeks, this one last."""
        ages = [int((now - one.asked) // WEEK_S) for one in self.questions]
        return tuple(ages.count(age) for age in reversed(range(WEEKS)))

    def rise(self, now: float) -> float:
        """How many more times it was asked this week than in an average week of the four before."""
        *before, this = self.weeks(now)
        return this - sum(before) / len(before)


class Gaps:
    """The gaps of a database, found anew whenever its questions have changed."""

    def __init__(self, database: Database, embed: Embed, alike: float = ALIKE) -> None:
        """Remember where to look.

        Args:
            database: with the kept exchanges.
            embed: texts to unit vectors.
            alike: see `ALIKE`.
        """
        self._database = database
        self._embed = embed
        self._alike = alike
        self._lock = threading.Lock()
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        self._found: tuple[tuple[int, ...], tuple[Gap, ...]] = ((), ())
        self._gathering: Future[None] | None = None

    def find(self, wait_s: float = 5.0) -> tuple[Gap, ...] | None:
        """The gaps, the most frequent first; None where they are not found in so many seconds: ask again then.

        Raises:
            DeskmateError: the database or the embedder cannot be used.
        """
        questions = self._questions()
        wanted = tuple(one.exchange for one in questions)
        with self._lock:
            if self._found[0] == wanted:
                return self._found[1]
            if self._gathering is None or self._gathering.done():
                self._gathering = Future()
                # No executor: at the end of the process those are waited for.
                args = (questions, self._gathering)
                threading.Thread(target=self._run, args=args, name="deskmate-gaps", daemon=True).start()
            gathering = self._gathering
        with contextlib.suppress(TimeoutError):
            gathering.result(wait_s)
        with self._lock:
            return self._found[1] if self._found[0] == wanted else None

    def examples(self, gap: Gap, most: int = EXAMPLES) -> list[str]:
        """Some of a gap's questions, masked, each once, the most central one first."""
        with self._database.reading() as connection:
            names = names_of(connection, {one.conversation for one in gap.questions})
        seen = {question_key(one.question): one.question for one in reversed(gap.questions)}
        chosen = list(reversed(seen.values()))[:most]
        return [mask(one, names=names).text for one in chosen]

    def _questions(self) -> list[Unanswered]:
        """The latest questions without an answer, oldest first."""
        not_found = sa.select(judgements.c.exchange).where(
            judgements.c.verdict == "down", judgements.c.reason == "not-found"
        )
        asked_before = (exchanges.c.conversation == handovers.c.conversation) & (exchanges.c.asked <= handovers.c.at)
        handed = (
            sa.select(sa.func.max(exchanges.c.id))
            .select_from(handovers.join(exchanges, asked_before))
            .group_by(handovers.c.id)
        )
        columns = (exchanges.c.id, exchanges.c.conversation, conversations.c.owner, exchanges.c.asked)
        query = (
            sa.select(*columns, exchanges.c.question, exchanges.c.record["history"].label("history"))
            .join(conversations)
            .where(exchanges.c.replaced.is_(False), exchanges.c.asked >= time.time() - DAYS * 86_400)
            .where(exchanges.c.refused | exchanges.c.id.in_(not_found) | exchanges.c.id.in_(handed))
            .order_by(exchanges.c.id.desc())
            .limit(MOST)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            Unanswered(row.id, row.conversation, row.owner, row.asked, _whole(row.question, row.history or ()))
            for row in reversed(rows)
        ]

    def _run(self, questions: Sequence[Unanswered], done: Future[None]) -> None:
        try:
            self._gather(questions)
        except Exception as error:  # noqa: BLE001  # whoever waits raises it
            done.set_exception(error)
        else:
            done.set_result(None)

    def _gather(self, questions: Sequence[Unanswered]) -> None:
        """Embed what is new, forget what is gone, and put together."""
        texts = {question_key(one.question): one.question for one in questions}
        vectors = {key: self._vectors[key] for key in texts if key in self._vectors}
        new = [key for key in texts if key not in vectors]
        for first in range(0, len(new), BATCH):
            batch = new[first : first + BATCH]
            vectors |= dict(zip(batch, self._embed([texts[key] for key in batch]), strict=True))
        self._vectors = vectors
        found = gaps_of(questions, vectors, self._alike)
        with self._lock:
            self._found = tuple(one.exchange for one in questions), found


def gaps_of(
    questions: Iterable[Unanswered], vectors: dict[str, npt.NDArray[np.float32]], alike: float
) -> tuple[Gap, ...]:
    """Put questions together by meaning.

    Args:
        questions: in any order; the result does not depend on it.
        vectors: unit vectors by `question_key`.
        alike: cosine with a gap's central question from which another belongs to it.
    """
    asked: dict[str, list[Unanswered]] = {}
    for one in sorted(questions, key=lambda one: one.exchange):
        asked.setdefault(question_key(one.question), []).append(one)
    keys = sorted(asked)
    if not keys:
        return ()
    sizes = np.array([len(asked[key]) for key in keys], dtype=np.float32)
    found = communities(np.stack([vectors[key] for key in keys]), sizes, alike)
    gaps = (Gap(tuple(one for place in members for one in asked[keys[place]])) for members in found)
    return tuple(sorted(gaps, key=lambda gap: (-len(gap.questions), gap.questions[0].exchange)))


def communities(vectors: Vectors, sizes: npt.NDArray[np.float32], alike: float) -> list[list[int]]:
    """Groups of vectors around central ones: the one with most neighbours takes them, then the next of what is left.

    The community detection of sentence-transformers (`util.community_detection`), with weights and without ties left to
    chance. No chain of small steps joins what is far apart, as every member is near the centre.

    Args:
        vectors: of unit length, shape (texts, dimension).
        sizes: how often each text counts, shape (texts,).
        alike: cosine from which two are neighbours.

    Returns:
        The rows of each group, its centre first, then the nearest.
    """
    count = len(vectors)
    rows = []  # as bits: ten thousand texts need 12 MB so, and 400 MB as floats
    weights = np.zeros(count, dtype=np.float32)
    for first in range(0, count, BLOCK):
        near = vectors[first : first + BLOCK] @ vectors.T >= alike
        near[np.arange(len(near)), np.arange(first, first + len(near))] = True  # rounding keeps nobody from themselves
        weights[first : first + BLOCK] = near @ sizes
        rows.append(np.packbits(near, axis=1))
    bits = np.concatenate(rows)
    free = np.ones(count, dtype=bool)
    groups = []
    while free.any():
        centre = int(np.argmax(np.where(free, weights, -1.0)))
        members = np.flatnonzero(np.unpackbits(bits[centre], count=count).astype(bool) & free)
        free[members] = False
        for first in range(0, len(members), BLOCK):
            taken = members[first : first + BLOCK]
            weights -= sizes[taken] @ np.unpackbits(bits[taken], axis=1, count=count).astype(np.float32)
        nearness = vectors[members] @ vectors[centre]
        nearness[members == centre] = 2.0
        groups.append([int(one) for one in members[np.argsort(-nearness, kind="stable")]])
    return groups


def _whole(question: str, history: Sequence[Turn]) -> str:
    return " ".join(standalone(question, history).split())
