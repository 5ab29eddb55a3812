"""The whole way with the real embedded models and the sample company's documents, as a new user goes it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from eval.questions import read_question_set

pytestmark = pytest.mark.slow


def deskmate(*arguments: str, home: Path, models: Path) -> dict:
    code = "from app.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, "DESKMATE_HOME": str(home), "DESKMATE_MODELS": str(models)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    folder = tmp_path_factory.mktemp("home")
    summary = deskmate("ingest", "data/sample", home=folder, models=models)
    assert summary["documents"] == 58
    assert summary["quarantined"] == []
    return folder


def test_ingesting_again_embeds_and_publishes_nothing(home: Path, models: Path) -> None:
    summary = deskmate("ingest", "data/sample", home=home, models=models)
    assert (summary["published"], summary["embedded"], summary["unchanged"]) == (False, 0, 58)


def test_a_question_in_other_words_finds_its_page(home: Path, models: Path) -> None:
    found = deskmate("search", "My phone fell into the canal and I cannot sign in", "-k", "3", home=home, models=models)
    assert "it/lost-phone-and-mfa-reset.md" in [hit["doc"] for hit in found["results"]]


def test_most_answerable_questions_find_a_gold_document_among_five(home: Path, models: Path) -> None:
    questions = str(ROOT / "data" / "questions.jsonl")
    found = deskmate("eval-retrieval", "--questions", questions, home=home, models=models)
    assert found["questions"] == sum(q.answerable for q in read_question_set(Path(questions)))
    assert found["recall@5"] >= 0.85


def test_an_answer_is_written_and_cited_from_the_passages(home: Path, models: Path) -> None:
    answer = deskmate("ask", "What is the extension of the Service Desk?", home=home, models=models)
    assert not answer["refused"]
    assert answer["model"] == "SmolLM2-135M-Instruct"
    assert answer["usage"]["completion_tokens"] > 0
    assert {citation["chunk_id"] for citation in answer["citations"]} <= set(answer["retrieved"])


def test_what_the_documents_do_not_hold_is_declined_in_the_house_form(home: Path, models: Path) -> None:
    answer = deskmate("ask", "Who won the football world cup in 1998?", home=home, models=models)
    assert answer["refused"]
    assert answer["answer"].startswith("I could not find this in our documents")


def test_a_restricted_passage_is_found_by_its_group_only(home: Path, models: Path) -> None:
    question = "salary bands and bonus pool guidance for managers"
    for groups, expected in (("", False), ("managers", True)):
        found = deskmate("search", question, "--groups", groups, home=home, models=models)
        assert any(hit["doc"].startswith("hr/managers/") for hit in found["results"]) is expected
