"""Question sets: what a line may hold, and errors that name file and line."""

import json

import pytest

from eval.questions import read_question_set
from ingest.errors import DeskmateError

GOOD = {"id": "a", "question": "How much leave?", "answerable": True, "gold_docs": ["leave.md"]}


def write(tmp_path, *lines):
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8")
    return path


def test_a_line_becomes_a_question_and_what_else_stands_there_is_left_alone(tmp_path):
    full = {**GOOD, "answer": "25", "key_facts": [["25", "twenty-five"], ["days"]], "kind": "single", "style": "plain"}
    path = write(tmp_path, {**full, "note": "ignored"}, "", {**GOOD, "id": "b", "gold_docs": [], "answerable": False})
    first, second = read_question_set(path)
    assert first.key_facts == (("25", "twenty-five"), ("days",))
    assert (first.answer, first.kind, first.style, first.gold_docs) == ("25", "single", "plain", ("leave.md",))
    assert (second.answer, second.key_facts, second.kind) == ("", (), "")


def test_a_question_clusters_with_its_first_gold_document_or_alone(tmp_path):
    lines = [{**GOOD, "gold_docs": ["x", "y"]}, {**GOOD, "id": "b", "gold_docs": []}]
    first, second = read_question_set(write(tmp_path, *lines))
    assert (first.cluster, second.cluster) == ("x", "b")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "no JSON"),
        ("[1]", "not a JSON object"),
        ({**GOOD, "id": ""}, "id: "),
        ({**GOOD, "id": 7}, "id: "),
        ({**GOOD, "question": ""}, "question: "),
        ({**GOOD, "answerable": "yes"}, "answerable: "),
        ({"id": "b", "question": "?"}, "answerable: Field required"),
        ({**GOOD, "gold_docs": "leave.md"}, "gold_docs: "),
        ({**GOOD, "key_facts": ["25"]}, "key_facts.0: "),
        ({**GOOD, "key_facts": [["25", 3]]}, "key_facts.0.1: "),
        (GOOD, "the id 'a' has been used before"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_line(tmp_path, line, says):
    path = write(tmp_path, GOOD, "", line)
    with pytest.raises(DeskmateError) as error:
        read_question_set(path)
    assert str(error.value).startswith(f"{path}:3: ")
    assert says in str(error.value)


def test_all_problems_of_a_line_are_named_at_once(tmp_path):
    with pytest.raises(DeskmateError, match=r":1: id: .*; question: .*; answerable: "):
        read_question_set(write(tmp_path, {"id": ""}))


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_set_without_questions_is_refused(tmp_path, text):
    with pytest.raises(DeskmateError, match="holds no question"):
        read_question_set(write(tmp_path, text))


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path):
    with pytest.raises(DeskmateError, match=r"none\.jsonl cannot be read"):
        read_question_set(tmp_path / "none.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DeskmateError, match=r"bytes\.jsonl cannot be read"):
        read_question_set(tmp_path / "bytes.jsonl")
