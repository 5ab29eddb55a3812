"""Follow-up questions: what to search for when a question leans on the turn before it. Asks no model."""

import re
from collections.abc import Sequence

from finetune.template import Turn
from retrieval.lexical import stems
from retrieval.search import MOST_CHARACTERS

REMEMBERED = 3
"""Earlier exchanges that the model is told of."""

FEW = 4
"""A question of fewer content words than this leans on the one before it."""

_LEANING = frozenset(
    ("it", "its", "that", "this", "these", "those", "they", "them", "their", "there", "he", "she", "him", "her")
    + ("same", "one", "ones", "also", "else")
)
"""Words that point back to what was said before."""


def standalone(question: str, history: Sequence[Turn]) -> str:
    """The text to search for: the question, with the one before it in front where it cannot stand alone."""
    earlier = next((turn["content"] for turn in reversed(history) if turn["role"] == "user"), "")
    leans = len(set(stems(question))) < FEW or not _LEANING.isdisjoint(re.findall(r"\w+", question.lower()))
    return f"{earlier}\n{question}"[-MOST_CHARACTERS:] if earlier and leans else question
