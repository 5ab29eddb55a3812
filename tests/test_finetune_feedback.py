"""Labels: what a line must be, and which labels may be tuned on."""

import json

import pytest

from finetune.curation.feedback import Library, read_feedback, screen
from finetune.prompt import PromptPassage, render_prompt
from finetune.voice import load_voice
from ingest.errors import DeskmateError
from ingest.records import EVERYONE, Chunk
from ingest.scan import Known

VOICE = load_voice()
LINE = {"id": "1", "question": "How many days?", "passages": ["c1"], "answer": "It is 20 days [1].", "verdict": "down"}
HOLIDAY = Chunk("c1", "hr/leave.md", "Leave", "Days", None, 0, 24, "Annual leave is 25 days.")
BOARD = Chunk("c2", "board.md", "Board", "", None, 0, 9, "A secret.", frozenset({"board"}))


def known(tmp_path, doc, sha256, *groups):
    return Known(tmp_path / doc, tmp_path, doc, sha256, frozenset(groups), True)


@pytest.fixture
def library(tmp_path):
    documents = (known(tmp_path, "hr/leave.md", "a1", EVERYONE), known(tmp_path, "board.md", "b1", "board"))
    return Library(documents, {"c1": HOLIDAY, "c2": BOARD}.get, frozenset({EVERYONE}))


def read(tmp_path, *lines):
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return read_feedback(path)


def screened(tmp_path, library, **changed):
    return screen(read(tmp_path, {**LINE, **changed}), VOICE, library)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"verdict": "good"}, "verdict: Input should be 'up' or 'down'"),
        ({"corection": "x"}, "corection: no such field"),
        ({"answer": " "}, "answer: "),
        ({"verdict": "up", "correction": "It is 25 days [1]."}, "a thumb up has no correction"),
        ({"prompt": [{"role": "user", "content": "x"}]}, "give prompt, or question with passages, and not both"),
        ({"question": ""}, "give prompt, or question with passages, and not both"),
        ({"history": [{"role": "user", "content": "x"}]}, "not user and assistant in turn"),
        ({"id": "0"}, "the id '0' is that of line 1 already"),
    ],
)
def test_a_line_that_is_no_label_is_named_with_file_and_line(tmp_path, changed, problem):
    with pytest.raises(DeskmateError) as raised:
        read(tmp_path, {**LINE, "id": "0"}, {**LINE, **changed})
    assert f"{tmp_path}/labels.jsonl:2: " in str(raised.value)
    assert problem in str(raised.value)


def test_broken_json_is_named_with_file_and_line(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(LINE) + "\n\n{'id': 2}\n")
    with pytest.raises(DeskmateError, match=r"labels\.jsonl:3"):
        read_feedback(path)


def test_a_file_without_labels_is_an_error(tmp_path):
    with pytest.raises(DeskmateError, match="holds no label"):
        read(tmp_path)


def test_ids_of_passages_become_the_prompt_that_the_server_sends(tmp_path, library):
    label = screened(tmp_path, library, correction="It is 25 days [1].").labels[0]
    assert list(label.prompt) == render_prompt("How many days?", [PromptPassage.of(HOLIDAY)], VOICE)
    assert (label.correction, label.docs, label.access) == (
        "It is 25 days [1].",
        {"hr/leave.md": "a1"},
        {frozenset({EVERYONE})},
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"passages": ["gone"]}, "stale"),
        ({"docs": {"hr/leave.md": "before"}}, "stale"),
        ({"docs": {"removed.md": "x"}}, "stale"),
        ({"passages": ["c2"]}, "closed"),
        ({"access": [["board"]]}, "closed"),
        ({"answer": "Write to jane.doe@example.com [1]."}, "personal"),
        ({"correction": "Call Ms. Doe, she will tell you [1]."}, "personal"),
        ({"verdict": "up", "answer": "**It is 25 days**"}, "answer-form"),
    ],
)
def test_what_may_not_be_tuned_on_is_left_out_and_counted(tmp_path, library, changed, reason):
    found = screened(tmp_path, library, **changed)
    assert not found.labels
    assert dict(found.left_out) == {reason: 1}
    assert found.examples[reason].startswith("1: ")


@pytest.mark.parametrize(
    ("correction", "reason"), [("It is 25 days.", "correction-form"), ("It is 20 days [1].", "correction-same")]
)
def test_a_correction_that_cannot_be_used_leaves_its_thumb(tmp_path, library, correction, reason):
    found = screened(tmp_path, library, correction=correction)
    assert dict(found.left_out) == {reason: 1}
    assert [(label.up, label.correction) for label in found.labels] == [(False, "")]


def test_a_sent_prompt_with_passages_must_say_of_which_documents(tmp_path, library):
    sent = {"prompt": render_prompt("How?", [PromptPassage.of(HOLIDAY)], VOICE), "question": "", "passages": None}
    assert dict(screened(tmp_path, library, **sent).left_out) == {"no-docs": 1}
    label = screened(tmp_path, library, **sent, docs={"hr/leave.md": "a1"}).labels[0]
    assert list(label.prompt) == sent["prompt"]


def test_a_sent_prompt_without_passages_needs_no_documents(tmp_path, library):
    found = screened(tmp_path, library, prompt=[{"role": "user", "content": "Hi?"}], question="", passages=None)
    assert [label.docs for label in found.labels] == [{}]


def test_personal_data_in_a_question_is_masked_and_counted(tmp_path, library):
    found = screened(tmp_path, library, question="I am jane.doe@example.com, how many days?")
    assert "<mail>" in found.labels[0].prompt[-1]["content"]
    assert HOLIDAY.text in found.labels[0].prompt[-1]["content"]
    assert found.masked["mail"] == 1


def test_of_two_verdicts_of_one_conversation_on_an_answer_the_last_counts(tmp_path, library):
    lines = [
        {**LINE, "conversation": "b4", "answer": "It is 25 days [1]."},
        {**LINE, "id": "2", "conversation": "b4", "answer": "It is 25 days [1].", "verdict": "up"},
        {**LINE, "id": "3", "conversation": "c7", "answer": "It is 25 days [1]."},
    ]
    found = screen(read(tmp_path, *lines), VOICE, library)
    assert [(label.id, label.up) for label in found.labels] == [("2", True), ("3", False)]
    assert dict(found.left_out) == {"changed-mind": 1}
