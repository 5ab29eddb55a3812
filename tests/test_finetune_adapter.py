"""Adapters on one base: what PEFT computes, switched both ways, and refused when they do not fit or do nothing."""

import json
import warnings

import pytest
import torch
from adapters import card_of, publish, save_lora
from safetensors.torch import load_file, save_file
from tiny_models import tiny_base, tiny_model

from finetune.adapters.adapter import READY, Adapters, Copies, Layers, identity, merge_into
from finetune.adapters.export import export_merged, export_peft
from finetune.adapters.registry import Registry
from finetune.model import Base, LoadedBase
from ingest.errors import DeskmateError

PROBE = list(range(3, 15))


@pytest.fixture
def base():
    return tiny_base()


@pytest.fixture(params=[Copies, Layers])
def adapters(request, base):
    return Adapters(base.model, base.name, PROBE, request.param)


def logits(model):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([PROBE])).logits


@pytest.mark.parametrize("options", [{}, {"use_rslora": True, "lora_alpha": 3}, {"target_modules": ["v_proj"]}])
def test_an_adapter_computes_what_peft_computes_and_the_base_comes_back_bit_by_bit(adapters, base, tmp_path, options):
    before = logits(base.model)
    adapter, tuned = publish(tmp_path, base, **options)
    assert adapters.use(adapter)
    assert not adapters.use(adapter)
    torch.testing.assert_close(logits(base.model), logits(tuned), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(logits(base.model), before, atol=1e-2)
    assert adapters.use(None)
    assert torch.equal(logits(base.model), before)


def test_adapters_are_switched_without_loading_anything_again(adapters, base, tmp_path, monkeypatch):
    before = logits(base.model)
    pairs = [
        publish(tmp_path, tiny_base(), seed=seed, target_modules=["q_proj", "down_proj"][seed:]) for seed in (0, 1)
    ]
    expected = [before, *(logits(tuned) for _, tuned in pairs)]
    order = [None, pairs[0][0], pairs[1][0]]
    for one in order:
        adapters.use(one)
    monkeypatch.setattr("finetune.adapters.card.Adapter.read", lambda *_: pytest.fail("read again"))
    for n in (1, 2, 0, 2, 1, 0, 1):
        adapters.use(order[n])
        torch.testing.assert_close(logits(base.model), expected[n], atol=1e-4, rtol=1e-4)


def test_the_one_used_longest_ago_is_forgotten_and_may_come_back(adapters, base, tmp_path):
    pairs = [publish(tmp_path, base, seed=seed) for seed in range(READY + 1)]
    for adapter, tuned in [*pairs, pairs[0]]:
        adapters.use(adapter)
        torch.testing.assert_close(logits(base.model), logits(tuned), atol=1e-4, rtol=1e-4)
    assert len(adapters._ready) == READY


def test_copies_are_rounded_once_to_the_type_of_the_base(base, tmp_path):
    base.model.to(torch.bfloat16)
    adapter, tuned = publish(tmp_path, base)
    Adapters(base.model, base.name, PROBE, Copies).use(adapter)
    layer = base.model.model.layers[0].mlp.up_proj
    theirs = tuned.base_model.model.model.layers[0].mlp.up_proj
    exact = theirs.base_layer.weight.float() + theirs.get_delta_weight("default").float()
    assert layer.weight.dtype == torch.bfloat16
    assert torch.equal(layer.weight, exact.to(torch.bfloat16))


# Refused


def test_an_inert_adapter_is_refused_and_leaves_the_base_as_it_was(adapters, base, tmp_path):
    before = logits(base.model)
    good, tuned = publish(tmp_path, base)
    inert, _ = publish(tmp_path, base, seed=1, size=0)
    adapters.use(good)
    with pytest.raises(DeskmateError, match="house/v2 is inert"):
        adapters.use(inert)
    assert torch.equal(logits(base.model), before)
    adapters.use(good)
    torch.testing.assert_close(logits(base.model), logits(tuned), atol=1e-4, rtol=1e-4)


def test_an_adapter_of_numbers_that_are_not_finite_is_refused(adapters, base, tmp_path):
    adapter, _ = publish(tmp_path, base, size=float("inf"))
    with pytest.raises(DeskmateError, match="not finite"):
        adapters.use(adapter)


def test_an_adapter_for_another_base_is_refused_by_what_the_base_is(adapters, base, tmp_path):
    other = tiny_base(seed=1)
    adapter, _ = publish(tmp_path, other)
    with pytest.raises(DeskmateError, match="the model of that name here has other weights"):
        adapters.use(adapter)
    renamed = LoadedBase("mistral", tiny_base().model, base.tokenizer, base.template)
    adapters.use(publish(tmp_path, renamed, seed=2)[0])  # a name is but a name
    wide = LoadedBase("wide", tiny_model(len(base.tokenizer), width=32), base.tokenizer, base.template)
    with pytest.raises(DeskmateError, match=r"was tuned on wide, and this is tiny; set model\.base"):
        adapters.use(publish(tmp_path, wide, seed=3)[0])


def test_an_adapter_that_does_not_fit_in_shape_is_refused_even_when_its_card_says_it_does(adapters, base, tmp_path):
    card = card_of(base)
    save_lora(tiny_model(len(base.tokenizer), width=32), tmp_path / "wide")
    wide = Registry(tmp_path).publish("wide", tmp_path / "wide", card)
    with pytest.raises(DeskmateError, match=r"is \d+ x \d+ in the base and \d+ x \d+ in the adapter"):
        adapters.use(wide)
    save_lora(base.model, tmp_path / "deep")
    file = tmp_path / "deep" / "adapter_model.safetensors"
    save_file({name.replace("layers.1", "layers.7"): tensor for name, tensor in load_file(file).items()}, file)
    deep = Registry(tmp_path).publish("deep", tmp_path / "deep", card)
    with pytest.raises(DeskmateError, match=r"the base has no linear layer model\.layers\.7"):
        adapters.use(deep)


def test_a_flipped_byte_is_noticed_before_anything_parses_the_weights(adapters, base, tmp_path, monkeypatch):
    adapter, _ = publish(tmp_path, base)
    path = adapter.folder / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr("finetune.adapters.adapter.read_lora", lambda *_: pytest.fail("parsed"))
    with pytest.raises(DeskmateError, match=r"adapter_model\.safetensors was changed since it was published"):
        adapters.use(adapter)


def test_a_switch_that_is_interrupted_is_done_again(base, tmp_path, monkeypatch):
    adapters = Adapters(base.model, base.name, PROBE, Copies)
    before = logits(base.model)
    adapter, _ = publish(tmp_path, base)
    adapters.use(adapter)
    calls = []

    def interrupted(model, name):
        calls.append(name)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return model.get_submodule(name)

    monkeypatch.setattr("finetune.adapters.adapter._linear", interrupted)
    with pytest.raises(KeyboardInterrupt):
        adapters.use(None)
    adapters.use(None)
    assert torch.equal(logits(base.model), before)


# Identity


def test_identity_is_of_the_weights_whatever_their_type_or_peft_around_them(base, tmp_path):
    plain = identity(base.model)
    assert plain == identity(tiny_base().model)
    assert plain != identity(tiny_base(seed=1).model)
    assert identity(save_lora(base.model, tmp_path)) == plain
    assert identity(tiny_base().model.to(torch.bfloat16)) == plain


# Exports


def test_the_exported_folder_is_what_peft_loads(base, tmp_path):
    from peft import PeftModel

    adapter, tuned = publish(tmp_path / "adapters", base)
    export_peft(adapter, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT 0.21 calls what transformers is about to rename
        loaded = PeftModel.from_pretrained(tiny_base().model, tmp_path / "out")
    assert torch.equal(logits(loaded), logits(tuned))
    with pytest.raises(DeskmateError, match="is there already"):
        export_peft(adapter, tmp_path / "out")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_merged_model_is_what_transformers_loads_in_the_bases_type(base, tmp_path, dtype):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, out = tmp_path / "base", tmp_path / "out"
    base.model.to(getattr(torch, dtype)).save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    adapter, _ = publish(tmp_path / "adapters", base)
    served = Adapters(base.model, base.name, PROBE, Copies)
    served.use(adapter)
    other = "bfloat16" if dtype == "float32" else "float32"

    export_merged(adapter, out, Base("tiny", folder, other, "nf4", "cpu", ""), tmp_path)

    merged = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    assert merged.dtype == getattr(torch, dtype)
    for name, weight in base.model.state_dict().items():
        assert torch.equal(merged.state_dict()[name], weight), name
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.chat_template == base.tokenizer.chat_template
    assert not [path.name for path in out.iterdir() if path.suffix in (".bin", ".pt")]
    assert "# house/v1" in (out / "README.md").read_text()


def test_an_export_that_fails_leaves_nothing(base, tmp_path):
    adapter, _ = publish(tmp_path / "adapters", base)
    config = json.loads(adapter.read("adapter_config.json"))
    (adapter.folder / "adapter_config.json").write_text(json.dumps(config | {"r": 5}))
    with pytest.raises(DeskmateError, match="was changed"):
        export_peft(adapter, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapters"]


def test_merging_checks_the_base(base, tmp_path):
    adapter, _ = publish(tmp_path, base)
    with pytest.raises(DeskmateError, match="other weights"):
        merge_into(tiny_base(seed=1).model, "tiny", adapter)
