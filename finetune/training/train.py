"""A tuning run: everything is checked, the base loads, packs go through the trainer, the best checkpoint stays.

Takes a recipe and rows; knows nothing of registries and of screens.
"""

import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from finetune.adapters.card import CONFIG, WEIGHTS, Card
from finetune.model import LoadedBase, load_base, prepare_for_training
from finetune.training.checks import Data, Prepared, prepare
from finetune.training.curve import draw_curve
from finetune.training.packing import Batching, pack_groups, plan_steps
from finetune.training.recipe import Recipe
from finetune.training.tune_log import LOG, Log, Logger, Plan, Unwatched, Watch, read_log
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, staged_folder, write_atomic, writer_lock

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Score = Callable[["PreTrainedModel", LoadedBase], float]
"""How good a model is as it is now, in evaluation mode and able to generate, with its base's tokenizer and template.

More is better.
"""

RUN, CURVE = "run.json", "curve.png"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run writes: checkpoints and its log into `work`, the finished adapter as `out`, replacing an older."""

    work: Path
    out: Path


@dataclass(frozen=True, slots=True)
class TuneResult:
    """Where the adapter's files lie, what it was tuned on, and what the run came to."""

    folder: Path
    base: str
    base_identity: str
    recipe: Recipe
    figures: dict[str, Any]

    def card(self, data: Data, data_hash: str, prompt_hash: str, documents: Mapping[str, str]) -> Card:
        """The adapter's card for the registry.

        Args:
            data: what it was tuned on.
            data_hash: of the files with the rows.
            prompt_hash: of the prompt that the rows are in.
            documents: SHA-256 of the files of the index, by document; those that training rows quote are taken.
        """
        rows = [*data.train, *data.held_out]  # held-out rows choose the checkpoint, so their labels count as well
        quoted = sorted({doc for row in data.train for doc in row.docs})
        return Card(
            base=self.base,
            base_identity=self.base_identity,
            data_hash=data_hash,
            prompt_hash=prompt_hash,
            documents={doc: documents[doc] for doc in quoted if doc in documents},
            access=tuple(sorted({labels for row in rows for labels in row.access})),
            settings=self.recipe.model_dump(mode="json"),
            scores=self.figures,
        )


def tune(
    recipe: Recipe,
    data: Data,
    models_dir: Path,
    place: Place,
    *,
    score: Score | None = None,
    watch: Watch | None = None,
    resume: bool = False,
) -> TuneResult | None:
    """Tune a base on rows.

    Under `accelerate launch` every process calls this with the same arguments, and the first one writes.

    Args:
        recipe: the settings.
        data: the rows.
        models_dir: where the embedded models lie.
        place: where to write. Checkpoints stay in `place.work` until the next run of that name.
        score: chooses the best checkpoint; without it the loss on held-out rows does.
        watch: is told how the run goes.
        resume: go on from the last checkpoint of an interrupted run with the same recipe and rows.

    Returns:
        What came of it; None in all processes but the first.

    Raises:
        DeskmateError: something that is checked before, memory that runs out, or a disk that refuses.
    """
    import torch

    main = os.environ.get("RANK", "0") == "0"
    if torch.cuda.is_available() and "LOCAL_RANK" in os.environ:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # each process loads the base onto its own
    try:
        with _silent_libraries(), writer_lock(place.work) if main else nullcontext():
            prepared = prepare(recipe, data, models_dir, place.work)
            if main:
                _settle(place.work, prepared, resume)
            watching = watch if main and watch else Unwatched()
            return run(prepared, load_base(prepared.base, models_dir), place, score, watching, resume)
    except OSError as error:
        raise explain_disk_error(error, f"tuning in {place.work}") from error


def run(
    prepared: Prepared, base: LoadedBase, place: Place, score: Score | None, watch: Watch, resume: bool
) -> TuneResult | None:
    """Tune a loaded base; see `tune`."""
    import torch

    from finetune.adapters.adapter import identity
    from finetune.training.trainer import Course, PackTrainer, arguments, checkpoints

    recipe, begun = prepared.recipe, time.perf_counter()
    best_by: Literal["score", "loss"] | None = "score" if score else "loss" if prepared.held_out else None
    args = arguments(recipe, place.work, prepared.base, best_by)
    steps = plan_steps(
        prepared.train, Batching(recipe.batch_rows, recipe.pack_tokens, recipe.epochs, recipe.seed, args.world_size)
    )
    if not all(share for step in steps for share in step.shares):
        raise DeskmateError(
            f"{len(prepared.train)} sets of passages are too few for {args.world_size} processes; launch fewer"
        )
    base_identity = identity(base.model)
    model = adapted(base, recipe)
    logger = Logger(place.work / LOG, steps, watch)
    course = Course(
        steps=steps,
        held_out=pack_groups(prepared.held_out, recipe.pack_tokens),
        logger=logger,
        patience=recipe.patience,
        strength=recipe.lora.strength,
        score=(lambda: score(model, base)) if score else None,
    )
    done = list(checkpoints(place.work))[-1] if resume else 0
    if args.process_index == 0:
        logger.start(done)
        watch.begins(_plan(prepared, steps, model, done))
    try:
        trainer = PackTrainer(model, base.tokenizer, course, args)
        if done:
            trainer.go_on(checkpoints(place.work)[done])
        else:
            trainer.train()
    except torch.OutOfMemoryError as error:
        raise DeskmateError(
            "the GPU's memory ran out; in the recipe set smaller pack_tokens and context, or checkpointing = true, and "
            "run deskmate tune again"
        ) from error
    if args.process_index:
        return None
    log = read_log(place.work / LOG)
    best = trainer.state.best_global_step or trainer.state.global_step
    figures = _figures(prepared, log, best, time.perf_counter() - begun)
    shutil.rmtree(place.out, ignore_errors=True)
    with staged_folder(place.out) as staged:
        if recipe.method == "full":
            _copy_model(checkpoints(place.work)[best], staged)
            base.tokenizer.save_pretrained(staged)
        else:
            _copy_adapter(checkpoints(place.work)[best], staged, base.name, recipe.lora.strength)
        (staged / "recipe.json").write_text(recipe.model_dump_json(indent=1) + "\n", "utf-8")
        draw_curve(log, staged / CURVE)
    return TuneResult(place.out, base.name, base_identity, recipe, figures)


