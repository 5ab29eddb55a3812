"""The Answerer: one question, one mode, one streamed and cited answer. The app serves it and evaluation measures it."""

import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence, Set
from dataclasses import dataclass, field

from app.grounding import Citation, Grounded, Sentence, ground
from app.history import standalone
from app.llm import ChatModel, Completion, Delta
from app.modes import RETRIEVING, How, Mode
from app.relevance import Relevance
from app.serving import untuned
from finetune.adapter_card import Adapter
from finetune.prompt import CLOSE, OPEN, PromptPassage, render_prompt
from finetune.template import Turn
from finetune.voice import Voice
from ingest.records import Chunk
from retrieval.records import Hit
from retrieval.search import Searcher, check_question


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
    """A finished answer. `answer` carries its citation markers like `[1]`; `sentences` joined give the same words.

    `written` is what the model wrote, before anything was checked; empty when it was not asked. The model read the
    first `passages` of the `hits`.
    """

    question: str
    mode: Mode
    answer: str
    written: str
    refused: bool
    confidence: float
    citations: tuple[Citation, ...]
    sentences: tuple[Sentence, ...]
    hits: tuple[Hit, ...]
    passages: int
    usage: Usage
    timing: Timing
    model: str
    adapter: str | None
    generation: str | None
    stale: str = ""


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


