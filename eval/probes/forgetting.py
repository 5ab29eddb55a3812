"""Has tuning cost what the base knew? A fixed set of everyday questions, asked of the base and of the adapter.

Asked as they are, without passages and without the house's instructions; an answer is right when it holds the fact.
Neither the training data nor any other question set has these questions.
"""

from pathlib import Path
from typing import Any

from app.models.llm import ChatModel
from eval.metrics import key_facts_met
from eval.stats import cluster_bootstrap
from finetune.adapters.card import Adapter
from finetune.template import Turn
from ingest.jsonl import read_jsonl

GENERAL = Path(__file__).parent / "general.jsonl"

ANSWER_TOKENS = 48


def forgetting(model: ChatModel, adapter: Adapter) -> dict[str, Any]:
    """Accuracy of the base and of the adapter on the general questions, and the difference in points with its interval.

    A negative difference is what was forgotten.
    """
    rows = [data for _, data in read_jsonl(GENERAL)]
    base, tuned = ([float(one) for one in _right(model, rows, under)] for under in (None, adapter))
    ids = [row["id"] for row in rows]
    points = cluster_bootstrap([100 * (after - before) for before, after in zip(base, tuned, strict=True)], ids)
    return {
        "questions": len(rows),
        "base": round(sum(base) / len(base), 4),
        "adapter": round(sum(tuned) / len(tuned), 4),
        "points": points.as_json() if points else None,
    }


def _right(model: ChatModel, rows: list[dict[str, Any]], adapter: Adapter | None) -> list[bool]:
    asked = [[Turn(role="user", content=row["question"])] for row in rows]
    answers = model.generate_batch(asked, ANSWER_TOKENS, adapter=adapter)
    return [key_facts_met(answer.text, row["key_facts"]) == 1.0 for answer, row in zip(answers, rows, strict=True)]
