"""Is what was found about the question at all? Two signals of the search, one number between 0 and 1.

It tells questions that the documents are about from others; it does not tell an answer from a near miss.
"""

import math
from collections.abc import Sequence

from retrieval.lexical import stems
from retrieval.records import Hit

COSINE, COVERAGE, BIAS = 20.0, 4.4, -10.7
"""A logistic regression on questions asked of their own documents against questions asked of others': those of
WorkArena, Debian's FAQ and FeedbackQA over the documents of WorkArena, Debian and the sample. See docs/log.md."""


def relevance(question: str, hits: Sequence[Hit]) -> float:
    """The probability that the best passages are about the question."""
    if not hits:
        return 0.0
    cosine, coverage = signals(question, hits)
    return 1.0 / (1.0 + math.exp(-(COSINE * cosine + COVERAGE * coverage + BIAS)))


def signals(question: str, hits: Sequence[Hit]) -> tuple[float, float]:
    """The best cosine, and the largest share of the question's content words that one of three passages has."""
    cosine = max((hit.dense for hit in hits if hit.dense is not None), default=0.0)
    wanted = set(stems(question))
    shares = [len(wanted & set(stems(hit.chunk.embedded_text))) / max(1, len(wanted)) for hit in hits[:3]]
    return cosine, max(shares, default=0.0)
