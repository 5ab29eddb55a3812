"""The retrieval report: figures of single queries, what is proven, published figures beside ours, and its files."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eval.reporting.page import page_html
from eval.reporting.retrieval_page import Measured, Subject, retrieval_page, retrieval_report, write_retrieval
from eval.retrieval_report import report_beir
from ingest.errors import DeskmateError
from ingest.workspace import Workspace
from retrieval.embed import HashingEmbedder

QUERIES = [str(number) for number in range(40)]


def subject(name: str = "scifact", split: str = "test") -> Subject:
    return Subject(name, split, "ab" * 32, "all-MiniLM-L6-v2", 5183, QUERIES)


def measured(method: Any, found: int) -> Measured:
    values = [1.0] * found + [0.0] * (40 - found)
    each = {"ndcg@10": values, "recall@5": values, "recall@100": [1.0] * 40, "mrr@10": values}
    return Measured(method, each, [5.0] * 39 + [50.0])


def test_figures_are_means_over_queries_with_intervals_and_paired_comparisons() -> None:
    report = retrieval_report(subject(), [measured("hybrid", 30), measured("bm25", 15)])
    ndcg = report["modes"][0]["all"]["ndcg@10"]
    assert ndcg["mean"] == 0.75
    assert ndcg["low"] < 0.75 < ndcg["high"]
    assert report["modes"][0]["all"]["total_ms"] == {"p50": 5.0, "p95": 5.0}
    first = report["comparisons"][0]
    assert (first["metric"], first["modes"]) == ("ndcg@10", ["hybrid", "bm25"])
    assert (first["wins"], first["ties"], first["losses"]) == (15, 25, 0)
    assert first["difference"]["mean"] == 0.375
    assert first["p"] <= first["p_holm"] < 0.01


def test_the_verdict_claims_only_what_is_proven() -> None:
    proven = retrieval_report(subject(), [measured("hybrid", 30), measured("bm25", 15)])["verdict"]
    assert proven == "Hybrid search finds most on scifact: nDCG@10 0.750, against 0.375 by BM25."
    open_ = retrieval_report(subject(), [measured("hybrid", 30), measured("bm25", 29)])["verdict"]
    assert "though not provably" in open_
    alone = retrieval_report(subject(), [measured("dense", 20)])
    assert alone["verdict"] == "Dense search reaches nDCG@10 0.500 on scifact."
    assert alone["comparisons"] == []
    assert "Which differences are real" not in page_html(retrieval_page(alone))


def test_published_figures_stand_beside_ours_where_the_collection_is_known() -> None:
    text = page_html(retrieval_page(retrieval_report(subject(), [measured("bm25", 28)])))
    assert "BM25 (Anserini)" in text
    assert "0.679" in text
    assert "+0.021" in text  # 0.700 less 0.6789
    assert "another one: a hint" not in text
    other = page_html(retrieval_page(retrieval_report(subject("feedbackqa_valid", "valid"), [measured("bm25", 28)])))
    assert "another one: a hint of the level" in other
    unknown = page_html(retrieval_page(retrieval_report(subject("ours"), [measured("bm25", 28)])))
    assert "published" not in unknown


def test_the_report_is_one_that_the_chat_can_list(tmp_path: Path) -> None:
    from app.web.report_pages import entries

    write_retrieval(subject(), [measured("hybrid", 30), measured("bm25", 15)], tmp_path / "scifact")
    (entry,) = entries(tmp_path)
    assert (entry.modes, entry.questions, entry.allowed) == (("hybrid", "bm25"), 40, None)
    assert (tmp_path / "scifact" / "report.md").read_text().startswith("# Hybrid search finds most")


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    texts = {"d1": "the vpn ends after ten hours", "d2": "annual leave lapses in july", "d3": "print with your card"}
    lines = [json.dumps({"_id": name, "text": text}) for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "when does the vpn end"}\n{"_id": "q2", "text": "leave in july"}'
    )
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n")
    return folder


def test_a_beir_folder_gives_the_contracts_figures_and_a_report(
    beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk: Any = SimpleNamespace(embedder=HashingEmbedder(), workspace=Workspace(tmp_path / "home"))
    report_beir(desk, beir, "test", "all", True, tmp_path / "out")
    printed = json.loads(capsys.readouterr().out)
    assert [one["method"] for one in printed["methods"]] == ["hybrid", "dense", "bm25"]
    assert set(printed["methods"][0]) == {
        "method", "ndcg@10", "recall@5", "recall@100", "mrr@10", "queries", "documents", "seconds_index",
        "ms_per_query_p50", "ms_per_query_p95",
    }  # fmt: skip
    assert printed["methods"][2]["ndcg@10"] == 1.0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["modes"][2]["all"]["ndcg@10"]["mean"] == 1.0
    assert len(report["questions"]["sha256"]) == 64


def test_a_folder_that_cannot_be_written_is_said(beir: Path, tmp_path: Path) -> None:
    desk: Any = SimpleNamespace(embedder=HashingEmbedder(), workspace=Workspace(tmp_path / "home"))
    (tmp_path / "file").write_text("")
    with pytest.raises(DeskmateError, match="writing into"):
        report_beir(desk, beir, "test", "bm25", True, tmp_path / "file")
