"""A run of preference tuning: labels to token ids, KTO or DPO on an adapter, and a measure before anything is written.

Starts from an adapter and is held to it. What does not follow held-out labels better than that adapter is refused.
Knows nothing of registries and of how progress is shown.
"""

import random
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from finetune.adapters.card import CONFIG, WEIGHTS, Adapter
from finetune.adapters.lora import read_lora
from finetune.curation.feedback import Judged
from finetune.model import LoadedBase, prepare_for_training
from finetune.template import encode, encode_completion
from finetune.training.preference import Method, PreferenceSettings, Split
from finetune.training.preference_score import Change, Score, score
from ingest.errors import DeskmateError
from ingest.workspace import staged_folder

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel

KTO_PASS = 2
"""Rows of a pass of KTO: it estimates how far the model has moved from answers to other rows' prompts."""

Ids = tuple[int, ...]


class Watch(Protocol):
    """Told how a run gets on. Stages are `measure` (labels) and `prefer` (steps)."""

    def total(self, stage: str, count: int) -> None:
        """So many things are to be done in a stage."""

    def done(self, stage: str, count: int) -> None:
        """So many more are done."""


@dataclass(frozen=True, slots=True)
class Example:
    """A label as token ids. One of `better` and `worse` is empty for a thumb, none for a correction."""

    source: str
    prompt: Ids
    better: Ids
    worse: Ids

    @property
    def longest(self) -> int:
        """Tokens of the prompt with the longer answer."""
        return len(self.prompt) + max(len(self.better), len(self.worse))


@dataclass(frozen=True, slots=True)
class PreferResult:
    """Where the adapter's files lie, and what the run came to. Its base is that of the adapter it started from."""

    folder: Path
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Likelihood:
    better: float
    worse: float


def prefer(
    base: LoadedBase,
    start: Adapter,
    split: Split,
    settings: PreferenceSettings,
    out: Path,
    watch: Watch,
) -> PreferResult:
    """Tune an adapter on what people preferred, measure it on held-out labels, and write it if it is better.

    Args:
        base: freshly loaded; it is changed and of no use afterwards.
        start: where tuning starts, and what it is held to.
        split: labels; its method `dpo` prefers corrections to the answers given, `kto` makes praised answers likelier
            and others less likely.
        settings: of the run.
        out: a folder that is not there yet, for PEFT's two files.
        watch: told how it gets on.

    Raises:
        DeskmateError: the adapter is damaged or for another base, every label is too long, or the result is not
            better; then nothing is written.
    """
    method = split.method
    model = resume_adapter(base, start)
    train, held_out = (
        [one for one in encode_labels(base, part, method) if one.longest <= settings.context]
        for part in (split.train, split.held_out)
    )
    if not _both(train) or not _both(held_out):
        raise DeskmateError(f"nearly all labels are longer than {settings.context} tokens; raise preference.context")
    watch.total("measure", 2 * len(held_out))
    before = [_likelihood(model, example, watch) for example in held_out]
    begun = time.perf_counter()
    losses = tune_preferences(model, base, train, method, settings, watch)
    seconds = time.perf_counter() - begun
    _round(model)
    after = [_likelihood(model, example, watch) for example in held_out]
    changes = [_change(*three) for three in zip(held_out, before, after, strict=True)]
    found = score(method, changes, settings.seed)
    if not found.passes:
        raise _refused(found)
    with staged_folder(out) as staged:
        _save(model, staged)
    figures = {
        "method": method,
        "labels": len(train),
        "held_out": len(held_out),
        "too_long": len(split.train) + len(split.held_out) - len(train) - len(held_out),
        "steps": len(losses),
        "seconds": round(seconds, 1),
        "first_loss": round(losses[0], 4),
        "last_loss": round(losses[-1], 4),
        "preference_accuracy": asdict(found.accuracy),
        "likelihood_per_token": asdict(found.likelihood),
    }
    return PreferResult(out, figures)


def resume_adapter(base: LoadedBase, start: Adapter) -> "PeftModel":
    """The base with an adapter on it that can be tuned further.

    Raises:
        DeskmateError: it is damaged, no plain LoRA, or for another base.
    """
    from peft import PeftModel

    from finetune.adapters.adapter import identity

    if start.card.base_identity != identity(base.model):
        raise DeskmateError(
            f"the adapter {start.id} was tuned on {start.card.base}, and this is {base.name} or has other weights; set "
            "model.base to the one it was tuned on"
        )
    read_lora(start.read(CONFIG), start.read(WEIGHTS))
    prepare_for_training(base.model)
    with _quiet():
        return PeftModel.from_pretrained(base.model, start.folder, is_trainable=True)


def encode_labels(base: LoadedBase, labels: Sequence[Judged], method: Method) -> list[Example]:
    """Labels as token ids, the very ones that serving reads and writes; control tokens in texts are broken up."""
    examples = []
    for label in labels:
        prompt = tuple(encode(base.tokenizer, label.prompt))
        answer, correction = (
            tuple(encode_completion(base.tokenizer, label.prompt, text)) if text else ()
            for text in (label.answer, label.correction)
        )
        if method == "dpo":
            better, worse = correction, answer
        else:
            better, worse = (answer, ()) if label.up else ((), answer)
        examples.append(Example(label.source, prompt, better, worse))
    return examples


