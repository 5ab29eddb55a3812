"""The tuning benchmark: both sides run on the same rows, and it says so where there is nothing to measure on."""

from types import SimpleNamespace

import pytest
from tune_kit import rows, save_tiny_base, tiny_recipe

from eval.bench.tune import Job, _measure_ours, _measure_trl, _wrapped, bench_tune
from finetune.curation.rows import write_rows
from finetune.training.packing import Group, Sample
from ingest.errors import DeskmateError
from ingest.workspace import Workspace


def desk(folder):
    return SimpleNamespace(workspace=Workspace(folder), settings=SimpleNamespace(models_folder=folder))


def test_without_rows_or_without_a_gpu_it_says_what_to_do(tmp_path, monkeypatch) -> None:
    with pytest.raises(DeskmateError, match="run deskmate synth first"):
        bench_tune(desk(tmp_path), "tiny", False)
    (tmp_path / "qa").mkdir()
    write_rows(tmp_path / "qa" / "train.jsonl", rows(2))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeskmateError, match=r"there is none; .* bench tune --recipe mistral-7b-qlora --random-weights"):
        bench_tune(desk(tmp_path), "mistral-7b-qlora", True)


def test_both_sides_are_measured_on_the_same_rows(tmp_path) -> None:
    base = save_tiny_base(tmp_path / "base")
    write_rows(tmp_path / "train.jsonl", rows(8))
    job = Job(tiny_recipe(base), tmp_path / "train.jsonl", tmp_path, random=False)
    ours, theirs = _measure_ours(job), _measure_trl(job)
    assert (ours["name"], theirs["name"]) == ("deskmate", "TRL's defaults")
    assert ours["real_tokens_per_s"] > ours["read_tokens_per_s"] > 0
    assert theirs["real_tokens_per_s"] > 0
    assert ours["peak_gib"] > 0


def test_in_a_smaller_vocabulary_what_is_alike_stays_alike() -> None:
    group = Group(2, (Sample((9, 11, 3), (12,)), Sample((9, 11, 4), (13,))))
    wrapped = _wrapped(group, 10)
    assert wrapped.samples == (Sample((9, 1, 3), (2,)), Sample((9, 1, 4), (3,)))
    assert wrapped.prefix == 2
