"""One answered question against what is known of it: every metric of a single answer. Asks no model."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.metrics import (
    Embed,
    citation_precision,
    content_precision,
    exact_match,
    foreign_names,
    foreign_numbers,
    key_facts_met,
    ndcg_at,
    recall_at,
    reciprocal_rank,
    rouge_l,
    semantic_similarity,
    token_f1,
)
from eval.questions import Question
from eval.refusals import Said, classify
from eval.stats import Estimate, bootstrap_ratio
from finetune.house_form import check
from finetune.voice import Voice
from ingest.sentences import sentence_spans
from retrieval.lexical import stems


@dataclass(frozen=True, slots=True)
class Scored:
    """What one answer scored. Metrics are None where they do not apply.

    `refused`: the answer declines, in the house's words or its own; `clarifies`: it asks back instead, and `offered`
    says whether a right document is among the choices. `leaked`: some of a restricted document's facts were told. Times
    in milliseconds.

    Against the gold answer: `facts` (key-fact accuracy), `exact`, `f1`, `rouge`, and `similarity`, which only
    `with_similarity` fills in. Of the search: `recall5`, `rank` (reciprocal), `ndcg10`.

    Of answers that say something and could have read passages: `supported`, the share of sentences that the passages
    support; `precision`, of content words that are in the passages; `numbers` and `names`: whether the answer holds one
    that the passages, the question and the house's refusal do not; `cited`, the share of sentences to be cited that
    are. `citations`: the share of citations that point to a gold document.

    `form` and `form_written`: whether the served answer, and what the model itself wrote, are in the house form;
    `broken` are the rules that the served one breaks.
    """

    question: Question
    refused: bool
    clarifies: bool
    offered: bool | None
    facts: float | None
    exact: bool | None
    f1: float | None
    rouge: float | None
    leaked: bool | None
    recall5: float | None
    rank: float | None
    ndcg10: float | None
    supported: float | None
    precision: float | None
    numbers: bool | None
    names: bool | None
    cited: float | None
    citations: float | None
    form: bool
    form_written: bool | None
    broken: tuple[str, ...]
    first_token_ms: float
    total_ms: float
    similarity: float | None = None


def _said(line: dict[str, Any], voice: Voice) -> Said:
    """What kind of answer a line holds. What the house itself says is known; documents too say that they "cannot"."""
    if line.get("clarified"):
        return "clarification"
    return "answer" if line.get("quoted") else classify(line["answer"], voice)


def score(question: Question, line: dict[str, Any], voice: Voice) -> Scored:
    """Score one line of results, see `eval.run`."""
    said = _said(line, voice)
    refused = line["refused"] or said == "refusal"
    answer, gold = line["answer"], question.answer if question.answerable else ""
    facts = 0.0 if said == "clarification" else key_facts_met(answer, question.key_facts)
    ranked = line["retrieved_docs"] if question.answerable and line["generation"] is not None else None
    told = line["generation"] is not None and not refused and said == "answer"
    read = "\n".join([*line["headings"], *line["texts"]]) if told else ""
    sources = f"{read}\n{question.question}\n{voice.decline}"
    broken = {broken.rule for broken in check(answer, voice, line["passages"])}
    written = line["written"]
    docs = [citation["doc"] for citation in line["citations"]]
    right = citation_precision(docs, question.gold_docs) if question.answerable and docs else None
    return Scored(
        question=question,
        refused=refused,
        clarifies=said == "clarification" and not refused,
        offered=right > 0 if said == "clarification" and right is not None else None,
        facts=facts if question.answerable and question.key_facts else None,
        exact=exact_match(answer, gold) if gold else None,
        f1=token_f1(answer, gold) if gold else None,
        rouge=rouge_l(answer, gold) if gold else None,
        leaked=facts > 0 if question.kind == "restricted" and question.key_facts else None,
        recall5=recall_at(5, ranked, question.gold_docs) if ranked is not None else None,
        rank=reciprocal_rank(ranked, question.gold_docs) if ranked is not None else None,
        ndcg10=ndcg_at(10, ranked, question.gold_docs) if ranked is not None else None,
        supported=float(np.mean(line["supported"])) if told and line["supported"] else None,
        precision=content_precision(answer, set(stems(read))) if read else None,
        numbers=bool(foreign_numbers(answer, sources)) if read else None,
        names=bool(foreign_names(answer, set(stems(sources)))) if read else None,
        cited=_cited(answer, line["supported"], voice) if told else None,
        citations=right if said != "clarification" else None,
        form=not broken,
        form_written=not check(written, voice, line["passages"]) if written else None,
        broken=tuple(sorted(broken)),
        first_token_ms=line["timing"]["first_token_ms"],
        total_ms=line["timing"]["total_ms"],
    )


def _cited(answer: str, supported: Sequence[bool], voice: Voice) -> float | None:
    """Citation recall of a served answer, whose citations all hold; what is neither cited nor wanting says nothing.

    Source: Gao et al. 2023, https://arxiv.org/abs/2305.14627 (ALCE); `app.answering.grounding` stands for its model.
    """
    cited = sum(bool(voice.marker.search(answer, start, end)) for start, end in sentence_spans(answer))
    checkable = cited + supported.count(False)
    return cited / checkable if checkable else None


def with_similarity(scored: Sequence[Scored], lines: Sequence[dict[str, Any]], embed: Embed) -> list[Scored]:
    """Fill in the semantic similarity of answers to gold answers: the cosine of their embeddings, all in one batch.

    Args:
        scored: of `lines`, in their order.
        lines: of results.
        embed: texts to unit vectors.
    """
    at = [i for i, one in enumerate(scored) if one.f1 is not None]
    answers, golds = [lines[i]["answer"] for i in at], [scored[i].question.answer for i in at]
    found = dict(zip(at, semantic_similarity(answers, golds, embed), strict=True))
    return [dataclasses.replace(one, similarity=found.get(i)) for i, one in enumerate(scored)]


def refusal_f1(scored: Sequence[Scored]) -> Estimate | None:
    """F1 of declining what the documents do not answer, over a whole set; None where nothing is to be declined.

    Precision is the share of the refusals that were due, recall the share of the due ones that were given. Asking back
    is no refusal.
    """
    if all(one.question.answerable for one in scored):
        return None
    due = [not one.question.answerable for one in scored]
    hits = [2.0 * (one.refused and wanted) for one, wanted in zip(scored, due, strict=True)]
    sizes = [float(one.refused + wanted) for one, wanted in zip(scored, due, strict=True)]
    return bootstrap_ratio(hits, sizes, [one.question.cluster for one in scored])


Metric = Callable[[Scored], float | bool | None]

METRICS: dict[str, Metric] = {
    "recall@5": lambda one: one.recall5,
    "mrr": lambda one: one.rank,
    "ndcg@10": lambda one: one.ndcg10,
    "key_fact_accuracy": lambda one: one.facts,
    "exact_match": lambda one: one.exact,
    "token_f1": lambda one: one.f1,
    "rouge_l": lambda one: one.rouge,
    "semantic_similarity": lambda one: one.similarity,
    "supported_sentences": lambda one: one.supported,
    "content_precision": lambda one: one.precision,
    "foreign_numbers": lambda one: one.numbers,
    "foreign_names": lambda one: one.names,
    "citation_precision": lambda one: one.citations,
    "citation_recall": lambda one: one.cited,
    "refusal_recall": lambda one: None if one.question.answerable else one.refused,
    "over_refusal": lambda one: one.refused if one.question.answerable else None,
    "clarifications": lambda one: one.clarifies,
    "clarification_hits": lambda one: one.offered,
    "restricted_facts_told": lambda one: one.leaked,
    "house_form": lambda one: one.form,
    "house_form_written": lambda one: one.form_written,
}
"""Means that a report gives, with the value that one answer has. `refusal_f1` is of a set and stands beside them."""