def tune_preferences(
    model: "PeftModel",
    base: LoadedBase,
    examples: Sequence[Example],
    method: Method,
    settings: PreferenceSettings,
    watch: Watch,
) -> list[float]:
    """Tune the model's adapter, with a frozen copy of it as the reference; returns the loss of every step."""
    from finetune.training.preference_trainer import PairTrainer, ThumbTrainer

    rows = _rows(list(_course(examples, settings)), method)
    with tempfile.TemporaryDirectory() as work, _quiet():  # nothing is saved there; the libraries want a folder
        config, callback = _arguments(base, examples, method, settings, work), _callback(watch)
        trainer = (PairTrainer if method == "dpo" else ThumbTrainer)(model, base, rows, config, callback)
        trainer.train()
    return [one["loss"] for one in trainer.state.log_history if "loss" in one]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves that PEFT and TRL call what transformers is about to rename."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "`(is_)?gradient_checkpointing(_enable|_disable)?` is deprecated", FutureWarning
        )
        yield


def _course(examples: Sequence[Example], settings: PreferenceSettings) -> Iterator[Example]:
    """Every example once an epoch, in another order each time."""
    rng = random.Random(settings.seed)  # noqa: S311  no secret
    for _ in range(settings.epochs):
        yield from rng.sample(examples, len(examples))


def _rows(course: list[Example], method: Method) -> "Dataset":
    """Rows as TRL's collators read them."""
    from datasets import Dataset

    prompts = [list(one.prompt) for one in course]
    if method == "dpo":
        better, worse = [list(one.better) for one in course], [list(one.worse) for one in course]
        return Dataset.from_dict({"prompt_ids": prompts, "chosen_ids": better, "rejected_ids": worse})
    course = course[: len(course) - len(course) % KTO_PASS]
    answers = [list(one.better or one.worse) for one in course]
    # Within a pass every prompt gets its neighbour's answer: Ethayarajh et al., 2024, section 4.1.
    others = [answers[at + 1 - 2 * (at % 2)] for at in range(len(answers))]
    labels = [bool(one.better) for one in course]
    return Dataset.from_dict(
        {"prompt_ids": prompts[: len(course)], "completion_ids": answers, "KL_completion_ids": others, "label": labels}
    )


def _arguments(
    base: LoadedBase, examples: Sequence[Example], method: Method, settings: PreferenceSettings, work: str
) -> Any:
    import torch
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.kto_config import KTOConfig

    size = 1 if method == "dpo" else KTO_PASS
    shared: dict[str, Any] = {
        "output_dir": work,
        "seed": settings.seed,
        "num_train_epochs": 1,  # epochs are in the rows
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": settings.batch // size,
        "train_sampling_strategy": "sequential",
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.1,
        "beta": settings.beta,
        "bf16": base.model.dtype is torch.bfloat16,
        "use_cpu": base.model.device.type == "cpu",
        "gradient_checkpointing": settings.checkpointing,
        "max_length": None,
        "logging_steps": 1,
        "save_strategy": "no",
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
        "report_to": "none",
        "disable_tqdm": True,
    }
    if method == "dpo":
        terms = {"sigmoid": 1.0, "sft": settings.sft} if settings.sft else {"sigmoid": 1.0}
        return DPOConfig(**shared, loss_type=list(terms), loss_weights=list(terms.values()))
    ups = sum(bool(one.better) for one in examples)
    downs = len(examples) - ups
    return KTOConfig(  # equation 8 of the paper: both verdicts weigh the same
        **shared, desirable_weight=max(1.0, downs / ups), undesirable_weight=max(1.0, ups / downs)
    )


def _callback(watch: Watch) -> Any:
    from transformers import TrainerCallback

    class Tells(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.total("prefer", state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.done("prefer", 1)

    return Tells()


def _likelihood(model: "PeftModel", example: Example, watch: Watch) -> _Likelihood:
    model.eval()
    found = _Likelihood(*(_log_probability(model, example.prompt, ids) for ids in (example.better, example.worse)))
    watch.done("measure", 1)
    return found


def _log_probability(model: "PeftModel", prompt: Ids, answer: Ids) -> float:
    """The sum over the answer's tokens; 0 for none."""
    import torch

    if not answer:
        return 0.0
    with torch.inference_mode():
        ids = torch.tensor([[*prompt, *answer]], device=model.device)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(answer) + 1).logits[0, :-1]
        log_probabilities = torch.log_softmax(logits.float(), -1)
        return float(log_probabilities.gather(-1, ids[0, -len(answer) :, None]).sum(dtype=torch.float64))


def _change(example: Example, before: _Likelihood, after: _Likelihood) -> Change:
    return Change(
        example.source,
        after.better - before.better if example.better else None,
        after.worse - before.worse if example.worse else None,
        max(1, len(example.better)),
    )


def _both(examples: Sequence[Example]) -> bool:
    """Whether there is something to prefer, and something to prefer it to."""
    return any(one.better for one in examples) and any(one.worse for one in examples)


def _round(model: "PeftModel") -> None:
    """Round the adapter to bfloat16, so that what is measured is what is written."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16).to(parameter.dtype)


def _save(model: "PeftModel", folder: Path) -> None:
    """Write the adapter in bfloat16, without its reference."""
    import torch
    from safetensors.torch import load_file, save_file

    from finetune.training.preference_trainer import TUNED

    # Without the last argument PEFT asks the hub whether the vocabulary was changed.
    model.save_pretrained(str(folder), selected_adapters=[TUNED], save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's draft of a model card
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _refused(found: Score) -> DeskmateError:
    accuracy, likelihood = found.accuracy, found.likelihood
    return DeskmateError(
        "the tuned adapter is refused and nothing is published: it follows "
        f"{accuracy.value:.0%} of the held-out preferences (95 % interval {accuracy.low:.0%} to {accuracy.high:.0%}; "
        f"50 % is no change), and the log-likelihood of good answers changed by {likelihood.value:+.3f} a token "
        f"({likelihood.low:+.3f} to {likelihood.high:+.3f}); gather more labels, or change the preference settings"
    )
