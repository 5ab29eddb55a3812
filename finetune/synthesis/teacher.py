"""The endpoint teacher: a strong model that writes question-answer pairs about chunks, many requests at a time.

Asks through a callable; knows neither HTTP nor keys. What comes back is kept in a journal before it is read.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from finetune.curation.pairs import Pair
from finetune.settings import TeacherSettings
from finetune.synthesis.journal import Journal, Reply
from finetune.synthesis.teacher_prompts import Request
from finetune.synthesis.teacher_replies import read_reply
from finetune.template import Turn
from finetune.voice import Voice
from ingest.errors import DeskmateError

CHARACTERS_PER_TOKEN = 4
"""English text has about four characters a token."""

TOKENS_A_PAIR = 110
"""A question, a sentence or two and their quotes, in JSON; for the estimate only."""

ROUNDS_S = (0.0, 5.0, 20.0)
"""Seconds before each round: requests that failed are made again after all others."""

IN_A_ROW = 6
"""Failures one after the other, beyond those under way, after which the teacher is taken to be gone."""


class Said(Protocol):
    """What a chat model answered."""

    @property
    def text(self) -> str:
        """The whole answer."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens read."""

    @property
    def completion_tokens(self) -> int:
        """Tokens written."""


class Ask(Protocol):
    """A chat model behind a call that any thread may make."""

    def __call__(self, messages: Sequence[Turn], max_tokens: int, cancel: threading.Event) -> Said:
        """Answer; give up soon once `cancel` is set.

        Raises:
            DeskmateError: when there is no answer to be had, however often it was tried.
        """


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take before it starts; `cost` is None without prices."""

    requests: int
    kept: int
    pairs: int
    tokens_in: int
    tokens_out: int
    cost: float | None


@dataclass(slots=True)
class Lessons:
    """What became of a run: pairs, and pairs and requests that came to nothing, by their reasons.

    `kept` requests had been answered before, `asked` were answered now for `tokens_in` and `tokens_out`.
    """

    pairs: list[Pair] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    kept: int = 0
    asked: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


def estimate(requests: Iterable[Request], teacher: str, journal: Journal, settings: TeacherSettings) -> Estimate:
    """Count what is still to be asked, and what that may cost."""
    wanted = list(requests)
    new = [request for request in wanted if journal.get(request.key(teacher)) is None]
    read = sum(len(turn["content"]) for request in new for turn in request.messages) // CHARACTERS_PER_TOKEN
    written = TOKENS_A_PAIR * sum(len(request.orders) for request in new)
    cost = (read * settings.price_in + written * settings.price_out) / 1e6
    priced = settings.price_in or settings.price_out
    pairs = sum(len(request.orders) for request in wanted)
    return Estimate(len(new), len(wanted) - len(new), pairs, read, written, cost if priced else None)


class Teacher:
    """A model that is asked for pairs."""

    def __init__(self, ask: Ask, name: str, voice: Voice, concurrency: int) -> None:
        """Describe the teacher.

        Args:
            ask: the model.
            name: the model's name and whatever else its replies depend on; part of what the journal knows them by.
            voice: the house style that answers are put into.
            concurrency: requests at the same time.
        """
        self.name = name
        self._ask = ask
        self._voice = voice
        self._concurrency = concurrency

    def teach(
        self,
        requests: Sequence[Request],
        journal: Journal,
        on_done: Callable[[], None] = lambda: None,
        rounds_s: Sequence[float] = ROUNDS_S,
    ) -> Lessons:
        """Ask for everything that the journal does not have yet, and read all replies, in the requests' order.

        Args:
            requests: from `teacher_prompts.plan`.
            journal: where replies are kept the moment that they come.
            on_done: called for each request that has its reply.
            rounds_s: seconds before each round; what failed in one is asked again in the next.

        Raises:
            DeskmateError: the teacher fails again and again. What it said before is kept.
        """
        lessons = Lessons(requests=len(requests))
        missing = []
        for request in requests:
            if journal.get(request.key(self.name)):
                lessons.kept += 1
                on_done()
            else:
                missing.append(request)
        failed: dict[str, str] = {}
        for pause in rounds_s:
            if not missing:
                break
            time.sleep(pause)
            failed = self._round(missing, journal, lessons, on_done)
            missing = [request for request in missing if request.key(self.name) in failed]
        lessons.failed.update(failed.values())
        for request in requests:
            if reply := journal.get(request.key(self.name)):
                lesson = read_reply(reply.text, request, self._voice, self.name)
                lessons.pairs += lesson.pairs
                lessons.rejected.update(lesson.rejected)
        return lessons

    def _round(
        self, requests: Sequence[Request], journal: Journal, lessons: Lessons, on_done: Callable[[], None]
    ) -> dict[str, str]:
        """Make each request once; the errors of those that failed, by their keys."""
        cancel = threading.Event()
        failed: dict[str, str] = {}
        in_a_row = 0
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="teacher")
        try:
            for request, future in _as_done(pool, requests, self._concurrency, self._asked, cancel):
                key = request.key(self.name)
                try:
                    said = future.result()
                except DeskmateError as error:
                    failed[key] = str(error)
                    in_a_row += 1
                    if in_a_row >= IN_A_ROW + self._concurrency:
                        raise _gone(error, in_a_row, lessons) from error
                    continue
                in_a_row = 0
                chunks = tuple(chunk.id for chunk in request.chunks)
                journal.put(Reply(key, chunks, said.text, said.prompt_tokens, said.completion_tokens))
                lessons.asked += 1
                lessons.tokens_in += said.prompt_tokens
                lessons.tokens_out += said.completion_tokens
                on_done()
        finally:
            cancel.set()  # on Ctrl-C too: what waits for a server that is busy stops waiting
            pool.shutdown(wait=True, cancel_futures=True)
        return failed

    def _asked(self, request: Request, cancel: threading.Event) -> Said:
        return self._ask(request.messages, request.max_tokens, cancel)


def _as_done(
    pool: ThreadPoolExecutor,
    requests: Iterable[Request],
    most: int,
    call: Callable[[Request, threading.Event], Said],
    cancel: threading.Event,
) -> Iterator[tuple[Request, "Future[Said]"]]:
    """Requests and their futures as they are done, with no more under way than `most`."""
    waiting: dict[Future[Said], Request] = {}
    todo = iter(requests)
    while True:
        while len(waiting) < most and (request := next(todo, None)):
            waiting[pool.submit(call, request, cancel)] = request
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future


def _gone(error: DeskmateError, in_a_row: int, lessons: Lessons) -> DeskmateError:
    kept = lessons.kept + lessons.asked
    return DeskmateError(
        f"the teacher failed {in_a_row} times in a row, the last time because {error}. "
        f"{kept} of {lessons.requests} replies are kept: run the same command again to go on"
    )
