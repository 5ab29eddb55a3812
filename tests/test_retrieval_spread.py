"""How an index's vectors lie: the mean and deviation of a question's cosines, without computing each of them."""

import numpy as np
import pytest

from retrieval.dense import PRIOR, SAMPLE, USUAL, DenseIndex


def unit(count: int, seed: int, dimension: int = 16) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(0.2, 1, (count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def index(vectors: np.ndarray) -> DenseIndex:
    made = DenseIndex.empty(vectors.shape[1])
    made.add(np.arange(10, 10 + len(vectors)), vectors)
    return made


def test_a_large_index_speaks_for_itself() -> None:
    vectors, questions = unit(4000, 0), unit(3, 1)
    cosines = questions @ vectors.T
    found = index(vectors).spread(range(10, 4010)).cosines(questions)
    assert found[:, 0] == pytest.approx(cosines.mean(axis=1), abs=0.01)
    assert found[:, 1] == pytest.approx(cosines.std(axis=1), abs=0.01)


def test_mean_and_deviation_are_those_of_the_cosines_mixed_with_the_prior() -> None:
    vectors, questions = unit(50, 2), unit(2, 3)
    cosines = questions @ vectors.T
    share = 50 / (50 + PRIOR)
    mean = share * cosines.mean(axis=1) + (1 - share) * USUAL[0]
    second = share * (cosines**2).mean(axis=1) + (1 - share) * (USUAL[1] ** 2 + USUAL[0] ** 2)
    found = index(vectors).spread(range(10, 60)).cosines(questions)
    assert found[:, 0] == pytest.approx(mean, abs=1e-5)
    assert found[:, 1] == pytest.approx(np.sqrt(second - mean**2), abs=1e-5)


def test_only_the_rows_that_are_named_count() -> None:
    vectors, questions = unit(40, 4), unit(2, 5)
    few = index(vectors).spread(range(10, 30)).cosines(questions)
    assert few == pytest.approx(index(vectors[:20]).spread(range(10, 30)).cosines(questions))
    nobody = index(vectors).spread(()).cosines(questions)
    assert nobody == pytest.approx(np.tile(USUAL, (2, 1)))


def test_a_very_large_index_is_sampled() -> None:
    vectors = unit(2 * SAMPLE - 1, 6, 4)
    assert index(vectors).spread(range(10, 10 + len(vectors))).share == SAMPLE / (SAMPLE + PRIOR)
