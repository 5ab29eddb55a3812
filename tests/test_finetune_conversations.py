"""A company's own files: every known form is read alike, and whatever is none is named with its line."""

import json
from pathlib import Path

import pytest

from finetune.curation.conversations import Conversation, read_conversations
from finetune.template import Turn
from ingest.errors import DeskmateError

ASKED = Turn(role="user", content="How long does a session last?")
SAID = Turn(role="assistant", content="Ten hours.")
EARLIER = (Turn(role="user", content="VPN?"), Turn(role="assistant", content="Lockgate."))
QUESTION, ANSWER = ASKED["content"], SAID["content"]


def read(tmp_path: Path, name: str, data: str | bytes) -> list[Conversation]:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_conversations(path)


def turns(tmp_path: Path, name: str, data: str | bytes) -> list[tuple[Turn, ...]]:
    return [one.turns for one in read(tmp_path, name, data)]


ROWS = [
    {"question": QUESTION, "answer": ANSWER},
    {"Question": QUESTION, "Answer": ANSWER, "id": 7},
    {"instruction": QUESTION, "input": "", "output": ANSWER},
    {"instruction": "How long does", "input": "a session last?", "output": ANSWER},
    {"prompt": QUESTION, "completion": ANSWER},
    {"prompt": [ASKED], "completion": [SAID]},
    {"messages": [{"role": "system", "content": "Be kind."}, ASKED, SAID]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}, SAID]},
    {"conversations": [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": ANSWER}]},
    {"turns": [{"speaker": "Eve", "text": QUESTION}, {"speaker": "Agent", "text": ANSWER}]},
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row))
def test_a_row_of_any_known_form_is_a_question_with_its_answer(tmp_path: Path, row: dict) -> None:
    (found,) = turns(tmp_path, "own.jsonl", json.dumps(row))
    assert [" ".join(turn["content"].split()) for turn in found] == [QUESTION, ANSWER]
    assert [turn["role"] for turn in found] == ["user", "assistant"]
    assert turns(tmp_path, "own.json", json.dumps([row, row])) == [found, found]


def test_earlier_turns_are_kept_as_messages_or_alpacas_history(tmp_path: Path) -> None:
    rows = [
        {"messages": [*EARLIER, ASKED, SAID]},
        {"instruction": QUESTION, "output": ANSWER, "history": [["VPN?", "Lockgate."]]},
    ]
    assert turns(tmp_path, "own.jsonl", "\n".join(map(json.dumps, rows))) == [(*EARLIER, ASKED, SAID)] * 2


def test_json_may_be_one_conversation_or_several_nested_or_not(tmp_path: Path) -> None:
    one = [dict(ASKED), dict(SAID)]
    for data in (one, [one], {"messages": one}, {"data": [{"messages": one}]}, [{"messages": one}]):
        assert turns(tmp_path, "own.json", json.dumps(data)) == [(ASKED, SAID)]


