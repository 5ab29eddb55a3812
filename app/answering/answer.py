"""The Answerer: one question, one mode, one streamed and cited answer. The app serves it and evaluation measures it."""

import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

from app.answering.corrected import Corrected, Corrections, none
from app.answering.decision import AnswerLimits, Decisions, Found
from app.answering.grounding import Citation, Sentence
from app.answering.history import standalone
from app.answering.modes import RETRIEVING, How, Mode
from app.answering.relevance import NOTHING, Relevance, RelevanceJudge
from app.answering.serving import untuned
from app.clock import Clock, Timing
from app.models.llm import ChatModel, Completion, Delta
from finetune.adapters.card import Adapter
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
class Answer:
    """A finished answer. `answer` carries its citation markers like `[1]`; `sentences` joined give the same words.

    `written` is what the model wrote, before anything was checked; empty when it was not asked. The model read the
    first `passages` of the `hits`; a quotation may be of a later one. `held`: what it wrote can stand, because the
    passages support something of it; of a model that is not believed (`app.answering.confidence`), because it rests on
    the sentence that comes nearest to the question and keeps to its words. `quoted`: it cannot, and the documents' own
    words stand instead. `clarified`: it asks back which subject is meant.
    `confidence` is the probability that the answer is right. `corrected`: the number of the help desk's correction that
    this is, see `app.loop.corrections`; 0 for an answer of the model.
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
    held: bool = False
    quoted: bool = False
    clarified: bool = False
    relevance: Relevance = NOTHING
    corrected: int = 0

    @property
    def sources(self) -> int:
        """Of how many of the first `hits` it is made: what the model read, and to the last one that is quoted."""
        return max([self.passages, *(one.n for one in self.citations)])


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


Edit = Callable[[int, Sequence[Hit]], Sequence[Hit]]
"""Changes what was found for a question, by the question's place."""

