"""A question set through the Answerer in one mode: answers on disk line by line, then the figures."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.answer import Answer
from app.batch import Journal, answered_by
from app.console import answer_json, console, print_json, track
from app.desk import Desk
from app.modes import Mode
from eval.forgetting import forgetting
from eval.questions import Question
from eval.score import METRICS, Metric, Scored, score
from eval.stats import cluster_bootstrap
from finetune.adapter_card import Adapter
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, write_atomic

BATCH = 32
"""Questions that are answered together."""

ABSENT = "#absent"
"""Ends the id of a question that is asked as if its gold documents did not exist."""

COMPARED = ("key_fact_accuracy", "over_refusal", "refusal_recall", "supported_sentences", "house_form")
"""Metrics of which modes are compared, question by question."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a question set is asked.

    `absent`: every answerable question is asked once more as if its gold documents did not exist; the right answer is
    then to decline. `one_by_one`: as askers come, for the times to the first token; else many together. `forgetting`:
    ask the base and the adapter general questions too.
    """

    absent: bool = False
    one_by_one: bool = False
    forgetting: bool = False


def evaluate_modes(
    desk: Desk, questions: Sequence[Question], modes: Sequence[Mode], out: Path, options: Options, as_json: bool
) -> None:
    """Evaluate mode by mode and print the figures; see `evaluate`. `report.json` compares the first with the others."""
    runs = [evaluate(desk, questions, mode, out, options) for mode in modes]
    reports = [run.report for run in runs]
    summary: dict[str, Any] = {"modes": reports, "differences": [_difference(runs[0], run) for run in runs[1:]]}
    if options.forgetting:
        adapter = desk.serving.decide(Mode.HYBRID, frozenset()).adapter
        summary["forgetting"] = forgetting(desk.model, adapter) if adapter else None
    write_atomic(out / "report.json", (json.dumps(summary, indent=1) + "\n").encode())
    if as_json:
        print_json({"out": str(out), **summary})
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    table.add_column("")
    for report in reports:
        table.add_column(report["mode"])
    for name in reports[0]["all"]:
        table.add_row(name.replace("_", " "), *(_cell(report["all"][name]) for report in reports))
    console().print(table)
    for difference in summary["differences"]:
        facts = difference["key_fact_accuracy"]
        if facts:
            console().print(f"\nkey-fact accuracy, {difference['modes']}: {_cell(facts)}")
    if probe := summary.get("forgetting"):
        console().print(f"\nforgetting probe: base {probe['base']:.3f}, adapter {probe['adapter']:.3f}")
    console().print(f"\nanswers and figures are in {out}", style="dim")


def _cell(figure: Any) -> str:
    match figure:
        case {"mean": mean, "low": low, "high": high}:
            return f"{mean:.3f} ({low:.3f} to {high:.3f})"
        case {"p50": p50, "p95": p95}:
            return f"{p50:.0f} (p95 {p95:.0f})"
        case dict():
            return ", ".join(f"{name} {count}" for name, count in figure.items())
        case _:
            return "–" if figure is None else str(figure)


@dataclass(frozen=True, slots=True)
class Run:
    """One mode's report and what it rests on."""

    report: dict[str, Any]
    scored: list[Scored]


def evaluate(desk: Desk, questions: Sequence[Question], mode: Mode, out: Path, options: Options | None = None) -> Run:
    """Answer every question as someone without groups; write `results-MODE.jsonl` and `report-MODE.json` into `out`.

    A run that was stopped goes on where it stopped, unless what it depends on has changed.

    Raises:
        DeskmateError: a gold document that the index does not have, a mode that is not served, a disk that refuses.
    """
    options = options or Options()
    _check_gold(desk, questions)
    asked = [*questions, *(_absent(one) for one in questions if one.answerable)] if options.absent else list(questions)
    how = desk.serving.decide(mode, frozenset())
    desk.model.load(how.adapter)
    out.mkdir(parents=True, exist_ok=True)
    run = {"mode": mode, "adapter": how.adapter and how.adapter.checksum, "together": not options.one_by_one}
    try:
        with Journal(out / f"journal-{mode}.jsonl", run | answered_by(desk)) as journal:
            left = [one for one in asked if (journal.get(one.id) or {}).get("question") != one.question]
            for line in _answers(desk, left, mode, options):
                journal.add(line)
            lines = [journal.get(one.id) or {} for one in asked]
            journal.write(out / f"results-{mode}.jsonl", [one.id for one in asked])
    except OSError as error:
        raise explain_disk_error(error, f"writing into {out}") from error
    scored = [score(one, line, desk.voice) for one, line in zip(asked, lines, strict=True)]
    report = {
        "mode": str(mode),
        "model": desk.model.name,
        "adapter": how.adapter and how.adapter.id,
        "generation": desk.store.current_name(),
        "all": figures(scored),
        "by_kind": _slices(scored, "kind"),
        "by_style": _slices(scored, "style"),
        "by_tuning": _by_tuning(scored, how.adapter),
    }
    write_atomic(out / f"report-{mode}.json", (json.dumps(report, indent=1) + "\n").encode())
    return Run(report, scored)


