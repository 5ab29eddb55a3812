"""What is counted about API and chat, for `/metrics`. Routes, statuses, modes and times; never a word of anybody."""

import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from app.answering.answer import Answer, Event, Finished, Token
from app.answering.modes import Mode
from app.chat.conversation import Desk
from app.web.line import Line
from app.web.metrics_text import Counter, Gauge, Histogram, exposition
from finetune.template import Turn


class ApiMetrics:
    """The figures of one process since it started."""

    def __init__(self, answers: Line, searches: Line) -> None:
        """Begin at nothing; what runs and what waits is asked of the lines."""
        self.requests = Counter("deskmate_requests_total", "Requests by route and status.", ("route", "status"))
        self._answers = Counter(
            "deskmate_answers_total", "Answers by door (chat or api), mode, and whether they declined.", _ANSWER
        )
        self._tokens = Counter("deskmate_tokens_total", "Tokens that the chat model read and wrote.", ("kind",))
        self._first = Histogram(
            "deskmate_first_token_seconds", "From the request to the first word of its answer.", _DOOR
        )
        self._total = Histogram("deskmate_answer_seconds", "From the request to the end of its answer.", _DOOR)
        self._gauges = (
            Gauge("deskmate_answers_in_flight", "Answers that are being computed.", lambda: answers.running),
            Gauge("deskmate_answers_waiting", "Requests for answers that wait in line.", lambda: answers.waiting),
            Gauge("deskmate_searches_in_flight", "Searches that are being computed.", lambda: searches.running),
            Gauge("deskmate_searches_waiting", "Searches that wait in line.", lambda: searches.waiting),
        )

    def page(self) -> str:
        """All figures as Prometheus reads them."""
        return exposition((self.requests, self._answers, self._tokens, self._first, self._total, *self._gauges))

    async def watch(self, events: AsyncGenerator[Event, None], began: float) -> AsyncGenerator[Event, None]:
        """Pass the events of one answer on and count it; `began` is when its request came, by `time.perf_counter`."""
        stopwatch = Stopwatch(self, "api", began)
        async with aclosing(events):
            async for event in events:
                stopwatch.see(event)
                yield event

    def count(self, answer: Answer, door: str, first: float | None, total: float) -> None:
        """Count an answer that took so many seconds, and so many to its first word if the model wrote one."""
        mode = str(answer.mode)
        self._answers.add(door, mode, "yes" if answer.refused else "no")
        self._tokens.add("prompt", by=answer.usage.prompt_tokens)
        self._tokens.add("completion", by=answer.usage.completion_tokens)
        if first is not None:
            self._first.see(first, door, mode)
        self._total.see(total, door, mode)


class Stopwatch:
    """Times one answer from its events."""

    def __init__(self, metrics: ApiMetrics, door: str, began: float) -> None:
        self._metrics, self._door, self._began = metrics, door, began
        self._first: float | None = None

    def see(self, event: Event) -> None:
        """Take in an event as it passes."""
        now = time.perf_counter() - self._began
        if isinstance(event, Token) and self._first is None:
            self._first = now
        if isinstance(event, Finished):
            self._metrics.count(event.answer, self._door, self._first, now)


class CountedDesk:
    """The chat's desk, whose answers are counted too."""

    def __init__(self, desk: Desk, metrics: ApiMetrics) -> None:
        self._desk, self._metrics = desk, metrics
        self.modes, self.document, self.status = desk.modes, desk.document, desk.status
        self.versions, self.passages = desk.versions, desk.passages

    def stream(
        self,
        question: str,
        *,
        mode: Mode,
        groups: frozenset[str],
        history: Sequence[Turn] = (),
        cancel: threading.Event | None = None,
    ) -> Iterator[Event]:
        """As the desk's."""
        stopwatch = Stopwatch(self._metrics, "chat", time.perf_counter())
        for event in self._desk.stream(question, mode=mode, groups=groups, history=history, cancel=cancel):
            stopwatch.see(event)
            yield event


_DOOR = ("door", "mode")
_ANSWER = (*_DOOR, "declined")