DEPTH = 60
"""Passages that are searched where some documents' are to be taken away."""

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
        decide: Callable[[Mode | None, frozenset[str]], How] = untuned,
    ) -> None:
        """Put the parts together.

        Args:
            model: writes, under an adapter or without.
            searcher: finds passages.
            voice: the house style.
            limits: how much is read and written.
            count_tokens: measures passages.
            decide: how an asker in some groups is answered in a mode, or by default, see `app.serving`.
        """
        self._model = model
        self._searcher = searcher
        self._voice = voice
        self._limits = limits
        self._count_tokens = count_tokens
        self._decide = decide
        self._relevance = Relevance(searcher.embed)

    def answer(
        self,
        question: str,
        *,
        mode: Mode | None = None,
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
        mode: Mode | None = None,
        groups: frozenset[str] = frozenset(),
        history: Sequence[Turn] = (),
        cancel: threading.Event | None = None,
    ) -> Iterator[Event]:
        """Search, then write, then check.

        Args:
            question: in the asker's words.
            mode: by default hybrid where an adapter serves the asker, else rag-only.
            groups: what the asker may read besides what is for everyone.
            history: earlier turns, oldest first.
            cancel: set it and the model stops computing; what it wrote so far is checked and finished.

        Yields:
            `Retrieved`, any number of `Token`, `Finished`.

        Raises:
            DeskmateError: an empty or endless question, no usable index, model or adapter.
        """
        clock = _Clock()
        how = self._decide(mode, groups)
        [found] = self._find([question], how.mode, groups, history)
        clock.retrieved()
        yield Retrieved(found.hits, clock.retrieval_ms if found.generation else 0.0)
        text, usage = "", Usage()
        if not found.declined:
            text, usage = yield from self._generate(found, how.adapter, history, clock, cancel)
        yield Finished(self._finish(found, how, text, usage, clock.timing()))

    def answer_batch(
        self,
        questions: Sequence[str],
        *,
        mode: Mode | None = None,
        groups: frozenset[str] = frozenset(),
        without: Sequence[Set[str]] = (),
    ) -> list[Answer]:
        """Answer many questions of one asker together, several times as fast as one by one.

        Args:
            questions: in the asker's words, each on its own.
            mode: by default hybrid where an adapter serves the asker, else rag-only.
            groups: what the asker may read besides what is for everyone.
            without: for each question documents that are treated as if they were not there; for evaluation.

        Returns:
            Answers in the order of the questions. Their times are shares of the batch's; none has a first token.
        """
        clock = _Clock()
        how = self._decide(mode, groups)
        found = self._find(questions, how.mode, groups, (), without)
        clock.retrieved()
        asked = [one for one in found if not one.declined]
        prompts = [self._messages(one, ()) for one in asked]
        written = iter(self._model.generate_batch(prompts, self._limits.answer_tokens, adapter=how.adapter))
        timing = clock.timing(share=len(questions))
        answers = []
        for one in found:
            done = Completion("", 0, 0) if one.declined else next(written)
            usage = Usage(done.prompt_tokens, done.completion_tokens)
            answers.append(self._finish(one, how, _until_over(done.text)[0].strip(), usage, timing))
        return answers

    def _find(
        self,
        questions: Sequence[str],
        mode: Mode,
        groups: frozenset[str],
        history: Sequence[Turn],
        without: Sequence[Set[str]] = (),
    ) -> list["_Found"]:
        """Search where the mode does, and decide what is declined without asking the model."""
        for question in questions:
            check_question(question)
        if mode not in RETRIEVING:
            return [_Found(question) for question in questions]
        searched = [standalone(question, history) for question in questions]
        # What is taken away must not shorten the list: as many more are asked for as any document has had places.
        results = self._searcher.search_batch(searched, k=DEPTH if without else None, groups=groups)
        gone = without or [frozenset[str]()] * len(questions)
        hits = [
            tuple(hit for hit in result.hits if hit.chunk.doc not in docs)[: self._searcher.k]
            for result, docs in zip(results, gone, strict=True)
        ]
        found = []
        for i, relevant in enumerate(self._relevance(searched, hits)):
            passages = self.choose([hit.chunk for hit in hits[i]])
            declined = not passages or relevant < self._limits.relevance
            found.append(_Found(questions[i], hits[i], passages, results[i].generation, relevant, declined))
        return found

    def _finish(self, found: "_Found", how: How, text: str, usage: Usage, timing: Timing) -> Answer:
        """Check what the model wrote against the passages it read."""
        refused = found.declined or self._voice.is_refusal(text)
        if refused:
            grounded = self._decline()
        else:
            grounded = ground(text, found.passages, self._voice) if found.generation else _unchecked(text)
        return Answer(
            question=found.question,
            mode=how.mode,
            answer=grounded.text,
            written=text,
            refused=refused,
            confidence=round(found.relevant, 4),
            citations=grounded.citations,
            sentences=grounded.sentences,
            hits=found.hits,
            passages=len(found.passages),
            usage=usage,
            timing=timing,
            model=self._model.name,
            adapter=how.adapter.id if how.adapter else None,
            stale=how.stale,
            generation=found.generation,
        )

    def choose(self, ranked: Sequence[Chunk]) -> list[Chunk]:
        """The best passages that fit into the model's reading budget, at least one if there is any."""
        chosen: list[Chunk] = []
        left = self._limits.passage_tokens
        for chunk in ranked[: self._limits.passages]:
            left -= self._count_tokens(chunk.embedded_text)
            if chosen and left < 0:
                break
            chosen.append(chunk)
        return chosen

    def _messages(self, found: "_Found", history: Sequence[Turn]) -> list[Turn]:
        shown = [PromptPassage.of(chunk) for chunk in found.passages] if found.generation else None
        return render_prompt(found.question, shown, self._voice, history)

    def _generate(
        self,
        found: "_Found",
        adapter: Adapter | None,
        history: Sequence[Turn],
        clock: "_Clock",
        cancel: threading.Event | None,
    ) -> Generator[Token, None, tuple[str, Usage]]:
        """Stream the model's answer; return its whole text and what it cost."""
        text, sent = "", 0
        last = Delta("", 0, 0)
        messages = self._messages(found, history)
        for last in self._model.stream(messages, self._limits.answer_tokens, cancel, adapter):
            text, over = _until_over(text + last.text)
            if over:
                break  # what follows is the prompt's own pattern, continued
            if len(text) > sent:
                clock.wrote()
                yield Token(text[sent:])
                sent = len(text)
        return text.strip(), Usage(last.prompt_tokens, last.completion_tokens)

    def _decline(self) -> Grounded:
        text = self._voice.decline
        return Grounded(text, (Sentence(text, supported=True),), ())


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found for a question; `generation` is None in the modes without retrieval."""

    question: str
    hits: tuple[Hit, ...] = ()
    passages: Sequence[Chunk] = ()
    generation: str | None = None
    relevant: float = 0.0
    declined: bool = False


def _until_over(text: str) -> tuple[str, bool]:
    """What a model wrote before it went on with the prompt's own pattern, and whether it did."""
    text = text.lstrip(f"{OPEN} \n")
    over = _OVER.search(text)
    return (text[: over.start()], True) if over else (text, False)


def _unchecked(text: str) -> Grounded:
    """An answer without retrieval: there is nothing to hold it against, so nothing in it is supported."""
    return Grounded(text, (Sentence(text, supported=False),) if text else (), ())


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

    def timing(self, share: int = 1) -> Timing:
        """The times so far, of one of `share` questions."""
        times = (self.retrieval_ms, self._first_token_ms, self._now())
        return Timing(*(round(ms / share, 1) for ms in times))
