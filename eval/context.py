"""What a question's passages are changed to before the model reads them: the gold documents', or all but these."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from app.answering.answer import Edit
from app.desk import Desk
from eval.questions import Question
from ingest.records import EVERYONE, Chunk
from retrieval.records import Hit

ABSENT = "#absent"
"""Ends the id of a question that is asked as if its gold documents did not exist."""


def absent(question: Question) -> Question:
    """The same question where its answer cannot be found: the right answer is to decline."""
    return Question(
        f"{question.id}{ABSENT}", question.question, False, question.gold_docs, "", (), "absent", question.style
    )


class Context:
    """The passages of a run: what search found, or by `oracle` the best passages of the gold documents."""

    def __init__(self, desk: Desk, oracle: bool) -> None:
        """Remember where passages come from; nothing is read yet."""
        self._desk = desk
        self._oracle = oracle

    def edit(self, asked: Sequence[Question]) -> Edit | None:
        """What `Answerer.answer_batch` is to do with what search found for these questions; None for nothing."""
        if not self._oracle and not any(one.id.endswith(ABSENT) for one in asked):
            return None
        return lambda place, hits: self._change(asked[place], hits)

    def _change(self, question: Question, hits: Sequence[Hit]) -> Sequence[Hit]:
        gold = set(question.gold_docs)
        if question.id.endswith(ABSENT):
            return [hit for hit in hits if hit.chunk.doc not in gold]
        if not self._oracle or not question.answerable or not gold:
            return hits
        return [hit for hit in hits if hit.chunk.doc in gold] or self._nearest(question)

    def _nearest(self, question: Question) -> list[Hit]:
        """The gold documents' passages by cosine, for when search found none of them."""
        chunks = [chunk for doc in question.gold_docs for chunk in self._chunks[doc]]
        vectors = self._desk.searcher.embed([question.question, *(chunk.embedded_text for chunk in chunks)])
        cosines = (vectors[1:] @ vectors[0]).tolist()
        ranked = sorted(zip(cosines, chunks, strict=True), key=lambda one: -one[0])
        return [Hit(rank, cosine, chunk, cosine) for rank, (cosine, chunk) in enumerate(ranked, start=1)]

    @cached_property
    def _chunks(self) -> dict[str, list[Chunk]]:
        """The passages of every document that is for everyone, as questions are asked by someone without groups."""
        found: defaultdict[str, list[Chunk]] = defaultdict(list)
        for chunk in self._desk.searcher.open().table.all_chunks():
            if EVERYONE in chunk.access:
                found[chunk.doc].append(chunk)
        return found
