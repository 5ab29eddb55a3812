"""TRL's trainer, fed with packs: every step is planned beforehand, and its state is kept without pickles. A leaf.

Its own are how a step reads its packs, how the model is evaluated and how a checkpoint is written; the loop, the
optimizer, the schedule, mixed precision and several processes are the libraries'.
"""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.utils import broadcast, reduce
from datasets import Dataset
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy
from transformers import AttentionInterface, PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback, TrainerCallback, TrainerState
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from finetune.model import Base
from finetune.training.packing import Pack, Step
from finetune.training.recipe import Recipe
from finetune.training.tree_attention import NAME, tensors, tree_attention
from finetune.training.tune_log import Logger
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, remove_leftovers, staged_folder

AttentionInterface.register(NAME, tree_attention)

STATE, SCHEDULE, OPTIMIZER = "trainer_state.json", "schedule.json", "optimizer.safetensors"
PREFIX = "checkpoint-"


@dataclass(frozen=True, slots=True)
class Course:
    """What a run does: its steps, what each evaluation reads, and an optional score of the model as it is then.

    `strength`: the share of the adapter's product that is evaluated, and kept in the end.
    """

    steps: Sequence[Step]
    held_out: Sequence[Pack]
    logger: Logger
    patience: int = 0
    strength: float = 1.0
    score: Callable[[], float] | None = None

    def tired(self, state: TrainerState) -> bool:
        """Whether evaluations have not become better for too long."""
        since = state.global_step - (state.best_global_step or 0)
        return self.patience > 0 and bool(self.held_out or self.score) and since >= self.patience * state.eval_steps


class PackTrainer(SFTTrainer):
    """Runs a course. Its data set only numbers the steps; the tensors are made of the plan when a step begins."""

    model: Any
    optimizer: Any
    lr_scheduler: Any

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, course: Course, args: SFTConfig) -> None:
        self._course = course
        # Samples are dealt to processes in turn, and every process is to see every step.
        numbers = [step for step in range(len(course.steps)) for _ in range(args.world_size)]
        super().__init__(
            model=model,
            args=args,
            train_dataset=Dataset.from_dict({"step": numbers}),
            eval_dataset=Dataset.from_dict({"pack": list(range(len(course.held_out)))}),
            processing_class=tokenizer,
            data_collator=self._collate,
            callbacks=[_Events(course)],
        )
        self.remove_callback(PrinterCallback)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()  # TRL makes QLoRA's bfloat16, which rounds small steps away

    def go_on(self, checkpoint: Path) -> None:
        """Train from a checkpoint on, or take its state where the run had come to its end."""
        state = TrainerState.load_from_json(str(checkpoint / STATE))
        if state.global_step == len(self._course.steps) or self._course.tired(state):
            self.state = state
            return
        self.args.eval_on_start = False  # the log has it
        self.train(resume_from_checkpoint=str(checkpoint))

    def _collate(self, items: list[dict[str, int]]) -> dict[str, Any]:
        step = self._course.steps[items[0]["step"]]
        return {"packs": [tensors(pack) for pack in step.shares[self.args.process_index]], "of": step.targets}

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Go back from every pack; processes add up their gradients at the last one.

        Every step seeds the generators, so that nothing of them needs to be kept for resuming.
        """
        torch.manual_seed(self.args.seed << 40 | self.state.global_step << 16 | self.args.process_index)
        model.train()
        total = torch.zeros((), device=self.args.device)
        weight = self.args.world_size / inputs["of"]  # processes average their gradients
        for left, pack in zip(reversed(range(len(inputs["packs"]))), inputs["packs"], strict=True):
            with self.accelerator.no_sync(model) if left else nullcontext():
                with self.compute_loss_context_manager():
                    loss = self.compute_loss(model, pack) * weight
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """The sum of the losses of a pack's targets; only their logits are computed."""
        inputs = dict(self._prepare_inputs(inputs))
        targets = inputs.pop("targets")
        logits = model(**inputs, use_cache=False).logits[0]
        return cross_entropy(logits.float(), targets, reduction="sum")

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted."""
        return 0

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Read the held-out packs, and ask for the score; all processes learn the same figures."""
        begun, rank = time.perf_counter(), self.args.process_index
        self.model.eval()
        with at_strength(self.model, self._course.strength):
            metrics = self._held_out(rank)
        if rank == 0:
            self._course.logger.evaluated(
                self.state.global_step, metrics.get("eval_loss"), metrics.get("eval_score"), time.perf_counter() - begun
            )
        return metrics

    def _held_out(self, rank: int) -> dict[str, float]:
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        with torch.no_grad(), self.compute_loss_context_manager():
            for pack in self._course.held_out[rank :: self.args.world_size]:
                sums[0] += self.compute_loss(self.model, tensors(pack))
                sums[1] += pack.targets
        loss, targets = reduce(sums).tolist()
        metrics = {"eval_loss": loss / targets} if targets else {}
        if self._course.score is not None:
            value = torch.zeros(1, dtype=torch.float64, device=self.args.device)
            if rank == 0:
                with plain_attention(self.model):
                    value += self._course.score()
            metrics["eval_score"] = float(broadcast(value))
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, whole or not at all; then remove all but it and the best.

        Raises:
            DeskmateError: the disk refuses. The checkpoints before are as they were.
        """
        if not self.args.should_save:
            return
        folder, step = Path(str(self.args.output_dir)), self.state.global_step
        try:
            remove_leftovers(folder)
            with staged_folder(folder / f"{PREFIX}{step}") as staged:
                self.model.save_pretrained(staged)
                (staged / "README.md").unlink(missing_ok=True)  # PEFT's draft of a model card
                moments = self.optimizer.state_dict()["state"]
                named = {f"{n}.{name}": value for n, one in moments.items() for name, value in one.items()}
                save_file(named, staged / OPTIMIZER)
                (staged / SCHEDULE).write_text(json.dumps(self.lr_scheduler.state_dict()))
                self.state.save_to_json(str(staged / STATE))
        except OSError as error:
            raise explain_disk_error(error, f"writing the checkpoint of step {step}") from error
        except SafetensorError as error:  # what safetensors makes of a disk's refusal
            raise DeskmateError(
                f"cannot write the checkpoint of step {step} to {folder} ({error}); free some disk, then go on with "
                "deskmate tune --resume: the checkpoint before is intact"
            ) from error
        for number, path in checkpoints(folder).items():
            if number not in (step, self.state.best_global_step):
                shutil.rmtree(path)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        self.lr_scheduler.load_state_dict(json.loads(Path(checkpoint, SCHEDULE).read_text()))
        moments: dict[int, dict[str, torch.Tensor]] = {}
        with safe_open(Path(checkpoint, OPTIMIZER), "pt") as file:
            for key in file.keys():  # noqa: SIM118  no dict
                number, name = key.split(".")
                moments.setdefault(int(number), {})[name] = file.get_tensor(key)
        state = self.optimizer.state_dict()
        for group, rate in zip(state["param_groups"], self.lr_scheduler.get_last_lr(), strict=True):
            group["lr"] = rate
        self.optimizer.load_state_dict({**state, "state": moments})

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Nothing to restore: every step seeds its generators."""


