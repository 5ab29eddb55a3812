"""The Answerer: one question, one mode, one streamed and cited answer. The app serves it and evaluation measures it."""

from dataclasses import dataclass, field
from enum import StrEnum

from retrieval.records import Hit


class Mode(StrEnum):
    """Two switches, retriever or none and adapter or none, give four modes."""

    PROMPT_ONLY = "prompt-only"
    RAG_ONLY = "rag-only"
    TUNE_ONLY = "tune-only"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered reference from the answer to a span of a retrieved passage.

    `quote` is the document's normalised text at `[start:end]`; `n` is the passage's number in the prompt.
    """

    n: int
    doc: str
    heading: str
    page: int | None
    chunk_id: str
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the answer and whether the passages it cites support it (always True for a refusal)."""

    text: str
    supported: bool
    citations: tuple[int, ...] = ()


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
