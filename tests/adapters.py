"""Small adapters for tests: made by PEFT on the tiny models, published with a card."""

from finetune.adapters.adapter import identity
from finetune.adapters.card import Card
from finetune.adapters.registry import Registry


def save_lora(model, folder, seed=0, size=0.3, **options):
    """Save a random LoRA for a copy of `model` as PEFT saves it, and return the logits function of PEFT's own model."""
    import copy
    import warnings

    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT 0.21 calls what transformers is about to rename
        tuned = get_peft_model(copy.deepcopy(model), LoraConfig(**settings)).eval()
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=size) if size else torch.nn.init.zeros_(parameter)
    tuned.save_pretrained(folder)
    return tuned


def card_of(base, access=(("everyone",),), documents=None, **more):
    """A card as training would give it."""
    return Card(base.name, identity(base.model), "data", "prompt", documents or {}, access, **more)


def publish(root, base, name="house", seed=0, size=0.3, access=(("everyone",),), documents=None, **options):
    """Publish a random adapter for `base` in the registry `root`; returns it with PEFT's own model."""
    source = root / f".source-{name}-{seed}"
    tuned = save_lora(base.model, source, seed, size, **options)
    return Registry(root).publish(name, source, card_of(base, access, documents)), tuned


def bare(root, name="house", access=(("everyone",),), documents=None, identity="none"):
    """Publish a few numbers as an adapter of no base, for what looks at cards alone."""
    import json

    import numpy as np
    from safetensors.numpy import save_file

    source = root / ".source"
    source.mkdir(parents=True, exist_ok=True)
    (source / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 1}))
    tensors = {f"base_model.model.m.lora_{part}.weight": np.ones((1, 1), np.float32) for part in "AB"}
    save_file(tensors, source / "adapter_model.safetensors")
    card = Card("tiny", identity, "data", "prompt", documents or {}, access)
    return Registry(root).publish(name, source, card)