class _Events(TrainerCallback):
    """Times the steps, ends with an evaluation, and stops when nothing gets better."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._logger = course.logger

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._logger.begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._logger.end()
        if state.global_step == state.max_steps:
            control.should_save = True
            control.should_evaluate = args.eval_strategy != "no"

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_evaluate = control.should_save = control.should_log = False  # done at the end of the last step

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        if not math.isfinite(logs.get("loss", 0.0)):
            raise DeskmateError(
                f"the loss of step {state.global_step} is {logs['loss']}: tuning has come off the rails; set a smaller "
                "learning_rate or more warmup_steps in the recipe, and begin anew"
            )
        if "loss" in logs and state.is_world_process_zero:
            self._logger.stepped(state.global_step, logs["loss"], logs["learning_rate"], logs["grad_norm"])

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._course.tired(state):
            control.should_training_stop = True


def arguments(recipe: Recipe, folder: Path, base: Base, best: Literal["score", "loss"] | None) -> SFTConfig:
    """The recipe as the trainer takes it.

    Args:
        recipe: the settings.
        folder: for checkpoints.
        base: on which device, in which arithmetic.
        best: what chooses the best checkpoint; None where nothing is evaluated.
    """
    cpu = base.device == "cpu"
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return SFTConfig(
        output_dir=str(folder),
        seed=recipe.seed,
        num_train_epochs=1,  # epochs are in the plan of steps
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,  # a step reads all its packs
        train_sampling_strategy="sequential",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant_with_warmup" if recipe.schedule == "constant" else recipe.schedule,
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.clip,
        optim="adamw_torch",
        bf16=base.dtype == "bfloat16",
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and several else None,
        activation_checkpointing=recipe.checkpointing,
        eval_strategy="steps" if best else "no",
        save_strategy="steps",
        eval_steps=recipe.evaluate_every,
        save_steps=recipe.evaluate_every,
        eval_on_start=best is not None,
        logging_steps=1,
        logging_nan_inf_filter=False,
        metric_for_best_model=best,
        greater_is_better=best == "score",
        load_best_model_at_end=False,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
    )


def checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints in a folder by their step, the latest last."""
    return dict(sorted((int(path.name.removeprefix(PREFIX)), path) for path in folder.glob(f"{PREFIX}*")))


@contextmanager
def at_strength(model: Any, strength: float) -> Iterator[None]:
    """Let the model compute with a share of its adapter: between base and tuned, it keeps more of both than it loses.

    Wortsman et al., 2022 (WiSE-FT), https://arxiv.org/abs/2109.01903, for whole weights.
    """
    from peft.tuners.lora import LoraLayer

    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        layer.scale_layer(strength)
    try:
        yield
    finally:
        for layer in layers:
            layer.unscale_layer()


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Let the model generate: the attention of packs is for packs only."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    base.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        base.set_attn_implementation(NAME)
