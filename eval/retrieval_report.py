"""`deskmate eval-retrieval`: methods side by side, on a BEIR folder or on a question set over the index that serves."""

import time
from pathlib import Path
from typing import Any, get_args

import numpy as np

from app.console import console, print_json, track
from app.desk import Desk
from eval.metrics import recall_at
from eval.questions import read_question_set
from eval.retrieval_bench import bench_retrieval, read_beir
from eval.stats import cluster_bootstrap
from ingest.errors import DeskmateError
from retrieval.settings import Method


def report_beir(desk: Desk, folder: Path, split: str, method: str, as_json: bool) -> None:
    """Measure one method, or all, on a BEIR folder and print the figures."""
    data = read_beir(folder, split)
    methods = track(_methods(method), data.name)
    reports = [bench_retrieval(data, one, desk.embedder, desk.workspace).as_json() for one in methods]
    _print(reports, as_json, {"collection": data.name, "split": split})


def report_questions(desk: Desk, path: Path, method: str, as_json: bool) -> None:
    """Measure how often a passage of the right document comes back, for questions with gold documents."""
    questions = [one for one in read_question_set(path) if one.answerable and one.gold_docs]
    if not questions:
        raise DeskmateError(f"{path} has no answerable question with gold documents")
    desk.searcher.search(questions[0].question)  # load the weights before the clock runs
    reports = []
    for one in track(_methods(method), path.stem):
        docs, times = [], []
        for question in questions:
            begun = time.perf_counter()
            result = desk.searcher.search(question.question, k=10, method=one)
            times.append((time.perf_counter() - begun) * 1000)
            docs.append([hit.chunk.doc for hit in result.hits])
        report: dict[str, Any] = {"method": one, "questions": len(questions)}
        for k in (1, 3, 5, 10):
            values = [recall_at(k, found, q.gold_docs) for found, q in zip(docs, questions, strict=True)]
            estimate = cluster_bootstrap(values, [q.cluster for q in questions])
            assert estimate is not None
            report[f"recall@{k}"] = round(estimate.mean, 4)
            report[f"recall@{k}_95"] = [round(estimate.low, 4), round(estimate.high, 4)]
        p50, p95 = np.percentile(times, [50, 95])
        reports.append({**report, "ms_per_query_p50": round(float(p50), 2), "ms_per_query_p95": round(float(p95), 2)})
    _print(reports, as_json, {"questions": path.stem, "generation": desk.store.current_name()})


def _methods(method: str) -> list[Method]:
    return [one for one in get_args(Method) if method in (one, "all")]


def _print(reports: list[dict[str, Any]], as_json: bool, about: dict[str, Any]) -> None:
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