def _absent(question: Question) -> Question:
    """The same question where its answer cannot be found."""
    return Question(
        f"{question.id}{ABSENT}", question.question, False, question.gold_docs, "", (), "absent", question.style
    )


def _answers(desk: Desk, asked: Sequence[Question], mode: Mode, options: Options) -> Iterator[dict[str, Any]]:
    size = 1 if options.one_by_one else BATCH
    for first in track(range(0, len(asked), size), f"Answering, {mode}"):
        batch = asked[first : first + size]
        if options.one_by_one and not options.absent:
            answers = [desk.answer(batch[0].question, mode=mode)]
        else:
            gone = [frozenset(one.gold_docs if one.id.endswith(ABSENT) else ()) for one in batch]
            without = gone if any(gone) else ()
            answers = desk.answerer.answer_batch([one.question for one in batch], mode=mode, without=without)
        yield from (_line(one, answer) for one, answer in zip(batch, answers, strict=True))


def _check_gold(desk: Desk, questions: Sequence[Question]) -> None:
    known = {state.doc for state in desk.searcher.open().table.documents() if state.reason is None}
    missing = sorted({doc for question in questions for doc in question.gold_docs} - known)
    if missing:
        raise DeskmateError(
            f"{len(missing)} gold documents are not in the index, first {missing[0]}; ingest the folder they are in"
        )


def _line(question: Question, answer: Answer) -> dict[str, Any]:
    return {
        "id": question.id,
        **answer_json(answer),
        "retrieved_docs": [hit.chunk.doc for hit in answer.hits],
        "supported": [sentence.supported for sentence in answer.sentences],
        "written": answer.written,
        "passages": answer.passages,
    }


def figures(scored: Sequence[Scored]) -> dict[str, Any]:
    """Means with intervals, clustered by document; broken rules counted; times at p50 and p95 in milliseconds."""
    written = [one for one in scored if one.first_token_ms]
    return {
        "questions": len(scored),
        **{name: _mean(scored, metric) for name, metric in METRICS.items()},
        "broken_rules": dict(Counter(rule for one in scored for rule in one.broken).most_common()),
        "first_token_ms": _quantiles([one.first_token_ms for one in written]),
        "total_ms": _quantiles([one.total_ms for one in written]),
    }


def _mean(scored: Sequence[Scored], metric: Metric) -> dict[str, float | int] | None:
    kept = [(float(value), one.question.cluster) for one in scored if (value := metric(one)) is not None]
    estimate = cluster_bootstrap([value for value, _ in kept], [cluster for _, cluster in kept])
    return estimate.as_json() if estimate else None


def _difference(one: Run, other: Run) -> dict[str, Any]:
    """The first mode minus the other on the same questions: paired, so that what a question costs both cancels out."""
    found: dict[str, Any] = {"modes": f"{one.report['mode']} minus {other.report['mode']}"}
    for name in COMPARED:
        values = [(METRICS[name](a), METRICS[name](b), a) for a, b in zip(one.scored, other.scored, strict=True)]
        kept = [(float(a) - float(b), s.question.cluster) for a, b, s in values if a is not None and b is not None]
        estimate = cluster_bootstrap([value for value, _ in kept], [cluster for _, cluster in kept])
        found[name] = estimate.as_json() if estimate else None
    return found


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def _by_tuning(scored: Sequence[Scored], adapter: Adapter | None) -> dict[str, Any] | None:
    """Figures apart for questions about documents that the adapter was tuned on, and about others."""
    if adapter is None:
        return None
    tuned_on = adapter.card.documents.keys()
    seen = [one for one in scored if not tuned_on.isdisjoint(one.question.gold_docs)]
    return {"seen": figures(seen), "held_out": figures([one for one in scored if one not in seen])}


def _slices(scored: Sequence[Scored], by: str) -> dict[str, Any]:
    groups: defaultdict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        groups[getattr(one.question, by)].append(one)
    return {name: figures(ones) for name, ones in sorted(groups.items()) if name}
