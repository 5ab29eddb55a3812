"""TRL's trainers for preferences, given token ids that are ready: nothing is templated or tokenised again. A leaf.

Given the model of an adapter, both keep a frozen copy of it under the name `ref` and measure against that. What is our
own is only that the adapter is held in float32, and that the data come as they are.
"""

from typing import Any

from datasets import Dataset
from peft import PeftModel  # noqa: TID253  a leaf
from transformers.trainer_callback import PrinterCallback, TrainerCallback  # noqa: TID253
from trl.trainer.dpo_config import DPOConfig  # noqa: TID253
from trl.trainer.dpo_trainer import DPOTrainer  # noqa: TID253
from trl.trainer.kto_config import KTOConfig  # noqa: TID253
from trl.trainer.kto_trainer import KTOTrainer  # noqa: TID253

from finetune.model import LoadedBase

TUNED, REFERENCE = "default", "ref"
"""PEFT's names of the adapter that is tuned and of its frozen copy; TRL looks for them."""


class PairTrainer(DPOTrainer):
    """DPO on rows of `prompt_ids`, `chosen_ids` and `rejected_ids`."""

    def __init__(
        self, model: PeftModel, base: LoadedBase, rows: Dataset, args: DPOConfig, watch: TrainerCallback
    ) -> None:
        super().__init__(model=model, args=args, train_dataset=rows, processing_class=base.tokenizer, callbacks=[watch])
        self.remove_callback(PrinterCallback)
        start_in_float32(model)

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


class ThumbTrainer(KTOTrainer):
    """KTO on rows of `prompt_ids`, `completion_ids`, `KL_completion_ids` and `label`."""

    def __init__(
        self, model: PeftModel, base: LoadedBase, rows: Dataset, args: KTOConfig, watch: TrainerCallback
    ) -> None:
        super().__init__(model=model, args=args, train_dataset=rows, processing_class=base.tokenizer, callbacks=[watch])
        self.remove_callback(PrinterCallback)
        start_in_float32(model)

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def start_in_float32(model: PeftModel) -> None:
    """Begin exactly where the reference is. TRL makes QLoRA's matrices bfloat16, which loses small steps."""
    for name, parameter in model.named_parameters():
        if f".{TUNED}." in name:
            reference = model.get_parameter(name.replace(f".{TUNED}.", f".{REFERENCE}."))
            reference.data = reference.data.float()
            parameter.data = reference.data.clone()
