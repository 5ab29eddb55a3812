"""Who is shown which two answers: even, shared where it must be, blinded, and the same every time."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from rated import MODES, answer_line, evaluation, write

from app.ratings.plan import evaluations, plan, questions_of
from ingest.errors import DeskmateError


def test_a_plan_is_the_same_every_time_and_another_for_another_rater(tmp_path: Path) -> None:
    questions = questions_of(evaluation(tmp_path))
    assert plan(questions, "ann") == plan(questions, "ann")
    assert [pair.id for pair in plan(questions, "ann")] != [pair.id for pair in plan(questions, "bob")]


def test_every_third_pair_is_shared_with_the_same_question_and_modes(tmp_path: Path) -> None:
    questions = questions_of(evaluation(tmp_path, questions=30))
    ann, bob = plan(questions, "ann"), plan(questions, "bob")
    assert [pair.shared for pair in ann] == [True, False, False] * 10
    assert [pair.key for pair in ann[::3]] == [pair.key for pair in bob[::3]]
    assert [pair.key for pair in ann] != [pair.key for pair in bob]
    assert {pair.question.id for pair in ann} == {f"q{number}" for number in range(30)}


def test_pairs_of_modes_come_equally_often_from_the_start(tmp_path: Path) -> None:
    pairs = plan(questions_of(evaluation(tmp_path, questions=90)), "ann")
    for seen, most in ((9, 4), (45, 16), (90, 30)):
        count = Counter(pair.key[1:3] for pair in pairs[:seen])
        assert set(count) == set(combinations(sorted(MODES), 2))
        assert max(count.values()) <= most


def test_each_mode_stands_left_about_half_of_the_time(tmp_path: Path) -> None:
    questions = questions_of(evaluation(tmp_path, questions=100, modes=MODES[:2]))
    left = Counter(pair.left.mode for rater in ("ann", "bob", "cy", "di") for pair in plan(questions, rater))
    assert 160 <= left["hybrid"] <= 240  # 400 tosses of a fair coin, four standard deviations either way


def test_answers_in_the_same_words_are_not_compared(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    texts = {"hybrid": ["Five  days.", "Five."], "rag-only": ["Five\ndays.", "Six."]}
    for mode, of_mode in texts.items():
        write(folder / f"results-{mode}.jsonl", [answer_line(n, mode, text) for n, text in enumerate(of_mode)])
    assert [pair.question.id for pair in plan(questions_of(folder), "ann")] == ["q1"]


def test_a_question_asked_twice_is_offered_once_and_one_without_an_answer_not(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, questions=1)
    for path in folder.iterdir():
        mode = path.stem
        again = answer_line(0, mode, f"{mode} declines.", id="q0#absent")
        failed = answer_line(7, mode, "", answer=None)
        write(path, [answer_line(0, mode, f"{mode} answers."), again, failed])
    assert [asked.id for asked in questions_of(folder)] == ["q0"]


def test_an_evaluation_that_goes_on_is_read_again(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, questions=2)
    assert len(questions_of(folder)) == 2
    for at, mode in enumerate(MODES):
        write(folder / f"results-{at}.jsonl", [answer_line(number, mode, f"{at} {number}") for number in range(3)])
    assert len(questions_of(folder)) == 3


def test_only_folders_with_answers_are_evaluations(tmp_path: Path) -> None:
    evaluation(tmp_path, "with spaces")
    (tmp_path / "empty").mkdir()
    (tmp_path / "results-loose.jsonl").write_text("")
    assert evaluations(tmp_path) == ["with spaces"]
    assert evaluations(tmp_path / "missing") == []


@pytest.mark.parametrize("line", ['{"id": "q1"}\n', "[]\n", "{\n", '{"id": 3, "question": "?", "mode": "m"}\n'])
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "results-x.jsonl").write_text(line)
    with pytest.raises(DeskmateError, match=r"results-x\.jsonl:1 is not"):
        questions_of(tmp_path)
