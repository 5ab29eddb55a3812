"""Reciprocal rank fusion. Knows rankings and nothing else."""

from collections import defaultdict
from collections.abc import Iterable, Sequence


def reciprocal_rank_fusion(rankings: Iterable[Sequence[tuple[int, float]]], k: int = 60) -> list[tuple[int, float]]:
    """Fuse rankings by the sum of 1 / (k + rank), rank from 1.

    Args:
        rankings: each a list of (row, score), best first; only the order counts.
        k: how much the first places stand out; 60 in the source.

    Returns:
        (row, fused score), best first; ties go to the smaller row, so that the order is the same every time.

    Source: Cormack, Clarke and Büttcher, SIGIR 2009, https://doi.org/10.1145/1571941.1572114.
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, (row, _) in enumerate(ranking, start=1):
            scores[row] += 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
