"""The Answerer: one question, one mode, one streamed and cited answer. The app serves it and evaluation measures it."""

import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.grounding import Citation, Grounded, Sentence, ground
from app.history import standalone
from app.llm import ChatModel, Delta
from app.relevance import relevance
from finetune.prompt import CLOSE, OPEN, PromptPassage, render_prompt
from finetune.template import Turn
from finetune.voice import Voice
from ingest.records import Chunk
from retrieval.records import Hit
from retrieval.search import Searcher, check_question


class Mode(StrEnum):
    """Two switches, retriever or none and adapter or none, give four modes."""

    PROMPT_ONLY = "prompt-only"
    RAG_ONLY = "rag-only"
    TUNE_ONLY = "tune-only"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written by the chat model."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall times in milliseconds from the moment the question came in."""

    retrieval_ms: float = 0.0
    first_token_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer. `answer` carries its citation markers like `[1]`; `sentences` joined give the same words."""

    question: str
    mode: Mode
    answer: str
    refused: bool
    confidence: float
    citations: tuple[Citation, ...]
    sentences: tuple[Sentence, ...]
    hits: tuple[Hit, ...]
    usage: Usage
    timing: Timing
    model: str
    adapter: str | None
    generation: str | None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """First event of a stream: what was found. Empty in the modes without retrieval."""

    hits: tuple[Hit, ...] = field(default_factory=tuple)
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the raw answer as the model writes it."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Last event: the checked answer, with citations and unsupported sentences marked."""

    answer: Answer


Event = Retrieved | Token | Finished


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """How much the model reads and writes; see `app.settings.ChatSettings` for the units."""

    passages: int
    passage_tokens: int
    answer_tokens: int
    relevance: float


_OVER = re.compile(rf"{OPEN}|{CLOSE}|\n\s*(?:Question|Passage \d+)\b", re.IGNORECASE)
"""Where a small model stops answering and goes on with the prompt: delimiters, another question, another passage."""


class Answerer:
    """Answers questions in any mode that retriever and adapter allow."""

    def __init__(
        self,
        model: ChatModel,
        searcher: Searcher,
        voice: Voice,
        limits: AnswerLimits,
        count_tokens: Callable[[str], int],
    ) -> None:
        self._model = model
        self._searcher = searcher
        self._voice = voice
        self._limits = limits
        self._count_tokens = count_tokens

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that can be served; the tuned ones need an adapter."""
        return (Mode.RAG_ONLY, Mode.PROMPT_ONLY)

    def answer(
        self,
        question: str,
        *,
        mode: Mode = Mode.RAG_ONLY,
        groups: frozenset[str] = frozenset(),
        history: Sequence[Turn] = (),
    ) -> Answer:
        """Answer at once; see `stream`."""
        for event in self.stream(question, mode=mode, groups=groups, history=history):
            if isinstance(event, Finished):
                return event.answer
        raise AssertionError("a stream that is not cancelled ends with Finished")

    def stream(
        self,
        question: str,
        *,
        mode: Mode = Mode.RAG_ONLY,
        groups: frozenset[str] = frozenset(),
        history: Sequence[Turn] = (),
        cancel: threading.Event | None = None,
    ) -> Iterator[Event]:
        """Search, then write, then check.

        Args:
            question: in the asker's words.
            mode: one of `modes`.
            groups: what the asker may read besides what is for everyone.
            history: earlier turns, oldest first.
            cancel: set it and the model stops computing; what it wrote so far is checked and finished.

        Yields:
            `Retrieved`, any number of `Token`, `Finished`.

        Raises:
            DeskmateError: an empty or endless question, no usable index or model.
        """
        check_question(question)
        clock = _Clock()
        searched = question
        hits: tuple[Hit, ...] = ()
        generation = None
        if mode in (Mode.RAG_ONLY, Mode.HYBRID):
            searched = standalone(question, history)
            result = self._searcher.search(searched, groups=groups)
            hits, generation = result.hits, result.generation
            clock.retrieved()
        yield Retrieved(hits, clock.retrieval_ms)
        retrieves = generation is not None
        relevant = relevance(searched, hits) if retrieves else 0.0
        passages = self._choose(hits)
        if retrieves and (not passages or relevant < self._limits.relevance):
            grounded, usage, refused = self._decline(), Usage(), True
        else:
            shown = passages if retrieves else None
            text, usage = yield from self._generate(question, shown, history, clock, cancel)
            refused = self._voice.is_refusal(text)
            if refused:
                grounded = self._decline()
            else:
                grounded = ground(text, passages, self._voice) if retrieves else _unchecked(text)
        yield Finished(
            Answer(
                question=question,
                mode=mode,
                answer=grounded.text,
                refused=refused,
                confidence=round(relevant, 4),
                citations=grounded.citations,
                sentences=grounded.sentences,
                hits=hits,
                usage=usage,
                timing=clock.timing(),
                model=self._model.name,
                adapter=None,
                generation=generation,
            )
        )

    def _choose(self, hits: Sequence[Hit]) -> list[Chunk]:
        """The best passages that fit into the model's reading budget, at least one if there is any."""
        chosen: list[Chunk] = []
        left = self._limits.passage_tokens
        for hit in hits[: self._limits.passages]:
            left -= self._count_tokens(hit.chunk.embedded_text)
            if chosen and left < 0:
                break
            chosen.append(hit.chunk)
        return chosen

    def _generate(
        self,
        question: str,
        passages: Sequence[Chunk] | None,
        history: Sequence[Turn],
        clock: "_Clock",
        cancel: threading.Event | None,
    ) -> Generator[Token, None, tuple[str, Usage]]:
        """Stream the model's answer; return its whole text and what it cost."""
        shown = None if passages is None else [PromptPassage(_source(chunk), chunk.text) for chunk in passages]
        messages = render_prompt(question, shown, self._voice, history)
        text, sent = "", 0
        last = Delta("", 0, 0)
        stream = self._model.stream(messages, self._limits.answer_tokens, cancel)
        for last in stream:
            text = (text + last.text).lstrip(f"{OPEN} \n")
            if over := _OVER.search(text):
                text = text[: over.start()]
                break  # what follows is the prompt's own pattern, continued
            if len(text) > sent:
                clock.wrote()
                yield Token(text[sent:])
                sent = len(text)
        return text.strip(), Usage(last.prompt_tokens, last.completion_tokens)

    def _decline(self) -> Grounded:
        text = self._voice.decline
        return Grounded(text, (Sentence(text, supported=True),), ())


def _unchecked(text: str) -> Grounded:
    """An answer without retrieval: there is nothing to hold it against, so nothing in it is supported."""
    return Grounded(text, (Sentence(text, supported=False),) if text else (), ())


def _source(chunk: Chunk) -> str:
    """What the model is told about a passage's origin."""
    return " › ".join(part for part in (chunk.title, chunk.heading) if part) or chunk.doc


class _Clock:
    """Wall times of one answer in milliseconds."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.retrieval_ms = 0.0
        self._first_token_ms = 0.0

    def _now(self) -> float:
        return (time.perf_counter() - self._start) * 1000

    def retrieved(self) -> None:
        self.retrieval_ms = self._now()

    def wrote(self) -> None:
        self._first_token_ms = self._first_token_ms or self._now()

    def timing(self) -> Timing:
        return Timing(round(self.retrieval_ms, 1), round(self._first_token_ms, 1), round(self._now(), 1))
