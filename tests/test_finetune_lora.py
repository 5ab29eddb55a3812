"""What an adapter's two files may claim, and what is refused before anything parses them."""

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import save

from finetune.adapters.lora import key, read_lora
from ingest.errors import DeskmateError

CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, "bias": "none", "use_dora": False, "modules_to_save": None}


def config(**values):
    return json.dumps(CONFIG | values).encode()


def tensors(**more):
    plain = {key("layers.0.q_proj", "A"): (2, 6), key("layers.0.q_proj", "B"): (5, 2)} | more
    return save({name: np.ones(shape, np.float32) for name, shape in plain.items() if shape})


def test_a_plain_lora_is_read():
    lora = read_lora(config(), tensors())
    assert (lora.rank, lora.scale, lora.modules) == (2, 4.0, {"layers.0.q_proj": (5, 6)})
    assert read_lora(config(use_rslora=True), tensors()).scale == pytest.approx(8 / 2**0.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"\xff", "no configuration of PEFT"),
        (b"{}", "no configuration of PEFT"),
        (b"[1]", "no configuration of PEFT"),
        (config(peft_type="IA3"), "type 'IA3'"),
        (config(use_dora=True, modules_to_save=["lm_head"]), "use_dora, modules_to_save"),
        (config(bias="all"), "uses bias"),
        (config(rank_pattern={"q": 4}), "rank_pattern"),
        (config(r="2"), "r = '2'"),
        (config(r=0), "r = 0"),
        (config(lora_alpha=float("nan")), "lora_alpha = nan"),
        (config(r=3), "has rank 2, adapter_config.json says 3"),
    ],
)
def test_a_configuration_that_is_no_plain_loras_is_refused(given, said):
    with pytest.raises(DeskmateError, match=said):
        read_lora(given, tensors())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pickle.dumps({"a": 1}), "a pickle under another name"),
        (b"PK\x03\x04 as torch.save writes it", "a pickle under another name"),
        (b"", "no safetensors file"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00not a header....", "no safetensors file"),
        (b"\xff" * 16, "no safetensors file"),
        (tensors()[:-3], "no safetensors file"),
        (tensors(**{"lm_head.weight": (3, 3)}), "lm_head.weight is no part"),
        (tensors(**{key("layers.0.q_proj", "B"): (5, 2, 1)}), "is no part"),
        (tensors(**{key("layers.0.q_proj", "B"): None}), "only half"),
        (tensors(**{key("layers.0.q_proj", "B"): (5, 3)}), "has rank 3"),
        (save({}), "no tensors"),
    ],
)
def test_weights_that_are_no_plain_loras_are_refused(given, said):
    with pytest.raises(DeskmateError, match=said):
        read_lora(config(), given)
