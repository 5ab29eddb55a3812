"""The adapter in the repository: whole, small, for everyone, and about the sample documents as they are."""

import hashlib
import os
from pathlib import Path

import pytest

from app.answering.modes import Mode
from app.desk import Desk
from app.settings import load_settings
from eval.questions import read_question_set
from finetune.adapters.card import open_adapter
from finetune.house_form import check
from finetune.training.recipe import load_recipe

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "data" / "adapters" / "house"


def test_every_file_is_the_one_that_was_published_and_together_they_are_small() -> None:
    adapter = open_adapter(FOLDER)
    assert {path.name for path in FOLDER.iterdir()} == {*adapter.card.files, "card.json"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5_000_000


def test_it_was_tuned_by_the_shipped_recipe_on_the_sample_documents_as_they_are() -> None:
    card = open_adapter(FOLDER).card
    assert card.settings == load_recipe("smollm2-135m-cpu").model_dump(mode="json")
    assert card.documents
    for doc, digest in card.documents.items():
        assert hashlib.sha256((ROOT / "data" / "sample" / doc).read_bytes()).hexdigest() == digest, doc


def test_whoever_asks_may_be_answered_by_it() -> None:
    adapter = open_adapter(FOLDER)
    assert all("everyone" in label for label in adapter.card.access)
    assert adapter.cleared(frozenset())


def test_documents_are_left_to_measure_on() -> None:
    tuned_on = open_adapter(FOLDER).card.documents.keys()
    questions = read_question_set(ROOT / "data" / "questions.jsonl")
    held_out = [one for one in questions if one.answerable and tuned_on.isdisjoint(one.gold_docs)]
    assert len(held_out) >= 15


@pytest.mark.slow
def test_the_chat_starts_in_hybrid_and_answers_in_the_house_form(tmp_path, monkeypatch) -> None:
    from app.console import SilentProgress

    monkeypatch.chdir(ROOT)
    home = Path(os.environ.get("DESKMATE_HOME", ROOT / ".deskmate"))
    models = Path(os.environ.get("DESKMATE_MODELS", home / "models"))
    desk = Desk(load_settings(home=tmp_path, models=models))
    desk.ingest(SilentProgress()).run([ROOT / "data" / "sample"])
    assert desk.modes()[0] is Mode.HYBRID
    answer = desk.answer("How many characters must a passphrase have?")
    assert (answer.mode, answer.adapter) == (Mode.HYBRID, open_adapter(FOLDER).id)
    assert answer.citations
    assert not check(answer.answer, desk.voice, answer.sources)
