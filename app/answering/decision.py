"""What is said in the end: the model's answer, the documents' own words, a question back, or the refusal.

Decides by how likely an answer is to be right, before the model is asked and after. Asks no model itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.answering.asking_back import ask_back
from app.answering.confidence import Confidence
from app.answering.grounding import Grounded, Sentence, ground, unchecked, wording_kept
from app.answering.quoting import quote
from app.answering.relevance import NOTHING, Relevance
from finetune.voice import Voice
from ingest.records import Chunk
from retrieval.records import Hit

VERBATIM = 0.5
"""Least share of the wording of its sources that an answer needs to stand, of a model that is not believed: what such a
model says in words of its own has the right words and says something else (docs/log.md)."""


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """How much the model reads and writes, and how sure an answer must be; see `app.settings.ChatSettings`."""

    passages: int
    passage_tokens: int
    answer_tokens: int
    confidence: float
    weights: Confidence
    ask_back: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for a question; `generation` is None in the modes without retrieval.

    `declined`: no answer could be sure enough. `question_back`: it is better to ask which subject is meant.
    """

    question: str
    hits: tuple[Hit, ...] = ()
    passages: Sequence[Chunk] = ()
    generation: str | None = None
    relevance: Relevance = NOTHING
    declined: bool = False
    question_back: Grounded | None = None

    @property
    def settled(self) -> bool:
        """Whether the model need not be asked."""
        return self.declined or self.question_back is not None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is said, and what kind of saying it is; see `app.answering.answer.Answer`."""

    grounded: Grounded
    refused: bool = False
    held: bool = False
    quoted: bool = False
    clarified: bool = False
    confidence: float = 0.0


class Decisions:
    """Decides for one house and one model."""

    def __init__(self, voice: Voice, limits: AnswerLimits) -> None:
        self._voice = voice
        self._limits = limits

    def foresee(
        self, question: str, hits: tuple[Hit, ...], passages: Sequence[Chunk], generation: str, relevance: Relevance
    ) -> Found:
        """Decide what needs no model: where an answer would be too unsure whether it holds or not."""
        declined = not passages or not (self._sure(relevance, held=True) or self._sure(relevance, held=False))
        back = None
        if not declined and self._limits.weights(relevance, held=True) < self._limits.ask_back:
            back = ask_back(relevance.nearest, self._voice)
        return Found(question, hits, passages, generation, relevance, declined, back)

    def decide(self, found: Found, text: str, stopped: bool) -> Decision:
        """Check what the model wrote against the passages it read.

        Args:
            found: what it read.
            text: what it wrote; empty where it was not asked.
            stopped: the asker stopped it: what there is stays, and nothing takes its place.
        """
        refusal = self._voice.is_refusal(text)
        if found.generation is None:
            return self._refuse() if refusal else Decision(unchecked(text))
        if found.question_back:
            weight = self._limits.weights(found.relevance, held=True)
            return Decision(found.question_back, clarified=True, confidence=weight)
        grounded = ground("" if refusal else text, found.passages, self._voice)
        held = self._holds(found, grounded)
        confidence = self._limits.weights(found.relevance, held) if found.passages else 0.0
        if not found.declined and (held or stopped):
            return self._refuse(confidence) if refusal else Decision(grounded, held=held, confidence=confidence)
        quotation = self._quotation(found, refusal)
        return Decision(quotation, quoted=True, confidence=confidence) if quotation else self._refuse(confidence)

    def _sure(self, relevance: Relevance, held: bool) -> bool:
        return self._limits.weights(relevance, held) >= self._limits.confidence

    def _holds(self, found: Found, grounded: Grounded) -> bool:
        """Whether the model's words can stand: a model that is not believed must be near the question, and verbatim."""
        if self._limits.weights.believed or not grounded.citations:
            return bool(grounded.citations)
        cited = {(one.chunk_id, one.start, one.end) for one in grounded.citations}
        near = any((one.chunk.id, *one.span) in cited for one in found.relevance.nearest[:1])
        return near and wording_kept(grounded) >= VERBATIM

    def _quotation(self, found: Found, refusal: bool) -> Grounded | None:
        """The documents' own words where the model's do not hold; None where to decline is better."""
        if found.declined or (refusal and self._limits.weights.believed) or not self._sure(found.relevance, held=False):
            return None
        return quote(found.relevance.nearest, self._voice)

    def _refuse(self, confidence: float = 0.0) -> Decision:
        text = self._voice.decline
        return Decision(Grounded(text, (Sentence(text, supported=True),), ()), refused=True, confidence=confidence)
