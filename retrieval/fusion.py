"""Fusing the dense and the lexical ranking. Knows scores and nothing else.

Both scores are divided by the best one of their kind for this question, and averaged: a convex combination with equal
weights (Bruch, Gai and Ingber 2023, https://doi.org/10.1145/3596512). Reciprocal ranks (Cormack et al. 2009), which
forget how much better the first is than the second, were measured beside it and lost on all collections; see
docs/log.md.
"""

from collections.abc import Mapping


def fuse(cosines: Mapping[int, float], bm25: Mapping[int, float]) -> list[tuple[int, float]]:
    """Fuse two sets of scores.

    Args:
        cosines: of every candidate, those that only BM25 found included.
        bm25: of the candidates that BM25 found; the others count as 0.

    Returns:
        (row, score between 0 and 1), best first; ties go to the smaller row, so that the order is always the same.
    """
    best_cosine = max(cosines.values(), default=0.0)
    best_bm25 = max(bm25.values(), default=0.0)

    def part(score: float, best: float) -> float:
        return max(0.0, score) / best if best > 0 else 0.0

    rows = cosines.keys() | bm25.keys()
    scores = {row: (part(cosines.get(row, 0.0), best_cosine) + part(bm25.get(row, 0.0), best_bm25)) / 2 for row in rows}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