DEPTH = 60
"""Passages that are searched where what was found is to be changed: what is taken away must not shorten the list."""

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
        corrections: Corrections = none,
    ) -> None:
        """Put the parts together.

        Args:
            model: writes, under an adapter or without.
            searcher: finds passages.
            voice: the house style.
            limits: how much is read and written.
            count_tokens: measures passages.
            decide: how an asker in some groups is answered in a mode, or by default, see `app.answering.serving`.
            corrections: what the help desk has said to a question; it stands before any model's answer from documents.
        """
        self._model = model
        self._searcher = searcher
        self._voice = voice
        self._limits = limits
        self._count_tokens = count_tokens
        self._decide = decide
        self._corrections = corrections
        self._decisions = Decisions(voice, limits)
        self._relevance = RelevanceJudge(searcher)

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
        clock = Clock()
        how = self._decide(mode, groups)
        check_question(question)
        corrected = self._corrections(standalone(question, history), groups) if how.mode in RETRIEVING else None
        if corrected:
            yield Retrieved(corrected.hits)
            yield Finished(self._give(corrected, question, how, clock.timing()))
            return
        [found] = self._find([question], how.mode, groups, history)
        clock.retrieved()
        yield Retrieved(found.hits, clock.retrieval_ms if found.generation else 0.0)
        text, usage = "", Usage()
        if not found.settled:
            text, usage = yield from self._generate(found, how.adapter, history, clock, cancel)
        stopped = cancel is not None and cancel.is_set()
        yield Finished(self._finish(found, how, text, usage, clock.timing(), stopped))

    def answer_batch(
        self,
        questions: Sequence[str],
        *,
        mode: Mode | None = None,
        groups: frozenset[str] = frozenset(),
        edit: Edit | None = None,
    ) -> list[Answer]:
        """Answer many questions of one asker together, several times as fast as one by one.

        Args:
            questions: in the asker's words, each on its own.
            mode: by default hybrid where an adapter serves the asker, else rag-only.
            groups: what the asker may read besides what is for everyone.
            edit: changes what search found before anything looks at it; for evaluation.

        Returns:
            Answers in the order of the questions. Their times are shares of the batch's; none has a first token.
        """
        clock = Clock()
        how = self._decide(mode, groups)
        found = self._find(questions, how.mode, groups, (), edit)
        clock.retrieved()
        asked = [one for one in found if not one.settled]
        prompts = [self._messages(one, ()) for one in asked]
        written = iter(self._model.generate_batch(prompts, self._limits.answer_tokens, adapter=how.adapter))
        timing = clock.timing(share=len(questions))
        answers = []
        for one in found:
            done = Completion("", 0, 0) if one.settled else next(written)
            usage = Usage(done.prompt_tokens, done.completion_tokens)
            answers.append(self._finish(one, how, _until_over(done.text)[0].strip(), usage, timing))
        return answers

    def _find(
        self,
        questions: Sequence[str],
        mode: Mode,
        groups: frozenset[str],
        history: Sequence[Turn],
        edit: Edit | None = None,
    ) -> list[Found]:
        """Search where the mode does, and decide what is declined without asking the model."""
        for question in questions:
            check_question(question)
        if mode not in RETRIEVING:
            return [Found(question) for question in questions]
        searched = [standalone(question, history) for question in questions]
        results = self._searcher.search_batch(searched, k=DEPTH if edit else None, groups=groups)
        hits = [result.hits for result in results]
        if edit:
            hits = [tuple(edit(place, one)[: self._searcher.k]) for place, one in enumerate(hits)]
        found = []
        for i, relevance in enumerate(self._relevance(searched, hits)):
            passages = self.choose([hit.chunk for hit in hits[i]])
            found.append(self._decisions.foresee(questions[i], hits[i], passages, results[i].generation, relevance))
        return found

    def _finish(self, found: Found, how: How, text: str, usage: Usage, timing: Timing, stopped: bool = False) -> Answer:
        """Check what the model wrote against the passages it read, and decide what is said."""
        decision = self._decisions.decide(found, text, stopped)
        return Answer(
            question=found.question,
            mode=how.mode,
            answer=decision.grounded.text,
            written=text,
            refused=decision.refused,
            confidence=round(decision.confidence, 4),
            citations=decision.grounded.citations,
            sentences=decision.grounded.sentences,
            hits=found.hits,
            passages=len(found.passages),
            usage=usage,
            timing=timing,
            model=self._model.name,
            adapter=how.adapter.id if how.adapter else None,
            stale=how.stale,
            generation=found.generation,
            held=decision.held,
            quoted=decision.quoted,
            clarified=decision.clarified,
            relevance=found.relevance,
        )

    def _give(self, corrected: Corrected, question: str, how: How, timing: Timing) -> Answer:
        """The help desk's own answer; no model was asked."""
        return Answer(
            question=question,
            mode=how.mode,
            answer=corrected.text,
            written="",
            refused=False,
            confidence=1.0,
            citations=corrected.citations,
            sentences=corrected.sentences,
            hits=corrected.hits,
            passages=0,
            usage=Usage(),
            timing=timing,
            model=self._model.name,
            adapter=None,
            generation=self._searcher.open().manifest.generation,
            corrected=corrected.number,
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

    def _messages(self, found: Found, history: Sequence[Turn]) -> list[Turn]:
        shown = [PromptPassage.of(chunk) for chunk in found.passages] if found.generation else None
        return render_prompt(found.question, shown, self._voice, history)

    def _generate(
        self,
        found: Found,
        adapter: Adapter | None,
        history: Sequence[Turn],
        clock: Clock,
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


def _until_over(text: str) -> tuple[str, bool]:
    """What a model wrote before it went on with the prompt's own pattern, and whether it did."""
    text = text.lstrip(f"{OPEN} \n")
    over = _OVER.search(text)
    return (text[: over.start()], True) if over else (text, False)
