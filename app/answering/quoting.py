"""The documents' own words, where what the model wrote cannot stand: their nearest sentences verbatim, each cited.

A small model often finds the place and garbles the sentence. Asks no model.
"""

import re
from collections.abc import Sequence

from app.answering.grounding import MARKER, Citation, Grounded, Sentence, mark
from app.answering.relevance import Nearest
from finetune.voice import Voice

SENTENCES, MARGIN = 4, 0.15
"""Most sentences quoted, and by how much their scores may lie below the best one's: where one sentence stands out, it
stands alone (docs/log.md has what other choices are worth)."""

_LAYOUT = re.compile(r"^(?:(?:#+|[>|*•–-]|\d{1,2}[.)])\s+)+|\s+\|$")
"""What a line begins with as a heading, a list item or a table row, which it is not when it is quoted."""


def quote(nearest: Sequence[Nearest], voice: Voice) -> Grounded | None:
    """Quote what comes nearest to the question; None where there is no sentence to quote.

    Args:
        nearest: sentences, the best ones first.
        voice: for the form of a citation and the length of an answer.
    """
    chosen: list[tuple[Nearest, str]] = []
    left = voice.answer.longest_words
    for one in nearest:
        text = _LAYOUT.sub("", MARKER.sub("", one.text).strip())
        words = len(text.split())
        if text and words <= left:
            if len(chosen) == SENTENCES or (chosen and one.score < chosen[0][0].score - MARGIN):
                break
            chosen.append((one, text))
            left -= words
    if not chosen:
        return None
    best = [one.place for one, _ in chosen]  # the answer first; what is of one passage stays together, in its order
    chosen.sort(key=lambda pair: (best.index(pair[0].place), pair[0].start))
    sentences = [_sentence(one, text, voice) for one, text in chosen]
    citations = tuple(citation for sentence in sentences for citation in sentence.citations)
    return Grounded(" ".join(sentence.text for sentence in sentences), tuple(sentences), citations)


def _sentence(one: Nearest, text: str, voice: Voice) -> Sentence:
    chunk, n = one.chunk, one.place + 1
    citation = Citation(n, chunk.doc, chunk.heading, chunk.page, chunk.id, *one.span, one.text)
    marked = mark(text, voice.cite(n)).rstrip(":;")
    return Sentence(marked if marked[-1] in ".!?…" else f"{marked}.", supported=True, citations=(citation,))
