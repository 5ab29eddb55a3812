"""The laws of fusing two rankings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.fusion import fuse

rows = st.integers(1, 50)
cosines = st.dictionaries(rows, st.floats(-1, 1), max_size=20)
bm25 = st.dictionaries(rows, st.floats(0, 60), max_size=20)


@given(cosines, bm25)
def test_every_candidate_comes_once_best_first_with_a_score_between_0_and_1(cosines, bm25) -> None:
    fused = fuse(cosines, bm25)
    assert {row for row, _ in fused} == cosines.keys() | bm25.keys()
    assert len(fused) == len(cosines.keys() | bm25.keys())
    assert fused == sorted(fused, key=lambda item: (-item[1], item[0]))
    assert all(0 <= score <= 1 for _, score in fused)


@given(cosines, bm25)
def test_the_order_in_which_candidates_were_found_changes_nothing(cosines, bm25) -> None:
    assert fuse(dict(reversed(cosines.items())), dict(reversed(bm25.items()))) == fuse(cosines, bm25)


@given(cosines, bm25, st.floats(0.5, 2))
def test_the_scale_of_a_score_changes_nothing(cosines, bm25, factor) -> None:
    scaled = dict(fuse(cosines, {row: score * factor for row, score in bm25.items()}))
    assert scaled == pytest.approx(dict(fuse(cosines, bm25)), abs=1e-6)


@given(cosines, bm25, rows, rows)
def test_who_is_better_in_both_rankings_is_better_in_the_fused_one(cosines, bm25, a, b) -> None:
    if a != b and {a, b} <= cosines.keys() & bm25.keys() and cosines[a] >= cosines[b] and bm25[a] >= bm25[b]:
        scores = dict(fuse(cosines, bm25))
        assert scores[a] >= scores[b]


def test_the_best_of_both_has_a_score_of_1_and_who_is_in_one_ranking_gets_half() -> None:
    assert fuse({1: 0.8, 2: 0.4, 3: 0.2}, {1: 12.0, 3: 6.0}) == [(1, 1.0), (3, 0.375), (2, 0.25)]
    assert fuse({}, {}) == []
    assert fuse({7: -0.5}, {}) == [(7, 0.0)]
