"""`tune --from-feedback` from a file to the next version of the served adapter, with a tiny model."""

import json
from types import SimpleNamespace

import pytest
from adapters import publish
from tiny_models import tiny_base

from app.loop.prefer import PreferOptions, run_preference
from app.loop.prefer_report import preference_json, print_preference
from finetune.adapters.registry import Registry
from finetune.adapters.tuned_on import read_tuned_on
from finetune.settings import CurateSettings, ModelSettings
from finetune.training.preference import PreferenceSettings
from finetune.voice import load_voice
from ingest.errors import DeskmateError
from ingest.records import EVERYONE, Chunk
from ingest.scan import Known

SETTINGS = PreferenceSettings(
    learning_rate=5e-3, epochs=1, batch=6, checkpointing=False, least_corrections=12, least_sources=8
)


class Progress:
    def __init__(self):
        self.stages = {}

    def total(self, stage, count):
        self.stages[stage] = [count, 0]

    def done(self, stage, count):
        self.stages[stage][1] += count


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """What `run_preference` needs of a desk, with an index of one document and a promoted adapter."""
    registry = Registry(tmp_path / "adapters")
    registry.promote(publish(registry.folder, tiny_base(), size=0.05, documents={"old.md": "o1"})[0])
    chunk = Chunk("c1", "leave.md", "Leave", "", None, 0, 24, "Annual leave is 25 days.", frozenset({EVERYONE, "hr"}))
    known = Known(tmp_path / "leave.md", tmp_path, "leave.md", "a1", chunk.access, True)
    table = SimpleNamespace(all_chunks=lambda: [chunk], known=lambda: {known.path: known})
    monkeypatch.setattr("app.loop.prefer.pick_base", lambda settings: settings)
    monkeypatch.setattr("app.loop.prefer.load_base", lambda base, folder: tiny_base())
    return SimpleNamespace(
        serving=SimpleNamespace(adapter=registry.served),
        searcher=SimpleNamespace(open=lambda: SimpleNamespace(table=table)),
        registry=registry,
        voice=load_voice(),
        settings=SimpleNamespace(
            curate=CurateSettings(), model=ModelSettings(), models_folder=tmp_path, preference=SETTINGS
        ),
    )


@pytest.fixture
def file(tmp_path):
    lines = [
        {"id": str(n), "question": f"How many days, {n % 3}?", "passages": ["c1"], "answer": "It is 20 days [1].",
         "verdict": "down", "correction": "Annual leave is 25 days [1].", "conversation": f"c{n % 8}"}
        for n in range(16)
    ]  # fmt: skip
    lines.append({**lines[0], "id": "gone", "passages": ["gone"]})
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_corrections_become_the_next_version_which_knows_where_it_comes_from(desk, file, capsys):
    progress = Progress()
    made = run_preference(desk, file, PreferOptions(), progress)
    card = made.adapter.card
    assert (made.adapter.id, made.start, made.method) == ("house/v2", "house/v1", "dpo")
    assert card.scores["left_out"] == {"stale": 1}
    assert card.documents == {"old.md": "o1", "leave.md": "a1"}
    assert card.access == (("everyone",), ("everyone", "hr"))
    assert card.settings["from"] == "house/v1"
    assert card.scores["preference_accuracy"]["low"] > 0.5
    assert desk.registry.served_id() == "house/v1"
    assert all(total == done for total, done in progress.stages.values())
    json.dumps(preference_json(made))
    print_preference(made)
    shown = capsys.readouterr().out
    assert "published house/v2" in shown
    assert "deskmate adapters promote house/v2" in shown


def test_the_next_version_carries_the_questions_of_both(desk, file, monkeypatch):
    monkeypatch.setattr("app.loop.prefer.read_tuned_on", lambda start: ["What did it start from?"])
    made = run_preference(desk, file, PreferOptions(), Progress())
    asked = ["What did it start from?", "How many days, 0?", "How many days, 1?", "How many days, 2?"]
    assert read_tuned_on(made.adapter) == asked


def test_below_the_gate_nothing_is_loaded_or_published(desk, file, monkeypatch):
    monkeypatch.setattr("app.loop.prefer.load_base", None)
    desk.settings.preference = PreferenceSettings()
    with pytest.raises(DeskmateError, match=r"dpo needs 40 corrected answers and there are 16, .*; kto needs 100"):
        run_preference(desk, file, PreferOptions(), Progress())
    assert desk.registry.versions("house") == [1]


def test_without_a_served_adapter_there_is_nothing_to_start_from(desk, file):
    desk.registry.rollback()
    with pytest.raises(DeskmateError, match="no adapter serves, and tuning on feedback starts from the one that does"):
        run_preference(desk, file, PreferOptions(), Progress())
