"""Does an answer follow its documents when they change? A fact is edited in the passages, and the question asked again.

A model that tells the old fact has it from its weights: it was tuned in, or guessed. What it wrote is told apart from
what was served, as grounding throws out what the passages do not say. Nothing in the index changes: the passages are
edited between search and model. Decided by strings alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any

from app.answering.answer import Answer
from app.desk import Desk
from eval.contenders import Contender
from eval.metrics import key_facts_met
from eval.probes.changed import ask, each_mode, reading, sample, share
from eval.questions import Question
from ingest.records import Chunk
from retrieval.records import Hit

OUTCOMES = ("followed", "kept_old", "neither", "declined")
NAMES = ("Halvorsen", "Quillfeather", "Tamarisk", "Ostrander", "Bellweather", "Marchbank")
"""Names that no document has; where one does, the next is taken."""

EXAMPLES = 5

_NUMBER = re.compile(r"\d+")
_NAME = re.compile(r"[A-Z][\w'-]+")


@dataclass(frozen=True, slots=True)
class Swap:
    """A question whose fact `old` stands as `new` in every passage that has it."""

    question: Question
    old: str
    new: str

    def edit(self, hits: Sequence[Hit]) -> list[Hit]:
        """The same hits, with the fact swapped. Edited passages get ids of their own: some caches go by the id."""
        return [replace(hit, chunk=self._edited(hit.chunk)) for hit in hits]

    def _edited(self, chunk: Chunk) -> Chunk:
        text = _word(self.old).sub(self.new, chunk.text)
        return chunk if text == chunk.text else replace(chunk, id=f"{chunk.id}-{self.new}", text=text)

    def outcome(self, answer: Answer) -> str:
        """What came of it: one of `OUTCOMES`."""
        if answer.refused:
            return "declined"
        told_new, told_old = (_tells(answer.answer, fact) for fact in (self.new, self.old))
        return "followed" if told_new and not told_old else "kept_old" if told_old else "neither"


def obedience(desk: Desk, entrants: Sequence[Contender], questions: Sequence[Question]) -> dict[str, Any] | None:
    """Ask a fixed sample with edited passages, in every mode that reads some; None where no fact can be edited.

    Returns:
        For each mode the shares of served answers that followed the edit, kept the old fact, told neither or declined,
        and `wrote_old`, of answers in which the model itself wrote the old fact.
    """
    swaps = sample(_swaps(desk, questions))
    if not swaps or not reading(entrants):
        return None
    clusters = [swap.question.cluster for swap in swaps]
    texts = [swap.question.question for swap in swaps]

    def probe(entrant: Contender) -> dict[str, Any]:
        answers = ask(entrant, texts, lambda place, hits: swaps[place].edit(hits))
        outcomes = [swap.outcome(answer) for swap, answer in zip(swaps, answers, strict=True)]
        kept = [
            {"id": swap.question.id, "question": swap.question.question, "old": swap.old, "new": swap.new}
            | {"answer": answer.answer}
            for swap, answer, one in zip(swaps, answers, outcomes, strict=True)
            if one == "kept_old"
        ]
        wrote_old = [_tells(answer.written, swap.old) for swap, answer in zip(swaps, answers, strict=True)]
        return {
            **{name: share([one == name for one in outcomes], clusters) for name in OUTCOMES},
            "wrote_old": share(wrote_old, clusters),
            "examples": kept[:EXAMPLES],
        }

    return {"questions": len(swaps), "modes": each_mode(entrants, probe)}


def _swaps(desk: Desk, questions: Sequence[Question]) -> list[Swap]:
    """The questions with one fact that a passage holds in so many words, and what it is swapped for."""
    asked = [one for one in questions if one.answerable and len(one.gold_docs) == 1 and len(one.key_facts) == 1]
    if not asked:
        return []
    results = desk.searcher.search_batch([one.question for one in asked])
    found = (
        _swap(one, [hit.chunk for hit in result.hits[: desk.settings.chat.passages]])
        for one, result in zip(asked, results, strict=True)
    )
    return [swap for swap in found if swap]


def _swap(question: Question, passages: Sequence[Chunk]) -> Swap | None:
    """Only a fact that stands in a passage in one way, and not in question or headings, can be swapped and looked for.

    Titles and headings are read too, but not edited: other passages have the same.
    """
    text = "\n".join(chunk.text for chunk in passages)
    headings = "\n".join(f"{chunk.title}\n{chunk.heading}" for chunk in passages)
    there = [fact for fact in question.key_facts[0] if _tells(text, fact)]
    if not there or key_facts_met(question.question, question.key_facts) == 1.0:
        return None
    old = max((_part(fact) for fact in there), key=len)
    if not old or _tells(question.question, old):
        return None
    new = _other(old, f"{question.question}\n{headings}\n{text}")
    left = f"{headings}\n{_word(old).sub(new, text)}"
    unspoken = not any(_tells(left, fact) for fact in (old, *question.key_facts[0]))
    return Swap(question, old, new) if unspoken else None


def _part(fact: str) -> str:
    """What of a fact is swapped: its first number, or else its first name."""
    match = _NUMBER.search(fact) or _NAME.search(fact)
    return match[0] if match else ""


def _other(old: str, text: str) -> str:
    """Another number, of as many digits if there is one, or another name, that the text does not have."""
    if not old.isdecimal():
        return next(name for name in (*NAMES, f"{NAMES[0]}-{NAMES[1]}") if name not in text)
    highest = 10 ** len(old)
    tries = ((int(old) + step) % highest for step in range(3, highest + 3))
    spelled = (f"{number:0{len(old)}d}" for number in tries)
    return next(one for one in chain(spelled, map(str, count(highest))) if one[0] != "0" and one not in text)


def _tells(text: str, fact: str) -> bool:
    return key_facts_met(text, [[fact]]) == 1.0


def _word(fact: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(fact)}(?!\w)")
