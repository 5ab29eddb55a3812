"""What the help desk has said to a question, as the Answerer gives it in place of a model's answer. Plain data."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.answering.grounding import MARKER, Citation, Sentence
from ingest.sentences import sentence_spans
from retrieval.records import Hit


@dataclass(frozen=True, slots=True)
class Corrected:
    """An answer that a person wrote. `text` carries its markers; `number` is the correction's, and never 0.

    `hits` are the passages that it cites, in the order of their numbers, with what is quoted of each as their text.
    """

    number: int
    text: str
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The answer by sentences; a person has checked them all, so each is supported."""
        return tuple(
            Sentence(sentence, True, tuple(one for one in self.citations if one.n in cited(sentence)))
            for sentence in (self.text[start:end] for start, end in sentence_spans(self.text))
        )


Corrections = Callable[[str, frozenset[str]], Corrected | None]
"""The help desk's answer to a question for somebody in some groups, or None where there is none."""


def none(question: str, groups: frozenset[str]) -> Corrected | None:
    """No corrections: for evaluation, which measures the model, and wherever there is no help desk."""
    return None


def cited(text: str) -> Sequence[int]:
    """The numbers that a text's markers name, in their order, each once."""
    return list(dict.fromkeys(int(n) for marker in MARKER.findall(text) for n in re.findall(r"\d+", marker)))
