"""A question set through the Answerer in one mode: answers on disk line by line, then the figures."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.answer import Answer, Mode
from app.console import answer_json, console, print_json, track
from app.desk import Desk
from eval.metrics import key_facts_met, recall_at
from eval.questions import Question
from eval.stats import Estimate, cluster_bootstrap
from ingest.errors import DeskmateError
from ingest.workspace import write_atomic


@dataclass(frozen=True, slots=True)
class Scored:
    """One answered question and what it scored. Metrics are None where they do not apply."""

    question: Question
    refused: bool
    facts: float | None
    leaked: bool | None
    recall5: float | None
    supported: float | None
    first_token_ms: float
    total_ms: float


def evaluate_modes(desk: Desk, questions: Sequence[Question], modes: Sequence[Mode], out: Path, as_json: bool) -> None:
    """Evaluate mode by mode and print the figures; see `evaluate`."""
    reports = [evaluate(desk, questions, mode, out) for mode in modes]
    if as_json:
        print_json({"out": str(out), "modes": reports})
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    table.add_column("")
    for report in reports:
        table.add_column(report["mode"])
    for name in reports[0]["all"]:
        table.add_row(name.replace("_", " "), *(_cell(report["all"][name]) for report in reports))
    console().print(table)
    console().print(f"\nanswers and figures are in {out}", style="dim")


def _cell(figure: Any) -> str:
    match figure:
        case {"mean": mean, "low": low, "high": high}:
            return f"{mean:.3f} ({low:.3f} to {high:.3f})"
        case {"p50": p50, "p95": p95}:
            return f"{p50:.0f} (p95 {p95:.0f})"
        case _:
            return "–" if figure is None else str(figure)


def evaluate(desk: Desk, questions: Sequence[Question], mode: Mode, out: Path) -> dict[str, Any]:
    """Answer every question as someone without groups, and write `results.jsonl` and `report.json` into `out`.

    A run that was stopped goes on where it stopped, unless model, mode or index have changed.

    Raises:
        DeskmateError: a gold document that the index does not have.
    """
    _check_gold(desk, questions)
    desk.model.load()
    out.mkdir(parents=True, exist_ok=True)
    results = out / f"results-{mode}.jsonl"
    done = _done(results, desk, mode)
    scored = []
    with open(results, "w", encoding="utf-8") as file:
        for question in track(questions, f"Answering, {mode}"):
            line = done.get(question.id)
            if line is None or line["question"] != question.question:
                line = _line(question, desk.answer(question.question, mode=mode))
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            scored.append(_score(question, line))
    report = {
        "mode": str(mode),
        "model": desk.model.name,
        "generation": desk.store.current_name(),
        "all": _figures(scored),
        "by_kind": _slices(scored, "kind"),
        "by_style": _slices(scored, "style"),
    }
    write_atomic(out / f"report-{mode}.json", (json.dumps(report, indent=1) + "\n").encode())
    return report


def _check_gold(desk: Desk, questions: Sequence[Question]) -> None:
    known = {state.doc for state in desk.searcher.open().table.documents() if state.reason is None}
    missing = sorted({doc for question in questions for doc in question.gold_docs} - known)
    if missing:
        raise DeskmateError(
            f"{len(missing)} gold documents are not in the index, first {missing[0]}; ingest the folder they are in"
        )


def _line(question: Question, answer: Answer) -> dict[str, Any]:
    docs = [hit.chunk.doc for hit in answer.hits]
    supported = [sentence.supported for sentence in answer.sentences]
    return {"id": question.id, **answer_json(answer), "retrieved_docs": docs, "supported": supported}


def _done(results: Path, desk: Desk, mode: Mode) -> dict[str, dict[str, Any]]:
    if not results.exists():
        return {}
    done = {}
    for line in results.read_text("utf-8").splitlines():
        try:
            data = json.loads(line)
        except ValueError:
            break  # the line that was being written when the run stopped
        current = desk.store.current_name() if mode in (Mode.RAG_ONLY, Mode.HYBRID) else None
        if (data["mode"], data["model"], data["generation"]) == (mode, desk.model.name, current):
            done[data["id"]] = data
    return done


def _score(question: Question, line: dict[str, Any]) -> Scored:
    facts = key_facts_met(line["answer"], question.key_facts)
    restricted = question.kind == "restricted"
    retrieves = line["generation"] is not None
    return Scored(
        question,
        line["refused"],
        facts if question.answerable and question.key_facts else None,
        facts == 1.0 if restricted and question.key_facts else None,
        recall_at(5, line["retrieved_docs"], question.gold_docs) if question.answerable and retrieves else None,
        float(np.mean(line["supported"])) if line["supported"] and retrieves and not line["refused"] else None,
        line["timing"]["first_token_ms"],
        line["timing"]["total_ms"],
    )


def _figures(scored: Sequence[Scored]) -> dict[str, Any]:
    """Means with intervals, clustered by document; times at p50 and p95 in milliseconds."""

    def mean(values: list[tuple[float | bool | None, Scored]]) -> dict[str, float | int] | None:
        kept = [(float(value), one.question.cluster) for value, one in values if value is not None]
        estimate: Estimate | None = cluster_bootstrap([v for v, _ in kept], [c for _, c in kept])
        return estimate.as_json() if estimate else None

    written = [one for one in scored if one.first_token_ms]
    return {
        "questions": len(scored),
        "key_fact_accuracy": mean([(one.facts, one) for one in scored]),
        "recall@5": mean([(one.recall5, one) for one in scored]),
        "refusal_recall": mean([(one.refused, one) for one in scored if not one.question.answerable]),
        "over_refusal": mean([(one.refused, one) for one in scored if one.question.answerable]),
        "restricted_facts_told": mean([(one.leaked, one) for one in scored]),
        "supported_sentences": mean([(one.supported, one) for one in scored]),
        "first_token_ms": _quantiles([one.first_token_ms for one in written]),
        "total_ms": _quantiles([one.total_ms for one in written]),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def _slices(scored: Sequence[Scored], by: str) -> dict[str, Any]:
    groups: defaultdict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        groups[getattr(one.question, by)].append(one)
    return {name: _figures(ones) for name, ones in sorted(groups.items()) if name}
