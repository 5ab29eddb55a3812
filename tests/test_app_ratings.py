"""Ratings on disk: nothing said is lost, whoever writes at the same time and whoever is killed."""

import threading
from pathlib import Path

import pytest
from rated import evaluation

from app.ratings.plan import Pair, plan, questions_of
from app.ratings.store import Ratings, rater_name
from ingest.errors import DeskmateError


def pairs_of(folder: Path, rater: str) -> tuple[Pair, ...]:
    return plan(questions_of(folder), rater)


def test_the_last_word_on_a_pair_stands_and_every_word_is_kept(tmp_path: Path) -> None:
    folder = evaluation(tmp_path)
    ratings, first, second = Ratings(folder), *pairs_of(folder, "ann")[:2]
    ratings.rate("ann", first, "left", "tie")
    ratings.rate("ann", second, "tie", "tie")
    ratings.rate("ann", first, "right", "right")
    assert [(one.question, one.tone) for one in ratings.standing()] == [
        (second.question.id, "tie"),
        (first.question.id, "right"),
    ]
    ratings.add(ratings.standing()[-1].withdrawn())
    assert [one.question for one in ratings.of("ann")] == [second.question.id]
    assert len((folder / "ratings.jsonl").read_text().splitlines()) == 4


def test_a_rating_says_which_mode_stood_where(tmp_path: Path) -> None:
    folder = evaluation(tmp_path)
    pair = pairs_of(folder, "ann")[0]
    Ratings(folder).rate("ann", pair, "left", "right")
    (rating,) = Ratings(folder).standing()
    assert (rating.left, rating.right) == (pair.left.mode, pair.right.mode)
    assert rating.key == pair.key
    assert rating.time.endswith("Z")


def test_raters_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, questions=15)

    def rate_all(rater: str) -> None:
        for pair in pairs_of(folder, rater):
            Ratings(folder).rate(rater, pair, "tie", "left")

    threads = [threading.Thread(target=rate_all, args=(f"rater {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Ratings(folder).standing()) == 4 * 15


def test_a_half_written_last_line_is_dropped_and_the_next_rating_is_whole(tmp_path: Path) -> None:
    folder = evaluation(tmp_path)
    ratings, first, second = Ratings(folder), *pairs_of(folder, "ann")[:2]
    ratings.rate("ann", first, "left", "left")
    with open(folder / "ratings.jsonl", "ab") as file:
        file.write(b'{"rater": "bob", "question": "' + b"x" * 9000)
    assert [one.rater for one in ratings.standing()] == ["ann"]
    ratings.rate("ann", second, "tie", "tie")
    assert [one.question for one in ratings.standing()] == [first.question.id, second.question.id]
    assert (folder / "ratings.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        '{"rater":"a","question":"q","left":"m","right":"n","words":"w","tone":"up","correctness":"tie","time":""}',
        '{"rater":1,"question":"q","left":"m","right":"n","words":"w","tone":"tie","correctness":"tie","time":""}',
        '{"rater":"a","question":"q","left":"m","right":"n","words":"w","tone":"tie","correctness":null,"time":""}',
    ],
)
def test_a_line_that_is_no_rating_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "ratings.jsonl").write_text(line + "\n")
    with pytest.raises(DeskmateError, match=r"ratings\.jsonl:1 is not a rating"):
        Ratings(tmp_path).standing()


def test_a_folder_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    folder = evaluation(tmp_path)
    (folder / "ratings.jsonl").mkdir()
    with pytest.raises(DeskmateError, match="while keeping a rating"):
        Ratings(folder).rate("ann", pairs_of(folder, "ann")[0], "tie", "tie")


def test_one_person_has_one_name() -> None:
    assert rater_name("  Zoë   O'Neil ") == rater_name("ZOË O'NEIL") == "zoë o'neil"


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "x" * 1_000_000, "<b>", "a/b", "a\x00b", "..", "ﷺ" * 40])
def test_what_is_no_name_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(DeskmateError, match="name"):
        rater_name(name)
