"""Training rows in the forms that other tools read. deskmate itself tunes on the rows as they are.

Alpaca: https://github.com/tatsu-lab/stanford_alpaca. Messages: what OpenAI, Axolotl and TRL call conversational.
LLaMA-Factory: https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from finetune.curation.rows import Row


class Format(StrEnum):
    """A form of training data."""

    ALPACA = "alpaca"
    MESSAGES = "messages"
    LLAMA_FACTORY = "llama-factory"


def files(form: Format, splits: Mapping[str, Sequence[Row]]) -> dict[str, bytes]:
    """Rows as the files of a format, by their names in a folder of their own.

    Args:
        form: which tool's.
        splits: rows by the name of their split, such as `train`.
    """
    match form:
        case Format.ALPACA:
            return {f"{name}.json": _json([_alpaca(row) for row in rows]) for name, rows in splits.items()}
        case Format.MESSAGES:
            return {f"{name}.jsonl": b"".join(_json(_messages(row)) for row in rows) for name, rows in splits.items()}
        case Format.LLAMA_FACTORY:
            data = {f"{name}.json": _json([_messages(row) for row in rows]) for name, rows in splits.items()}
            return data | {"dataset_info.json": _json({f"deskmate_{name}": _described(name) for name in splits})}


def _messages(row: Row) -> dict[str, Any]:
    return {"messages": [*row.prompt, *row.completion]}


def _alpaca(row: Row) -> dict[str, Any]:
    turns = [turn["content"] for turn in row.prompt]
    earlier = [list(pair) for pair in zip(turns[:-1:2], turns[1:-1:2], strict=True)]
    return {"instruction": turns[-1], "input": "", "output": row.answer} | ({"history": earlier} if earlier else {})


def _described(name: str) -> dict[str, Any]:
    """An entry of LLaMA-Factory's `dataset_info.json`."""
    return {
        "file_name": f"{name}.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()