def adapted(base: LoadedBase, recipe: Recipe) -> Any:
    """The base with what is to be tuned: a fresh adapter on it, or all its weights. Made to read packs."""
    import torch
    from peft import LoraConfig, get_peft_model

    from finetune.training.tree_attention import NAME

    torch.manual_seed(recipe.seed)
    base.model.set_attn_implementation(NAME)
    if recipe.method == "full":
        return base.model.requires_grad_(True)
    prepare_for_training(base.model)
    layers = recipe.lora.layers
    config = LoraConfig(
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,  # type: ignore[arg-type]  # PEFT computes with any number
        lora_dropout=recipe.lora.dropout,
        target_modules=layers if isinstance(layers, str) else list(layers),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base.model, config)


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep what the libraries think of each other's newest versions off standard error."""
    from transformers.utils import logging as theirs

    # At its import it says that a faster kernel, to be fetched from the network, is not there.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    before = theirs.get_verbosity()
    theirs.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        theirs.set_verbosity(before)


def _settle(work: Path, prepared: Prepared, resume: bool) -> None:
    """Clear a work folder for a new run, or see that it holds the run that is to go on.

    Raises:
        DeskmateError: nothing to go on from, or another run.
    """
    from finetune.training.trainer import checkpoints

    this = json.dumps(
        {"recipe": prepared.recipe.model_dump(mode="json"), "base": prepared.base.name, "rows": prepared.fingerprint}
    )
    if resume:
        if not (work / RUN).is_file() or not checkpoints(work):
            raise DeskmateError(f"there is no checkpoint in {work} to go on from; run deskmate tune without --resume")
        if (work / RUN).read_text("utf-8") != this:
            raise DeskmateError(
                f"the run in {work} has another recipe, base or other rows; restore them, or begin anew: deskmate tune "
                "without --resume"
            )
        return
    for path in checkpoints(work).values():
        shutil.rmtree(path)
    (work / LOG).unlink(missing_ok=True)
    write_atomic(work / RUN, this.encode())


def _plan(prepared: Prepared, steps: Any, model: Any, done: int) -> Plan:
    packs = [pack for step in steps for pack in step.packs]
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Plan(
        steps=len(steps),
        rows=prepared.rows,
        left_out=prepared.left_out,
        tokens=sum(pack.tokens for pack in packs),
        unshared=sum(pack.unshared for pack in packs),
        trainable=trainable,
        parameters=prepared.sizes.parameters,
        resumed_at=done,
    )


def _figures(prepared: Prepared, log: Log, best: int, seconds: float) -> dict[str, Any]:
    """What the run came to, from its log."""
    before = next((one for one in log.evaluations if one.step == 0), None)
    after = next((one for one in log.evaluations if one.step == best), None)
    spent = sum(one.seconds for one in log.steps)
    figures = {
        "steps": len(log.steps),
        "best_step": best,
        "rows": prepared.rows,
        "left_out": prepared.left_out,
        "tuned_parameters": prepared.sizes.tuned,
        "held_out_loss_before": before and before.held_out_loss,
        "held_out_loss": after and after.held_out_loss,
        "score_before": before and before.score,
        "score": after and after.score,
        "tokens_per_s": round(sum(one.tokens for one in log.steps) / spent, 1),
        "unshared_tokens_per_s": round(sum(one.unshared for one in log.steps) / spent, 1),
        "seconds": round(sum(one.seconds for one in log.evaluations) + spent, 1),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _copy_adapter(checkpoint: Path, folder: Path, base: str, strength: float) -> None:
    """Put a checkpoint's adapter into a folder, rounded to bfloat16, without what only this machine knows.

    `strength` goes into alpha, so that PEFT, vLLM and merging all know of it.
    """
    _copy_rounded(checkpoint / WEIGHTS, folder / WEIGHTS)
    config = json.loads((checkpoint / CONFIG).read_text("utf-8"))
    config["base_model_name_or_path"] = base
    config["lora_alpha"] *= strength
    config["target_modules"] = sorted(config["target_modules"])
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", "utf-8")


def _copy_model(checkpoint: Path, folder: Path) -> None:
    """Put a checkpoint's model into a folder, rounded to bfloat16."""
    for path in checkpoint.iterdir():
        if path.match("model*.safetensors"):
            _copy_rounded(path, folder / path.name)
        elif path.name.startswith(("model", "config", "generation_config")):
            shutil.copyfile(path, folder / path.name)


def _copy_rounded(source: Path, target: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    save_file({name: one.to(torch.bfloat16) for name, one in load_file(source).items()}, target, {"format": "pt"})
