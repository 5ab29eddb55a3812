"""Tuning measured: real tokens a second and peak memory, ours against TRL's trainer with its defaults on the same rows.

Each runs in a process of its own, on the same token ids, with the same base and the same adapter. A real token is one
of a row as it stands in the data: what is padded does not count, and what is shared counts for every row.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.curation.rows import read_rows
from finetune.model import LoadedBase, load_base
from finetune.training.checks import Data, Prepared, prepare
from finetune.training.packing import Batching, Group, Sample, Step, plan_steps
from finetune.training.recipe import Recipe, load_recipe
from ingest.embedded import SMOLLM2, verify
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from app.desk import Desk

STEPS = 4
"""Of each, on the same rows, as far as they go: ours reads 16 rows a step, TRL 8. The first step is not timed."""

MISTRAL_7B: dict[str, Any] = {
    "vocab_size": 32768, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768, "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "sliding_window": None,
}  # fmt: skip
"""The architecture of Mistral-7B-Instruct-v0.3, as its config.json has it."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process measures."""

    recipe: Recipe
    rows: Path
    models: Path
    random: bool


def bench_tune(desk: "Desk", recipe: str, random_weights: bool) -> list[dict[str, Any]]:
    """Measure a recipe's tuning against TRL's defaults.

    Args:
        desk: its workspace has the rows.
        recipe: a name or a file. Of the embedded model, qlora and lora are both measured.
        random_weights: do with the architecture of Mistral-7B and no weights of anyone; needs a GPU.

    Raises:
        DeskmateError: no rows, no base, or no GPU where one is needed.
    """
    import torch

    rows = desk.workspace.qa / "train.jsonl"
    if not rows.is_file():
        raise DeskmateError(f"there are no training rows in {rows}; run deskmate synth first")
    chosen = load_recipe(recipe)
    if random_weights and not torch.cuda.is_available():
        raise DeskmateError(
            "a model of the size of Mistral-7B is measured on a GPU, and there is none; on a machine that has one, run "
            f"deskmate bench tune --recipe {recipe} --random-weights"
        )
    methods = ("qlora", "lora") if chosen.base == SMOLLM2.name else (chosen.method,)
    models = desk.settings.models_folder
    with tempfile.TemporaryDirectory(prefix="deskmate-") as scratch:
        if random_weights:
            _write_random_mistral(Path(scratch), verify(SMOLLM2, models))
            chosen = chosen.model_copy(update={"base": scratch})
        figures = []
        for method in methods:
            job = Job(chosen.model_copy(update={"method": method}), rows, models, random_weights)
            theirs, ours = (_apart(measure, job) for measure in (_measure_trl, _measure_ours))
            for one in (theirs, ours):
                figures.append({**one, "ratio": round(one["real_tokens_per_s"] / theirs["real_tokens_per_s"], 2)})
    return figures


def _apart(measure: Any, job: Job) -> dict[str, Any]:
    """Measure in a fresh process, so that its peak of memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        result: dict[str, Any] = pool.submit(measure, job).result()
    return result


def _measure_ours(job: Job) -> dict[str, Any]:
    from finetune.training.train import adapted
    from finetune.training.trainer import Course, PackTrainer, arguments
    from finetune.training.tune_log import Logger, Unwatched, read_log

    with tempfile.TemporaryDirectory(prefix="deskmate-") as scratch:
        work = Path(scratch)
        prepared, base, steps = _ready(job, work)
        log = work / "log.jsonl"
        args = arguments(job.recipe, work, prepared.base, best=None)
        args.save_strategy = "no"
        course = Course(steps, [], Logger(log, steps, Unwatched()))
        trainer = PackTrainer(adapted(base, job.recipe), base.tokenizer, course, args)
        trainer.train()
        timed = read_log(log).steps[1:]
    seconds = sum(one.seconds for one in timed)
    unshared, read = sum(one.unshared for one in timed), sum(one.tokens for one in timed)
    return _row("deskmate", job, unshared / seconds, read / seconds)


def _measure_trl(job: Job) -> dict[str, Any]:
    import time

    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers.trainer_callback import PrinterCallback, TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    disable_progress_bars()
    spans: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            spans.append(-time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            spans[-1] += time.perf_counter()

    with tempfile.TemporaryDirectory(prefix="deskmate-") as scratch:
        prepared, base, steps = _ready(job, Path(scratch))
        samples = [one for step in steps for pack in step.packs for group in pack.groups for one in group.samples]
        rows = [
            {"input_ids": [*one.prompt, *one.completion], "labels": [-100] * len(one.prompt) + [*one.completion]}
            for one in samples
        ]
        args = SFTConfig(
            output_dir=scratch,
            use_cpu=prepared.base.device == "cpu",
            train_sampling_strategy="sequential",
            max_steps=STEPS,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        layers = job.recipe.lora.layers
        adapter = LoraConfig(
            r=job.recipe.lora.rank,
            lora_alpha=job.recipe.lora.alpha,  # type: ignore[arg-type]
            lora_dropout=job.recipe.lora.dropout,
            target_modules=layers if isinstance(layers, str) else list(layers),
            task_type="CAUSAL_LM",
        )
        trainer = SFTTrainer(
            model=base.model,
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=base.tokenizer,
            peft_config=adapter,
            callbacks=[Clock()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        batch = args.per_device_train_batch_size
    lengths = [min(len(row["input_ids"]), args.max_length or len(row["input_ids"])) for row in rows]
    real = sum(lengths[batch : batch * len(spans)])
    return _row("TRL's defaults", job, real / sum(spans[1:]), real / sum(spans[1:]))


def _ready(job: Job, work: Path) -> tuple[Prepared, LoadedBase, Sequence[Step]]:
    """The base in memory and the steps to be measured; memory is counted from here on."""
    import torch

    rows = read_rows(job.rows)
    prepared = prepare(job.recipe, Data(rows, rows[:1]), job.models, work)
    if job.random:
        vocabulary = prepared.sizes.vocabulary
        prepared = replace(prepared, train=[_wrapped(group, vocabulary) for group in prepared.train])
    batching = Batching(job.recipe.batch_rows, job.recipe.pack_tokens, 1, job.recipe.seed)
    base = load_base(prepared.base, job.models)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    return prepared, base, plan_steps(prepared.train, batching)[:STEPS]


def _wrapped(group: Group, vocabulary: int) -> Group:
    """The group in a smaller vocabulary: what was alike stays alike."""
    samples = (
        Sample(tuple(n % vocabulary for n in one.prompt), tuple(n % vocabulary for n in one.completion))
        for one in group.samples
    )
    return Group(group.prefix, tuple(samples))


def _row(name: str, job: Job, real: float, read: float) -> dict[str, Any]:
    import resource

    import torch

    gpu = torch.cuda.is_available()
    peak = torch.cuda.max_memory_allocated() if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "name": name,
        "base": "Mistral-7B, random weights" if job.random else job.recipe.base,
        "method": job.recipe.method,
        "device": torch.cuda.get_device_name() if gpu else f"cpu, {torch.get_num_threads()} threads",
        "real_tokens_per_s": round(real, 1),
        "read_tokens_per_s": round(read, 1),
        "peak_gib": round(peak / (1 << 30), 2),
    }


def _write_random_mistral(folder: Path, tokenizer: Path) -> None:
    """Write a model of Mistral-7B's architecture whose weights mean nothing, and a tokenizer for the rows."""
    import torch
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(**MISTRAL_7B, dtype="bfloat16")
    with torch.device("cuda"):
        model = MistralForCausalLM._from_config(config, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    del model
    torch.cuda.empty_cache()
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
