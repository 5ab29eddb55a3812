"""The only answering prompt. Dataset builder, trainer, server and evaluation render the same bytes.

Instructions stand in the user's turn: Mistral's template keeps a system message on the last user turn only. Passages
are labelled unlike citations (`Passage 1`, not `[1]`): a model that sees `[3]` before every text begins with `[3]`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from finetune.template import Turn
from finetune.voice import Voice
from ingest.records import Chunk

OPEN, CLOSE = "<<<", ">>>"
"""Delimit a passage. Where a passage spells them out itself, they are broken up."""


@dataclass(frozen=True, slots=True)
class PromptPassage:
    """A passage as the model reads it: where it comes from, and its text."""

    source: str
    text: str

    @classmethod
    def of(cls, chunk: Chunk) -> "PromptPassage":
        """A chunk as the model reads it, under its title and heading trail."""
        source = " › ".join(part for part in (chunk.title, chunk.heading) if part)
        return cls(source or chunk.doc, chunk.text)


def render_prompt(
    question: str, passages: Sequence[PromptPassage] | None, voice: Voice, history: Sequence[Turn] = ()
) -> list[Turn]:
    """Render the conversation that the model continues.

    Instructions and question stand together at the end: a small model that reads them before 500 tokens of passages has
    forgotten them by then (docs/log.md has the figures).

    Args:
        question: in the asker's words.
        passages: what was retrieved, in order; None in the modes without retrieval.
        voice: the house style.
        history: earlier turns of the conversation, user and assistant in turn, oldest first.
    """
    parts = []
    for n, passage in enumerate(passages or (), start=1):
        parts.append(f"Passage {n}, from {_defuse(passage.source)}:\n{OPEN}\n{_defuse(passage.text)}\n{CLOSE}")
    instructions = _without_passages(voice) if passages is None else voice.persona.instructions.strip()
    parts.append(f"{instructions} {question.strip()}")
    return [*history, Turn(role="user", content="\n\n".join(parts))]


def _without_passages(voice: Voice) -> str:
    return f"You are the {voice.persona.name}. Answer this question in a full sentence:"


def _defuse(text: str) -> str:
    """Break up runs of angle brackets, however long, so that a passage can neither end itself nor begin another."""
    return re.sub(r"<{3,}|>{3,}", lambda run: " ".join(run[0]), text)
