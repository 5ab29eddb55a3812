"""Asking back: which subject is meant, where an answer would be a guess between several. Asks no model."""

import re
from collections.abc import Sequence

from app.answering.grounding import MARKER, Citation, Grounded, Sentence
from app.answering.relevance import Nearest
from finetune.voice import Voice

_AROUND = re.compile(rf"^\d+\. |{MARKER.pattern}\.$")

CHOICES = 3
"""Most subjects offered."""


def ask_back(nearest: Sequence[Nearest], voice: Voice) -> Grounded | None:
    """Offer the sections that come nearest to the question, each cited by its nearest sentence.

    Args:
        nearest: sentences, the best ones first.
        voice: for the question, and the form of a citation.

    Returns:
        The house's question and its choices; None where fewer than two sections come near: there is nothing to choose.
    """
    sections: dict[str, Nearest] = {}
    for one in nearest:
        sections.setdefault(_subject(one), one)
    if len(sections) < 2:
        return None
    chosen = list(sections.items())[:CHOICES]
    sentences = [Sentence(voice.clarification.text, supported=True)]
    for number, (subject, one) in enumerate(chosen, start=1):
        n = one.place + 1
        citation = Citation(n, one.chunk.doc, one.chunk.heading, one.chunk.page, one.chunk.id, *one.span, one.text)
        item = f"{number}. " if voice.answer.steps == "numbered" else ""
        sentences.append(Sentence(f"{item}{subject} {voice.cite(n)}.", supported=True, citations=(citation,)))
    citations = tuple(citation for sentence in sentences for citation in sentence.citations)
    return Grounded("\n".join(sentence.text for sentence in sentences), tuple(sentences), citations)


def choices(answer: str) -> list[str]:
    """The subjects that such an answer offers, without their numbers and citations."""
    return [_AROUND.sub("", line) for line in answer.splitlines()[1:]]


def _subject(one: Nearest) -> str:
    """What a section is called: the document's title and the last heading."""
    title, last = one.chunk.title or one.chunk.doc, one.chunk.heading.split(" › ")[-1]
    return title if last in ("", title) else f"{title}: {last}"
