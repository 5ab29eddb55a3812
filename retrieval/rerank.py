"""Reordering the best passages by reading question and passage together. Knows texts; decides no access.

A cross-encoder is slow, so it works under a time budget: what it has not read in time keeps fusion's order.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ingest.errors import DeskmateError


class Reranker(Protocol):
    """Scores passages against a question; more is better."""

    name: str

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """One score a passage."""


class OverlapReranker:
    """A fake without weights: the share of the question's words that the passage has."""

    name = "overlap"

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """Shares between 0 and 1."""
        words = set(question.lower().split())
        return [len(words & set(passage.lower().split())) / max(1, len(words)) for passage in passages]


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder from a folder or the local cache; nothing is downloaded."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import CrossEncoder

        self.name = name
        try:
            self._model = CrossEncoder(
                name, local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
            )
        except OSError as error:
            raise DeskmateError(
                f"the reranker {name!r} is not on this machine; set retrieval.reranker to a folder with a "
                "cross-encoder in safetensors, or leave it out"
            ) from error

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """The model's logits."""
        pairs = [(question, passage) for passage in passages]
        return [float(score) for score in self._model.predict(pairs, show_progress_bar=False)]


def make_reranker(name: str | None) -> Reranker | None:
    """The reranker that the settings name; None for none.

    Raises:
        DeskmateError: when its weights are not on this machine.
    """
    match name:
        case None:
            return None
        case "overlap":
            return OverlapReranker()
        case _:
            return CrossEncoderReranker(str(Path(name).expanduser()) if Path(name).expanduser().exists() else name)


def rerank_within(
    reranker: Reranker, question: str, passages: Sequence[str], budget_ms: float, step: int = 4
) -> list[tuple[int, float]]:
    """Score passages from the front, a few at a time, until done or out of time.

    Returns:
        (index, score) of the passages that were read, best first.
    """
    deadline = time.perf_counter() + budget_ms / 1000
    scored: list[tuple[int, float]] = []
    for first in range(0, len(passages), step):
        if scored and time.perf_counter() > deadline:
            break
        scores = reranker.scores(question, passages[first : first + step])
        scored += [(first + i, score) for i, score in enumerate(scores)]
    return sorted(scored, key=lambda item: (-item[1], item[0]))
