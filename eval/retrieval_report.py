"""`deskmate eval-retrieval`: methods side by side, on a BEIR folder or on a question set over the index that serves."""

import hashlib
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np

from app.console import console, print_json, track
from app.desk import Desk
from eval.bench.retrieval import bench_retrieval, read_beir
from eval.metrics import recall_at
from eval.questions import Question, read_question_set
from eval.reporting.retrieval_page import Measured, Subject, write_retrieval
from eval.stats import cluster_bootstrap
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error
from retrieval.settings import Method

CUTS = (1, 3, 5, 10)
"""Passages among which a right one is looked for, with a question set."""


def report_beir(desk: Desk, folder: Path, split: str, method: str, as_json: bool, out: Path | None = None) -> None:
    """Measure one method, or all, on a BEIR folder, print the figures, and write a report into `out`.

    Raises:
        DeskmateError: the folder cannot be read, or `out` not be written.
    """
    data = read_beir(folder, split)
    methods = track(_methods(method), data.name)
    found = [bench_retrieval(data, one, desk.embedder, desk.workspace) for one in methods]
    if out:
        digest = _sha256(folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv")
        subject = Subject(data.name, split, digest, desk.embedder.id, len(data.corpus), list(data.queries))
        _write(subject, [Measured(one.method, one.each, one.times_ms) for one in found], out)
    _print([one.as_json() for one in found], as_json, {"collection": data.name, "split": split}, out)


def report_questions(desk: Desk, path: Path, method: str, as_json: bool, out: Path | None = None) -> None:
    """Measure how often a passage of the right document comes back, for questions with gold documents.

    Raises:
        DeskmateError: no such question, no index, or `out` cannot be written.
    """
    questions = [one for one in read_question_set(path) if one.answerable and one.gold_docs]
    if not questions:
        raise DeskmateError(f"{path} has no answerable question with gold documents")
    desk.searcher.search(questions[0].question)  # load the weights before the clock runs
    found = [_searched(desk, questions, one) for one in track(_methods(method), path.stem)]
    if out:
        clusters = [one.cluster for one in questions]
        documents = desk.store.open().manifest.documents
        _write(Subject(path.name, "", _sha256(path), desk.embedder.id, documents, clusters), found, out)
    about = {"questions": path.stem, "generation": desk.store.current_name()}
    _print([_figures(one, questions) for one in found], as_json, about, out)


def _searched(desk: Desk, questions: list[Question], method: Method) -> Measured:
    """Search every question one at a time, as people ask."""
    docs, times = [], []
    for question in questions:
        begun = time.perf_counter()
        result = desk.searcher.search(question.question, k=max(CUTS), method=method)
        times.append((time.perf_counter() - begun) * 1000)
        docs.append([hit.chunk.doc for hit in result.hits])
    pairs = list(zip(docs, questions, strict=True))
    each = {f"recall@{k}": [recall_at(k, found, question.gold_docs) for found, question in pairs] for k in CUTS}
    return Measured(method, each, times)


def _figures(one: Measured, questions: list[Question]) -> dict[str, Any]:
    report: dict[str, Any] = {"method": one.method, "questions": len(questions)}
    for name, values in one.each.items():
        estimate = cluster_bootstrap(values, [question.cluster for question in questions])
        assert estimate is not None
        report[name] = round(estimate.mean, 4)
        report[f"{name}_95"] = [round(estimate.low, 4), round(estimate.high, 4)]
    p50, p95 = np.percentile(one.times_ms, [50, 95])
    return {**report, "ms_per_query_p50": round(float(p50), 2), "ms_per_query_p95": round(float(p95), 2)}


def _methods(method: str) -> list[Method]:
    return [one for one in get_args(Method) if method in (one, "all")]


def _sha256(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(subject: Subject, found: list[Measured], out: Path) -> None:
    try:
        write_retrieval(subject, found, out)
    except OSError as error:
        raise explain_disk_error(error, f"writing into {out}") from error


def _print(reports: list[dict[str, Any]], as_json: bool, about: dict[str, Any], out: Path | None) -> None:
    """One method as the contract's flat object; several as a list beside what they were measured on."""
    if as_json:
        print_json({**about, **reports[0]} if len(reports) == 1 else {**about, "methods": reports})
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    for name in (name for name, value in reports[0].items() if not isinstance(value, list)):
        table.add_column(name, justify="left" if name == "method" else "right")
    for report in reports:
        table.add_row(*(str(value) for value in report.values() if not isinstance(value, list)))
    console().print(table)
    if out:
        console().print(f"\nthe report is {out / 'report.html'}", style="dim", markup=False, soft_wrap=True)
