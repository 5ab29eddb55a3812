"""Questions about time, said in other words by the embedded model; and what may stay of its words.

Tried with SmolLM2-135M: of its own questions about a sentence 3 in 100 asked for what the sentence held; of its
rewordings one in four differed and asked for the same kind of thing, and half of those read well. Those about time
limits read well when they begin as below, so they alone are taken. The model only writes, it never judges.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from finetune.drafts import Draft
from finetune.english import points_back, upper_first, word_set
from finetune.support import content_words, numbers
from finetune.template import Turn

BATCH = 32
_MOST = 128
"""Questions reworded at most: about a minute on two cores."""
_TOKENS = 28
_ASK = "Say this question in other words: {question}"
_SHOTS = (
    ("How often are fire doors checked?", "Is there a schedule for the checks of fire doors?"),
    ("Within how many days do I have to return the keys?", "How much time do I have to bring the keys back?"),
    ("Who is the night porter paid by?", "Which department pays for the night porter?"),
)
_STRAY = re.compile(r"\b(?:fire|doors?|porter|night|keys?|schedule|you|your|we|us)\b", re.IGNORECASE)
_GOOD = (
    (
        r"(?:with)?in how many\b",
        r"how soon\b|how long does it take\b|how many \w+(?: \w+)? (?:do|does)\b.*\b(?:have|wait)\b",
    ),
    (r"after how many\b", r"how long does it take\b"),
    (r"how soon\b", r"how (?:soon|quickly|fast)\b"),
    (r"for how long\b", r"how long (?:must|can|do|does|is|are|may|should|will)\b(?! it take)"),
)
"""How a question about time may begin, and how its rewording may."""
_EXPLETIVE = re.compile(r"\bdoes it take\b")
_LOOSE = word_set(
    "take takes long many much time days hours weeks months minute years working workin busine last made make"
)


class Complete(Protocol):
    """The embedded model."""

    def __call__(self, conversations: Sequence[Sequence[Turn]], max_tokens: int) -> list[str]:
        """Answer conversations greedily, in their order."""
        ...


def rephrased(drafts: Sequence[Draft], complete: Complete, progress: Callable[[int, int], None]) -> list[Draft]:
    """Let the model reword questions, and keep what `same` keeps.

    Args:
        drafts: any; only questions about time are reworded, each of them once.
        complete: the embedded model.
        progress: called with how many have been read, of how many.
    """
    chosen = [draft for draft in drafts if draft.way in ("limit", "how-long")][:_MOST]
    found = []
    for first in range(0, len(chosen), BATCH):
        progress(first, len(chosen))
        batch = chosen[first : first + BATCH]
        written = complete([_conversation(draft.question) for draft in batch], _TOKENS)
        for draft, text in zip(batch, written, strict=True):
            question = upper_first(" ".join(text.split()))
            if same(draft.question, question):
                found.append(replace(draft, question=question, way="rephrased"))
    progress(len(chosen), len(chosen))
    return found


def same(question: str, reworded: str) -> bool:
    """Whether a rewording asks for the same, as far as characters show.

    Args:
        question: about time, made by rule.
        reworded: by the model.
    """
    if not reworded.endswith("?") or reworded.count("?") > 1 or len(reworded.split()) > len(question.split()) + 4:
        return False
    if not any(re.match(one, question, re.I) and re.match(other, reworded, re.I) for one, other in _GOOD):
        return False
    if points_back(_EXPLETIVE.sub("", reworded)) or re.search(r"[;:\"“”()]|\b(\w+ \w+)\b.*\b\1\b", reworded):
        return False
    if any(one.casefold() not in question.casefold() for one in _STRAY.findall(reworded)):
        return False
    if _names(question) - _words(reworded) or _names(reworded) - _words(question):
        return False
    if numbers(question) != numbers(reworded) or question.casefold() == reworded.casefold():
        return False
    before, now = content_words(question) - _LOOSE, content_words(reworded) - _LOOSE
    return len(before & now) >= max(1, len(before) - 1) and len(now - before) <= 1


def _names(question: str) -> frozenset[str]:
    return frozenset(name.casefold() for name in re.findall(r"(?<=\s)[A-Z][\w’'-]+", question))


def _words(question: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in re.findall(r"[\w’'-]+", question))


def _conversation(question: str) -> list[Turn]:
    turns: list[Turn] = []
    for one, other in _SHOTS:
        turns += [Turn(role="user", content=_ASK.format(question=one)), Turn(role="assistant", content=other)]
    return [*turns, Turn(role="user", content=_ASK.format(question=question))]
