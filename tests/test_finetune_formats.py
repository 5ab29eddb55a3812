"""Rows in other tools' forms: the same turns, nothing lost."""

import json

import pytest

from finetune.curation.formats import Format, files
from finetune.curation.pairs import Kind
from finetune.curation.rows import Row
from finetune.template import Turn

USER, BOT = "user", "assistant"


def row(*before: str) -> Row:
    history = tuple(Turn(role=(USER, BOT)[n % 2], content=text) for n, text in enumerate(before))
    prompt = (*history, Turn(role=USER, content="Passage 1 … Now?\u2028é"))
    return Row("r", Kind.FACT, "formal", prompt, (Turn(role=BOT, content="Now [1]."),), "Now?", 1, (), (), (), "t")


SPLITS = {"train": [row(), row("Then?", "Then [2].")], "held_out": [row()]}


def test_messages_are_one_conversation_a_line() -> None:
    written = files(Format.MESSAGES, SPLITS)
    assert set(written) == {"train.jsonl", "held_out.jsonl"}
    first, second = (json.loads(line) for line in written["train.jsonl"].split(b"\n") if line)
    assert [turn["role"] for turn in first["messages"]] == [USER, BOT]
    assert [turn["content"] for turn in second["messages"]] == [
        "Then?",
        "Then [2].",
        "Passage 1 … Now?\u2028é",
        "Now [1].",
    ]


def test_alpaca_has_the_turns_before_as_history() -> None:
    first, second = json.loads(files(Format.ALPACA, SPLITS)["train.json"])
    assert first == {"instruction": "Passage 1 … Now?\u2028é", "input": "", "output": "Now [1]."}
    assert second["history"] == [["Then?", "Then [2]."]]


def test_llama_factory_finds_every_file_that_it_is_told_of() -> None:
    written = files(Format.LLAMA_FACTORY, SPLITS)
    described = json.loads(written.pop("dataset_info.json"))
    assert {one["file_name"] for one in described.values()} == set(written)
    assert set(described) == {"deskmate_train", "deskmate_held_out"}


@pytest.mark.parametrize("form", Format)
def test_an_empty_split_is_an_empty_file(form) -> None:
    assert files(form, {"train": []})


@pytest.mark.slow
def test_the_files_load_as_data_sets(tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    for form in (Format.MESSAGES, Format.ALPACA):
        for name, data in files(form, SPLITS).items():
            (tmp_path / name).write_bytes(data)
            loaded = datasets.load_dataset("json", data_files=str(tmp_path / name), cache_dir=str(tmp_path / "cache"))
            assert len(loaded["train"]) == len(SPLITS[name.split(".")[0]])
