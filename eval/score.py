"""One answered question against what is known of it: every metric of a single answer. Asks no model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.metrics import citation_precision, key_facts_met, recall_at
from eval.questions import Question
from finetune.house_form import check
from finetune.voice import Voice


@dataclass(frozen=True, slots=True)
class Scored:
    """What one answer scored. Metrics are None where they do not apply.

    `facts`: key-fact accuracy. `leaked`: a restricted document's facts were told. `recall5`: gold documents among the
    first five passages. `supported`: share of sentences that the passages support. `citations`: share of citations that
    point to a gold document. `form` and `form_written`: whether the served answer, and what the model itself wrote, are
    in the house form; `broken` are the rules that the served one breaks. Times in milliseconds.
    """

    question: Question
    refused: bool
    facts: float | None
    leaked: bool | None
    recall5: float | None
    supported: float | None
    citations: float | None
    form: bool
    form_written: bool | None
    broken: tuple[str, ...]
    first_token_ms: float
    total_ms: float


def score(question: Question, line: dict[str, Any], voice: Voice) -> Scored:
    """Score one line of results."""
    facts = key_facts_met(line["answer"], question.key_facts)
    restricted = question.kind == "restricted"
    retrieves = line["generation"] is not None
    told = not line["refused"]
    broken = {broken.rule for broken in check(line["answer"], voice, line["passages"])}
    written = line["written"]
    cited = [citation["doc"] for citation in line["citations"]]
    return Scored(
        question=question,
        refused=line["refused"],
        facts=facts if question.answerable and question.key_facts else None,
        leaked=facts == 1.0 if restricted and question.key_facts else None,
        recall5=recall_at(5, line["retrieved_docs"], question.gold_docs) if question.answerable and retrieves else None,
        supported=float(np.mean(line["supported"])) if line["supported"] and retrieves and told else None,
        citations=citation_precision(cited, question.gold_docs) if question.answerable and cited else None,
        form=not broken,
        form_written=not check(written, voice, line["passages"]) if written else None,
        broken=tuple(sorted(broken)),
        first_token_ms=line["timing"]["first_token_ms"],
        total_ms=line["timing"]["total_ms"],
    )


Metric = Callable[[Scored], float | bool | None]

METRICS: dict[str, Metric] = {
    "key_fact_accuracy": lambda one: one.facts,
    "recall@5": lambda one: one.recall5,
    "refusal_recall": lambda one: None if one.question.answerable else one.refused,
    "over_refusal": lambda one: one.refused if one.question.answerable else None,
    "restricted_facts_told": lambda one: one.leaked,
    "supported_sentences": lambda one: one.supported,
    "citation_precision": lambda one: one.citations,
    "house_form": lambda one: one.form,
    "house_form_written": lambda one: one.form_written,
}
"""Means that a report gives, with the value that one answer has."""
