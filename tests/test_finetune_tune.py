"""A run from rows to an adapter, on a tiny base: what it leaves behind, how it goes on, what it refuses."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tune_kit import row, rows, save_tiny_base, tiny_recipe

from finetune.adapters.card import CONFIG, WEIGHTS
from finetune.adapters.lora import read_lora
from finetune.model import load_base, pick_base
from finetune.training.checks import Data, estimate, prepare
from finetune.training.train import Place, TuneResult, tune
from finetune.training.tune_log import Plan, Unwatched, read_log
from ingest.errors import DeskmateError

DATA = Data(rows(6), rows(2))
MODELS = Path("no-models")
LORA = {"rank": 2, "alpha": 4, "dropout": 0.2}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_tiny_base(tmp_path_factory.mktemp("base"))


def run(base: Path, folder: Path, *, resume=False, watch=None, score=None, data=DATA, **changes):
    place = Place(folder / "work", folder / "out")
    return tune(tiny_recipe(base, **changes), data, MODELS, place, resume=resume, watch=watch, score=score)


def steps_of(folder: Path) -> list[tuple[int, float]]:
    return [(one.step, one.loss) for one in read_log(folder / "work" / "log.jsonl").steps]


@pytest.fixture(scope="module")
def done(base, tmp_path_factory) -> tuple[Path, TuneResult, Plan]:
    """A run that came to its end: its folder, its result, and what it had said it would do."""
    folder, plans = tmp_path_factory.mktemp("run"), []

    class Watch(Unwatched):
        def begins(self, plan) -> None:
            plans.append(plan)

    data = Data([*DATA.train, row(99, "a long one " * 300, "Yes.")], DATA.held_out)
    return folder, run(base, folder, watch=Watch(), data=data), plans[0]


def test_a_run_leaves_an_adapter_its_curve_and_its_recipe(done) -> None:
    _, result, _ = done
    names = {path.name for path in result.folder.iterdir()}
    assert names == {"adapter_model.safetensors", "adapter_config.json", "curve.png", "recipe.json"}
    config = (result.folder / "adapter_config.json").read_bytes()
    lora = read_lora(config, (result.folder / "adapter_model.safetensors").read_bytes())
    assert lora.rank == 2
    assert len(lora.modules) == 14
    weights = load_file(result.folder / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert all(tensor.any() for tensor in weights.values())
    assert (result.folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert result.figures["held_out_loss"] < result.figures["held_out_loss_before"]
    assert result.figures["unshared_tokens_per_s"] > result.figures["tokens_per_s"] > 0


def test_a_card_says_what_the_adapter_was_tuned_on(done) -> None:
    _, result, _ = done
    card = result.card(DATA, "data", "prompt", {"it.md": "hash", "other.md": "hash"})
    assert card.documents == {"it.md": "hash"}
    assert card.access == (("everyone",),)
    assert card.settings["learning_rate"] == 1e-2
    assert card.scores["best_step"] == result.figures["best_step"]


def test_nothing_that_a_run_writes_is_a_pickle_or_names_a_path_of_the_machine(done) -> None:
    folder, result, _ = done
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    assert suffixes <= {".safetensors", ".json", ".jsonl", ".png"}
    for path in result.folder.glob("adapter*"):
        assert str(folder).encode() not in path.read_bytes()


def test_the_plan_says_how_much_is_trained_of_how_much_and_what_was_left_out(done) -> None:
    _, _, plan = done
    assert plan.left_out == 1
    assert plan.rows == len(DATA.train)
    assert 0 < plan.trainable < plan.parameters
    assert plan.tokens < plan.unshared


def test_the_checkpoint_with_the_best_score_is_kept_and_tuning_stops_when_nothing_gets_better(base, tmp_path) -> None:
    scores = iter([0.1, 0.5, 0.9, 0.4, 0.3, 0.2, 0.1, 0.0])

    def score(model, base) -> float:
        ids = torch.tensor([base.tokenizer("How many days?")["input_ids"]])
        assert model.generate(ids, max_new_tokens=2, do_sample=False).shape[1] > ids.shape[1]
        return next(scores)

    result = run(base, tmp_path, score=score, epochs=6, evaluate_every=2, patience=2)
    assert result.figures["best_step"] == 4
    assert result.figures["score"] == 0.9
    assert result.figures["score_before"] == 0.1
    assert result.figures["steps"] == 8
    assert sorted(path.name for path in (tmp_path / "work").glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-8"]
    kept = load_file(tmp_path / "work" / "checkpoint-4" / "adapter_model.safetensors")
    served = load_file(result.folder / "adapter_model.safetensors")
    assert all(torch.equal(kept[name].bfloat16(), served[name]) for name in kept)


@pytest.mark.slow
def test_less_strength_trains_alike_and_is_what_is_evaluated_and_kept(base, tmp_path) -> None:
    whole, half = (
        run(base, tmp_path / str(strength), lora={**LORA, "strength": strength}, evaluate_every=100)
        for strength in (1.0, 0.5)
    )
    assert steps_of(tmp_path / "1.0") == steps_of(tmp_path / "0.5")
    assert whole.figures["held_out_loss_before"] == half.figures["held_out_loss_before"]
    assert whole.figures["held_out_loss"] < half.figures["held_out_loss"]
    files = [[(one.folder / name).read_bytes() for name in (CONFIG, WEIGHTS)] for one in (whole, half)]
    assert files[0][1] == files[1][1]
    assert [read_lora(*pair).alpha for pair in files] == [4, 2]


def test_a_run_that_was_killed_goes_on_to_the_same_losses(base, tmp_path) -> None:
    run(base, tmp_path / "whole", lora=LORA)
    killed = tmp_path / "killed"
    code = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, 'TESTS')\n"
        "import test_finetune_tune as t\n"
        "class Watch(t.Unwatched):\n"
        "    def stepped(self, step):\n"
        "        if step.step == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "t.run(Path(sys.argv[1]), Path(sys.argv[2]), watch=Watch(), lora=t.LORA)\n"
    ).replace("TESTS", str(Path(__file__).parent))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, base, killed], env=environment, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [step for step, _ in steps_of(killed)] == [1, 2, 3, 4, 5]
    assert not (killed / "out").exists()
    result = run(base, killed, resume=True, lora=LORA)
    assert steps_of(killed) == steps_of(tmp_path / "whole")
    whole = load_file(tmp_path / "whole" / "out" / "adapter_model.safetensors")
    assert all(torch.equal(whole[n], w) for n, w in load_file(result.folder / "adapter_model.safetensors").items())


def test_a_run_that_had_ended_is_finished_without_another_step(base, tmp_path) -> None:
    first = run(base, tmp_path)
    os.rename(first.folder, tmp_path / "before")
    again = run(base, tmp_path, resume=True)
    for path in again.folder.iterdir():
        assert path.read_bytes() == (tmp_path / "before" / path.name).read_bytes(), path.name
    for changes in ({"learning_rate": 1e-3}, {"data": Data(rows(5), rows(2))}):
        with pytest.raises(DeskmateError, match="another recipe, base or other rows"):
            run(base, tmp_path, resume=True, **changes)


def test_resuming_where_nothing_was_begun_says_so(base, tmp_path) -> None:
    with pytest.raises(DeskmateError, match=r"no checkpoint in .* run deskmate tune without --resume"):
        run(base, tmp_path, resume=True)


def test_a_disk_that_fills_during_a_checkpoint_leaves_the_one_before_and_a_run_that_goes_on(
    base, tmp_path, monkeypatch
) -> None:
    run(base, tmp_path / "whole")
    from finetune.training import trainer

    real, calls = trainer.save_file, []

    def fill(tensors, path, *rest) -> None:
        calls.append(path)
        if len(calls) == 2:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(tensors, path, *rest)

    monkeypatch.setattr(trainer, "save_file", fill)
    full = tmp_path / "full"
    with pytest.raises(DeskmateError, match=r"disk is full .* while writing the checkpoint of step 6; free some space"):
        run(base, full)
    assert [path.name for path in (full / "work").iterdir() if path.is_dir()] == ["checkpoint-3"]
    run(base, full, resume=True)
    assert steps_of(full) == steps_of(tmp_path / "whole")


def test_computing_activations_again_comes_to_the_same_losses(base, done, tmp_path) -> None:
    run(base, tmp_path, checkpointing=True)
    again, first = steps_of(tmp_path), steps_of(done[0])
    assert [loss for _, loss in again] == pytest.approx([loss for _, loss in first], rel=1e-4)


def test_without_held_out_rows_the_last_checkpoint_is_taken(base, tmp_path) -> None:
    result = run(base, tmp_path, data=Data(rows(4), ()), epochs=1, patience=1)
    assert result.figures["best_step"] == result.figures["steps"] == 4
    assert "held_out_loss" not in result.figures


def test_a_run_that_comes_off_the_rails_stops_and_says_so(base, tmp_path, monkeypatch) -> None:
    broken = "finetune.training.trainer.cross_entropy"
    monkeypatch.setattr(broken, lambda logits, targets, reduction: logits.sum() * torch.nan)
    with pytest.raises(DeskmateError, match=r"the loss of step 1 is nan.* set a smaller learning_rate"):
        run(base, tmp_path)


@pytest.mark.slow
def test_full_tuning_leaves_a_model_that_can_be_a_base(base, tmp_path) -> None:
    result = run(base, tmp_path, method="full", learning_rate=1e-3)
    assert (
        result.figures["tuned_parameters"]
        == prepare(tiny_recipe(base, method="full"), DATA, MODELS, tmp_path).sizes.parameters
    )
    loaded = load_base(pick_base(tiny_recipe(result.folder).model), MODELS)
    assert loaded.tokenizer.chat_template
    assert not torch.equal(
        loaded.model.lm_head.weight.float(),
        load_base(pick_base(tiny_recipe(base).model), MODELS).model.lm_head.weight.float(),
    )


def test_qlora_evaluates_trains_and_evaluates_and_every_matrix_gets_its_gradient(base, tmp_path) -> None:
    """bitsandbytes repacks weights on a processor when they are first evaluated, and then lets no gradient through."""
    from tiny_models import byte_tokenizer, tiny_model

    wide = tmp_path / "wide"  # 4 bits come in blocks of 64
    tokenizer = byte_tokenizer()
    tiny_model(len(tokenizer), width=64).save_pretrained(wide)
    tokenizer.save_pretrained(wide)
    result = run(wide, tmp_path, method="qlora", learning_rate=3e-3, epochs=1)
    weights = load_file(result.folder / "adapter_model.safetensors")
    assert all(tensor.any() for tensor in weights.values())
    assert result.figures["held_out_loss"] < result.figures["held_out_loss_before"]


@pytest.mark.slow
def test_two_processes_come_to_the_losses_of_one(base, tmp_path) -> None:
    run(base, tmp_path / "one")
    script = tmp_path / "launched.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parent.parent)!r}]\n"
        "import test_finetune_tune as t; from pathlib import Path\n"
        "t.run(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    launch = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
              "--mixed_precision", "no", "--dynamo_backend", "no")  # fmt: skip
    command = [sys.executable, "-W", "ignore", *launch, script, base, tmp_path / "two"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    one, two = steps_of(tmp_path / "one"), steps_of(tmp_path / "two")
    assert [step for step, _ in one] == [step for step, _ in two]
    assert [loss for _, loss in two] == pytest.approx([loss for _, loss in one], rel=1e-3)
    assert (tmp_path / "two" / "out" / "adapter_model.safetensors").is_file()


def test_a_base_with_too_little_memory_is_refused_before_a_weight_loads(base, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("finetune.training.checks._free_memory", lambda device: 1000)
    monkeypatch.setattr("finetune.training.train.load_base", lambda *_: pytest.fail("a weight was loaded"))
    with pytest.raises(
        DeskmateError, match=r"needs at least .* GiB .* are free; in the recipe, set checkpointing = true"
    ):
        run(base, tmp_path)


def test_a_disk_without_room_for_checkpoints_is_refused(base, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(DeskmateError, match=r"checkpoints need .* GiB in"):
        run(base, tmp_path)


def test_a_base_that_is_not_there_and_a_layer_that_it_lacks_are_named(base, tmp_path) -> None:
    with pytest.raises(DeskmateError, match="the weights of nobody/nothing are not on this machine"):
        prepare(tiny_recipe(base).model_copy(update={"base": "nobody/nothing"}), DATA, MODELS, tmp_path)
    recipe = tiny_recipe(base, lora={"layers": ["q_proj", "w_proj"]})
    with pytest.raises(DeskmateError, match=r"no linear layer w_proj; lora.layers may name down_proj"):
        prepare(recipe, DATA, MODELS, tmp_path)


def test_rows_that_are_all_too_long_are_refused(base, tmp_path) -> None:
    with pytest.raises(DeskmateError, match="no training row fits into 16 tokens"):
        prepare(tiny_recipe(base, context=16), DATA, MODELS, tmp_path)


def test_the_loss_is_taken_on_the_answer_and_its_stop_token_only(base, tmp_path) -> None:
    prepared = prepare(tiny_recipe(base), DATA, MODELS, tmp_path)
    tokenizer = load_base(prepared.base, MODELS).tokenizer
    answers = {one.answer for one in DATA.train}
    for group in prepared.train:
        for sample in group.samples:
            text = tokenizer.decode(sample.completion)
            assert text.removesuffix("<|im_end|>") in answers
            assert text.endswith("<|im_end|>")
            assert tokenizer.decode(sample.prompt).endswith("<|im_start|>assistant\n")


def test_memory_is_estimated_from_the_longest_pack_and_quantization_shrinks_the_base(base, tmp_path) -> None:
    prepared = prepare(tiny_recipe(base), DATA, MODELS, tmp_path)
    short = estimate(prepared.recipe, prepared.base, prepared.sizes, prepared.train[:1])
    assert short.activations < prepared.memory.activations
    quantized = tiny_recipe(base, method="qlora")
    assert estimate(quantized, prepared.base, prepared.sizes, prepared.train).weights < prepared.memory.weights
    full = replace(prepared.sizes, tuned=prepared.sizes.parameters)
    assert estimate(tiny_recipe(base, method="full"), prepared.base, full, prepared.train).tuned > prepared.memory.tuned
