"""The report of `eval-retrieval`: methods side by side with intervals, and what others have published on the same sets.

Turns values of single queries into figures and those into sections; searches nothing.
"""

import importlib.metadata
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from eval.reporting import charts as charts
from eval.reporting import figures
from eval.reporting.blocks import (
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Facts,
    Group,
    Heading,
    Page,
    Row,
    Section,
    Table,
    Text,
)
from eval.reporting.content import comparison_table
from eval.reporting.page import write_page
from eval.stats import cluster_bootstrap, detectable, holm, sign_flip_p, tally
from ingest.workspace import write_atomic
from retrieval.settings import Method

NAMES = {"hybrid": "hybrid search", "dense": "dense search", "bm25": "BM25"}


MAIN, SECOND = ("ndcg@10", "recall@5"), ("recall@1", "recall@5")
"""What methods are compared by: the first of each that was measured."""


@dataclass(frozen=True, slots=True)
class Published:
    """A figure of somebody else: the system, our method that is most like it, nDCG@10 on a split."""

    system: str
    method: Method
    ndcg: float
    split: str


PUBLISHED = {
    "scifact": (
        Published("BM25 (bm25s)", "bm25", 0.6874, "test"),
        Published("BM25 (Anserini)", "bm25", 0.6789, "test"),
        Published("all-MiniLM-L6-v2", "dense", 0.6451, "test"),
    ),
    "feedbackqa": (
        Published("BM25", "bm25", 0.564, "test"),
        Published("all-MiniLM-L6-v2", "dense", 0.5823, "test"),
        Published("their fusion by reciprocal ranks", "hybrid", 0.616, "test"),
    ),
}
"""By the beginning of the collection's name. Reports show them beside ours and say where the split is another one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is searched: a collection or a question set, and for each query the cluster that it belongs to."""

    name: str
    split: str
    sha256: str
    embedder: str
    documents: int
    clusters: list[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """One method: for every metric a value a query, and wall times in milliseconds."""

    method: Method
    each: dict[str, list[float]]
    times_ms: list[float]


def write_retrieval(subject: Subject, found: Sequence[Measured], out: Path) -> None:
    """Write `report.json`, `report.html` and `report.md`.

    Raises:
        OSError: the disk refuses; files that were there are as they were.
    """
    report = retrieval_report(subject, found)
    write_atomic(out / "report.json", (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    write_page(retrieval_page(report), out)


def retrieval_report(subject: Subject, found: Sequence[Measured]) -> dict[str, Any]:
    """The figures as one object, with the keys of an evaluation's report where they mean the same."""
    modes = [{"mode": one.method, "all": _figures(one, subject.clusters)} for one in found]
    main = next(name for name in MAIN if name in found[0].each)
    second = next(name for name in SECOND if name in found[0].each)
    compared = list(_comparisons(found, subject.clusters, (main, second)))
    return {
        "version": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "deskmate": importlib.metadata.version("deskmate"),
        "command": shlex.join(["deskmate", *sys.argv[1:]]),
        "questions": {
            "file": subject.name,
            "split": subject.split,
            "sha256": subject.sha256,
            "n": len(subject.clusters),
        },
        "documents": subject.documents,
        "embedder": subject.embedder,
        "modes": modes,
        "comparisons": compared,
        "verdict": _verdict(subject.name, main, modes, compared),
    }


def _figures(one: Measured, clusters: Sequence[str]) -> dict[str, Any]:
    p50, p95 = np.percentile(one.times_ms, [50, 95])
    means = {name: cluster_bootstrap(values, clusters) for name, values in one.each.items()}
    return {
        "questions": len(clusters),
        **{name: mean.as_json() if mean else None for name, mean in means.items()},
        "total_ms": {"p50": round(float(p50), 2), "p95": round(float(p95), 2)},
    }


def _comparisons(
    found: Sequence[Measured], clusters: Sequence[str], metrics: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Every two methods, query by query; Holm's correction is over all of them."""
    rows: list[dict[str, Any]] = []
    for one, other in combinations(found, 2):
        for name in metrics:
            values = [a - b for a, b in zip(one.each[name], other.each[name], strict=True)]
            estimate, p, counts = cluster_bootstrap(values, clusters), sign_flip_p(values, clusters), tally(values)
            assert estimate is not None and p is not None  # noqa: PT018
            outcome = {"wins": counts.wins, "ties": counts.ties, "losses": counts.losses}
            rows.append(
                {
                    "metric": name,
                    "modes": [one.method, other.method],
                    "difference": estimate.as_json(),
                    "p": round(p, 4),
                }
                | outcome
                | {"detectable": detectable(values, clusters)}
            )
    adjusted = holm([row["p"] for row in rows])
    yield from (row | {"p_holm": round(p, 4)} for row, p in zip(rows, adjusted, strict=True))


def _verdict(name: str, main: str, modes: Sequence[Mapping[str, Any]], compared: Sequence[Mapping[str, Any]]) -> str:
    """What a reader should take home: which method, how much better, and whether that is proven."""
    known = figures.measure(main)
    written = {mode["mode"]: figures.cell(known, mode["all"][main], Column("")).text for mode in modes}
    if len(modes) == 1:
        method, value = next(iter(written.items()))
        return f"{_first(method)} reaches {known.label} {value} on {name}."
    first, *others = sorted(modes, key=lambda mode: -mode["all"][main]["mean"])
    rest = " and ".join(f"{written[mode['mode']]} by {NAMES[mode['mode']]}" for mode in others)
    best = figures.surely_best(main, {mode["mode"]: mode["all"] for mode in modes}, compared)
    said = "finds most" if best else "is ahead, though not provably,"
    return f"{_first(first['mode'])} {said} on {name}: {known.label} {written[first['mode']]}, against {rest}."


def _first(method: str) -> str:
    """A method's name where a sentence begins."""
    return figures.sentence(NAMES[method])


def retrieval_page(report: Mapping[str, Any]) -> Page:
    """The report as sections."""
    names = [mode["mode"] for mode in report["modes"]]
    methods, every = figures.columns(names), [mode["all"] for mode in report["modes"]]
    asked = report["questions"]
    sections = (
        _side_by_side(report, methods),
        _compared(report),
        _published(report),
        _plots(methods, every),
        _repeat(report),
    )
    return Page(
        title=f"Retrieval on {asked['file']}",
        kicker=f"Retrieval · {figures.day(report['created'])}",
        verdict=report["verdict"],
        about=(
            ("Queries", f"{asked['n']:,}"),
            ("Documents", f"{report['documents']:,}"),
            ("Embedder", report["embedder"]),
        ),
        gate=None,
        sections=tuple(section for section in sections if section.blocks),
        made=f"Made by deskmate {report['deskmate']} on {figures.day(report['created'])}.",
    )


def _side_by_side(report: Mapping[str, Any], methods: Sequence[Column]) -> Section:
    every = [mode["all"] for mode in report["modes"]]
    by_name = {method.name: one for method, one in zip(methods, every, strict=True)}
    groups = [
        Group(title, tuple(_row(name, methods, every, by_name, report) for name in names))
        for title, names in figures.grouped(every)
    ]
    times = [one["total_ms"] for one in every]
    cells = tuple(Cell(figures.time(one["p50"]), f"95 %: {figures.time(one['p95'])}") for one in times)
    groups.append(Group("Time", (Row("A query", cells, "half come within, and 95 % within"),)))
    lead = (
        "The dot is the mean over the queries, the line its 95 % interval by a bootstrap. A star marks a method that "
        "is better than every other one, each time significantly after Holm’s correction."
    )
    table = Table("Methods side by side", "", tuple(methods), tuple(groups))
    return Section("methods", "The methods side by side", lead, (table,))


def _row(
    name: str, methods: Sequence[Column], every: Sequence[Any], by_name: Mapping[str, Any], report: Mapping[str, Any]
) -> Row:
    return figures.row(name, methods, every, figures.surely_best(name, by_name, report["comparisons"]))


def _compared(report: Mapping[str, Any]) -> Section:
    blocks: list[Block] = []
    for pair in dict.fromkeys(tuple(one["modes"]) for one in report["comparisons"]):
        rows = [one for one in report["comparisons"] if tuple(one["modes"]) == pair]
        title = f"{pair[0]} against {pair[1]}"
        blocks += [Heading(title), comparison_table(title, rows)]
    lead = (
        "The same queries by both. p is from a paired permutation test, with Holm’s correction for how often was "
        "looked. The last column is the difference that so many queries would have shown four times in five."
    )
    return Section("comparisons", "Which differences are real", lead, tuple(blocks))


def _published(report: Mapping[str, Any]) -> Section:
    """Figures of others beside ours, where the collection is a known one."""
    asked = report["questions"]
    known = next((of for name, of in PUBLISHED.items() if asked["file"].startswith(name) and asked["split"]), ())
    ours = {mode["mode"]: mode["all"]["ndcg@10"] for mode in report["modes"]} if known else {}
    measure = figures.measure("ndcg@10")
    rows = tuple(
        Row(
            one.system,
            (
                Cell(f"{one.ndcg:.3f}", f"{one.split} split"),
                figures.cell(measure, ours.get(one.method), Column(one.method, figures.SERIES[one.method])),
                Cell(figures.points(ours[one.method]["mean"] - one.ndcg, measure) if one.method in ours else "–"),
            ),
            f"beside our {one.method}",
        )
        for one in known
    )
    if not rows:
        return Section("published", "", "", ())
    heads = (Column("Published nDCG@10"), Column("Ours"), Column("Difference"))
    blocks: list[Block] = [Table("Published figures", "", heads, (Group("", rows),))]
    if any(one.split != asked["split"] for one in known):
        text = f"Ours are on the split {asked['split']}, theirs on another one: a hint of the level, no comparison."
        blocks.insert(0, Text(text, "note"))
    return Section("published", "Beside what others have published", "", tuple(blocks))


def _plots(methods: Sequence[Column], every: Sequence[Mapping[str, Any]]) -> Section:
    names = [name for _, group in figures.grouped(every) for name in group]
    shares = {figures.measure(name).label: [one[name]["mean"] for one in every] for name in names}
    rows = tuple(Row(name, tuple(Cell(f"{value:.3f}") for value in values)) for name, values in shares.items())
    table = Table("What is found", "Metric", tuple(methods), (Group("", rows),))
    svg = charts.dot_rows("What is found", methods, shares, "mean over the queries")
    found = Chart("What is found", "Further right is better.", svg, table, tuple(methods))
    times = [
        (method.name, method.series or 0, one["total_ms"]["p50"], one["total_ms"]["p95"])
        for method, one in zip(methods, every, strict=True)
    ]
    lines = tuple(Row(name, (Cell(figures.time(p50)), Cell(figures.time(p95)))) for name, _, p50, p95 in times)
    waits = Table("Waiting for passages", "Method", (Column("Half within"), Column("95 % within")), (Group("", lines),))
    says = "From the mark, half of the queries, to the end of the line, 95 % of them."
    waited = Chart("Waiting for passages", says, charts.ranges("Waiting for passages", times, "time"), waits)
    return Section("plots", "In pictures", "", (found, waited))


def _repeat(report: Mapping[str, Any]) -> Section:
    asked = report["questions"]
    rows = (
        ("Queries", " ".join((asked["file"], asked["split"])).strip()),
        ("SHA-256 of the files", asked["sha256"]),
        ("Embedder", report["embedder"]),
        ("deskmate", report["deskmate"]),
        ("Made", report["created"]),
    )
    return Section("repeat", "How to repeat it", "", (Code(report["command"]), Facts(rows)))
