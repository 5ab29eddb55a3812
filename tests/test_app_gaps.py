import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queue_kit import ANNA, BEN, Floor

from app.loop.corrections import question_key
from app.staff.gaps import WEEK_S, Gap, Gaps, Unanswered, communities, gaps_of
from app.staff.gaps_page import Shown, gaps_html, waiting_html
from ingest.errors import DeskmateError


def unanswered(number: int, question: str, owner: str = "a", age_s: float = 0.0) -> Unanswered:
    return Unanswered(number, f"c{number}", owner, 1e9 - age_s, question)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.6, 0.9]))
def test_every_text_is_in_one_group_and_near_its_centre(count: int, seed: int, alike: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(count, 6)))
    groups = communities(vectors, np.ones(count, np.float32), alike)

    assert sorted(row for group in groups for row in group) == list(range(count))
    for group in groups:
        assert all(vectors[group[0]] @ vectors[row] >= alike - 1e-5 for row in group)
    centres = [group[0] for group in groups]
    assert communities(vectors, np.ones(count, np.float32), alike) == groups
    for one, centre in enumerate(centres):
        for other in centres[one + 1 :]:
            assert vectors[centre] @ vectors[other] < alike + 1e-5, "two things that are alike are one"


def test_clusters_do_not_depend_on_the_order_and_count_repetitions() -> None:
    texts = ["vpn down", "vpn broken", "print", "Print?", "print"]
    vectors = {
        question_key(text): vector
        for text, vector in zip(
            texts, unit(np.array([[1, 0.1], [1, 0.0], [0, 1], [0, 1], [0, 1]], dtype=float)), strict=True
        )
    }
    questions = [unanswered(number, text, owner=f"user-{number % 2}") for number, text in enumerate(texts)]

    gaps = gaps_of(questions, vectors, 0.9)

    assert [sorted(one.exchange for one in gap.questions) for gap in gaps] == [[2, 3, 4], [0, 1]]
    assert gaps_of(reversed(questions), vectors, 0.9) == gaps
    assert [gap.askers for gap in gaps] == [2, 2]
    assert gaps_of([], {}, 0.9) == ()


def test_the_trend_is_this_week_against_the_four_before() -> None:
    ages = [0, 1, 2, 8, 9, 20, 40]
    gap = Gap(tuple(unanswered(n, "x", age_s=days * 86_400) for n, days in enumerate(ages)))

    assert gap.weeks(1e9) == (0, 0, 1, 2, 3)
    assert gap.rise(1e9) == pytest.approx(3 - 3 / 4)
    assert WEEK_S == 7 * 86_400


def test_declined_not_found_and_handed_over_questions_are_gaps(floor: Floor) -> None:
    floor.ask(BEN, "When does the VPN session end?")
    _, not_found = floor.ask(BEN, "Where is the printer of floor 3? I am Ben Smith.")
    floor.judge(BEN, not_found, "not-found")
    conversation, handed = floor.ask(ANNA, "Who waters the plants?")
    floor.staff.handovers.begin(conversation, ANNA, "")
    _, wrong = floor.ask(BEN, "When are print jobs deleted?")
    floor.judge(BEN, wrong, "wrong")

    found = floor.staff.gaps.find()

    assert found is not None
    assert sorted(one.exchange for gap in found for one in gap.questions) == [not_found, handed]
    gap = next(gap for gap in found if gap.questions[0].exchange == not_found)
    assert floor.staff.gaps.examples(gap) == ["Where is the printer of floor 3? I am <name>."]
    assert floor.staff.gaps.find() is found, "kept while nothing changes"
    floor.archive.erase(BEN)
    found = floor.staff.gaps.find()
    assert found is not None
    assert [one.exchange for gap in found for one in gap.questions] == [handed]


def test_a_slow_embedder_does_not_hold_the_page(floor: Floor) -> None:
    conversation, _ = floor.ask(ANNA, "Who waters the plants?")
    floor.staff.handovers.begin(conversation, ANNA, "")

    def slow(texts: list[str]) -> np.ndarray:
        time.sleep(0.3)
        return floor.desk.searcher.embed(texts)

    gaps = Gaps(floor.desk.database, slow)
    assert gaps.find(wait_s=0.01) is None
    assert len(gaps.find(wait_s=5) or ()) == 1
    assert "Look again" in waiting_html()


def test_without_an_embedder_the_page_says_why(floor: Floor) -> None:
    conversation, _ = floor.ask(ANNA, "Who waters the plants?")
    floor.staff.handovers.begin(conversation, ANNA, "")

    def broken(texts: list[str]) -> np.ndarray:
        raise DeskmateError("the embedder is gone")

    with pytest.raises(DeskmateError, match="the embedder is gone"):
        Gaps(floor.desk.database, broken).find()


def test_the_page_escapes_questions_and_names_nobody() -> None:
    gap = Gap((unanswered(1, "<script>", owner="user-77"), unanswered(2, "b", owner="user-78")))
    html = gaps_html([Shown(gap, ["<script>", "b<"], [("a&b.md", "A & <b>")], True)], 30, 99, 1e9)

    assert "<script>" not in html
    assert "user-7" not in html
    assert "&lt;script&gt;" in html
    assert "2 questions" in html
    assert "2 people" in html
    assert "29 smaller gaps not shown" in html
    assert "answered by the help desk" in html
    assert "No gaps" in gaps_html([], 0, 0, 1e9)