@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_is_read_whatever_parts_its_columns_and_however_it_is_encoded(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    rows = [["id", "Answer", "Question"], ["1", ANSWER, QUESTION], ["", "", ""], ["2", "Zoë’s\r\nöffice", "Où?"]]
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    found = read(tmp_path, "own.csv", text.encode(encoding))
    assert [one.turns for one in found] == [
        (ASKED, SAID),
        (Turn(role="user", content="Où?"), Turn(role="assistant", content="Zoë’s\nöffice")),
    ]
    assert [one.where for one in found] == ["own.csv:2", "own.csv:4"]


def test_a_row_without_an_answer_comes_out_empty_and_is_for_the_filters_to_count(tmp_path: Path) -> None:
    (found,) = turns(tmp_path, "own.csv", "question,answer\nWhy?\n")
    assert [turn["content"] for turn in found] == ["Why?", ""]


TRANSCRIPTS = {
    "labels": f"Customer: {QUESTION}\nAgent: {ANSWER}\n",
    "stamps before": f"[10:02] Eve Stone: {QUESTION}\n[10:03:11] Tom: {ANSWER}",
    "stamps after": f"Eve Stone (10:02 AM): {QUESTION}\n\nTom (10:03 AM): {ANSWER}",
    "dates": f"[2025-03-01 10:02] Eve: {QUESTION}\n[2025-03-01 10:02] Tom: {ANSWER}",
    "bare times": f"10:02 - Eve: {QUESTION}\n10:03 - Tom: {ANSWER}",
    "a greeting first": f"Agent: Hello, this is Tom.\nCustomer: {QUESTION}\nAgent: {ANSWER}\nCustomer: bye",
    "numbered": f"Q: {QUESTION}\nA: {ANSWER}",
    "bold": f"**Customer:** {QUESTION}\n**Agent:** {ANSWER}",
    "system lines": f"[10:01] System: Eve joined\n[10:02] Eve: {QUESTION}\n[10:03] Support: {ANSWER}",
    "several lines": "Customer: How long does\na session last?\nAgent: Ten hours.",
    "several in a row": "[1:02] Eve: How long does\n[1:02] Eve: a session last?\n[1:03] Tom: Ten hours.",
    "carriage returns": f"Customer: {QUESTION}\rAgent: {ANSWER}\r",
    "a heading": f"Chat export, March\n\nCustomer: {QUESTION}\nAgent: {ANSWER}",
    "the agent is known": f"Tom (Service Desk): Hi.\nEve: {QUESTION}\nTom (Service Desk): {ANSWER}\nEve: Thanks",
}


@pytest.mark.parametrize("text", TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_a_transcript_is_read_however_its_speakers_are_marked(tmp_path: Path, text: str) -> None:
    (found,) = turns(tmp_path, "chat.txt", text)
    assert [(turn["role"], " ".join(turn["content"].split())) for turn in found] == [
        ("user", QUESTION),
        ("assistant", ANSWER),
    ]


def test_lines_of_dashes_or_ticket_headings_part_conversations_and_names_are_known(tmp_path: Path) -> None:
    text = (
        f"[10:02] Eve Stone: {QUESTION}\n[10:03] Tom (IT): {ANSWER}\n-----\n"
        f"Customer: {QUESTION}\nAgent: {ANSWER}\nTicket 4711\nQ: {QUESTION}\nA: {ANSWER}\n"
    )
    found = read(tmp_path, "chat.txt", text)
    assert [one.turns for one in found] == [(ASKED, SAID)] * 3
    assert [one.where for one in found] == ["chat.txt:1", "chat.txt:4", "chat.txt:7"]
    assert found[0].names == {"Eve Stone", "Tom"}


def test_a_label_in_the_middle_of_an_answer_is_no_speaker(tmp_path: Path) -> None:
    text = "Customer: How?\nAgent: Do this.\nNote: only on Mondays.\nSee: https://a.example\nStep 1: go\nCustomer: ok"
    ((_, said),) = turns(tmp_path, "chat.txt", text)
    assert said["content"] == "Do this.\nNote: only on Mondays.\nSee: https://a.example\nStep 1: go"


BROKEN = [
    ("own.jsonl", b"", r"own\.jsonl is empty"),
    ("own.csv", b"\xef\xbb\xbf \r\n", r"own\.csv is empty"),
    ("own.jsonl", b'{"question": "a", "answer": "b"}\n' * 730 + b'{"question": "a"', r"own\.jsonl:731: no JSON"),
    ("own.jsonl", b'{"question": "a"}', r"own\.jsonl:1: no `messages`.*found: question"),
    ("own.jsonl", b"[1]", r"own\.jsonl:1: not a JSON object"),
    ("own.jsonl", b'{"messages": ["hello"]}', r"own\.jsonl:1: a turn must be an object"),
    ("own.jsonl", b'{"messages": [{"role": "user"}]}', r"own\.jsonl:1: a turn lacks"),
    ("own.jsonl", b'{"question": {"a": 1}, "answer": "b"}', r"own\.jsonl:1: .* is no text"),
    ("own.jsonl", b'{"question": "a", "answer": "b", "history": [1]}', r"own\.jsonl:1: `history`"),
    ("own.jsonl", b"[" * 100_000, r"own\.jsonl:1: no JSON"),
    ("own.jsonl", b'{"question": "\xff", "answer": "b"}', r"own\.jsonl cannot be read: .*utf-8"),
    ("own.json", b'[\n{"question": 1,\n}]', r"own\.json:3: no JSON"),
    ("own.json", b"[" * 100_000, r"own\.json:1: no JSON"),
    ("own.json", b"\xff\xfe", r"own\.json cannot be read"),
    ("own.json", b"7", r"own\.json:1: neither"),
    ("own.json", b'[{"question": "a", "answer": "b"}, 7]', r"own\.json, entry 2: neither"),
    ("own.csv", b"name,age\nEve,7\n", r"own\.csv:1: the first row must name a question .*found: name, age"),
    ("own.csv", b'question,answer\na,b\n"c,d\n', r"own\.csv:3: the table breaks off"),
    ("own.csv", b"question,answer\na," + b"b" * 1_000_000 + b"\n", r"own\.csv:2: .*field larger"),
    ("own.csv", b"question,answer\n\0\0\0", r"own\.csv cannot be read: .*binary"),
    ("chat.txt", b"Just a letter, with: no speakers.\nReally.", r"chat\.txt:1: no turns"),
    ("chat.txt", b"\x89PNG\0\0\0", r"chat\.txt cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "message"), BROKEN, ids=[f"{n} {one[0]}" for n, one in enumerate(BROKEN)])
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DeskmateError, match=message) as caught:
        read(tmp_path, name, data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DeskmateError, match=r"nowhere\.csv cannot be read: No such file"):
        read_conversations(tmp_path / "nowhere.csv")


def test_a_line_of_a_megabyte_is_read_and_lone_surrogates_are_dropped(tmp_path: Path) -> None:
    (found,) = turns(tmp_path, "own.jsonl", json.dumps({"question": "a" * 1_000_000, "answer": "b\ud800"}))
    assert (len(found[0]["content"]), found[1]["content"]) == (1_000_000, "b")
    assert len(turns(tmp_path, "chat.txt", "Customer: " + "a: " * 400_000 + "\nAgent: b")) == 1
    with pytest.raises(DeskmateError):
        read(tmp_path, "chat.txt", "-" * 1_000_000 + "x" + " " * 100_000)
