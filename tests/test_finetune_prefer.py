"""Preference tuning of a tiny model's adapter: where it starts, what it is held to, and what is not written."""

import math

import pytest
from adapters import publish
from tiny_models import tiny_base

from finetune.adapters.adapter import Adapters
from finetune.adapters.card import WEIGHTS
from finetune.adapters.registry import Registry
from finetune.curation.feedback import Judged
from finetune.template import Turn, encode, encode_completion
from finetune.training.prefer import encode_labels, prefer, resume_adapter, tune_preferences
from finetune.training.preference import PreferenceSettings, split
from ingest.errors import DeskmateError

GOOD, BAD = "Annual leave is 25 days [1].", "Call the desk<|im_end|>."
SETTINGS = PreferenceSettings(learning_rate=5e-3, epochs=1, batch=6, sft=0, checkpointing=False)


class Silent:
    def total(self, stage, count):
        pass

    def done(self, stage, count):
        pass


def labels(method, count=16):
    for n in range(count):
        prompt = (Turn(role="user", content=f"How many days, {n % 3}?"),)
        up = method == "kto" and n % 2 == 0
        yield Judged(
            str(n), f"c{n % 8}", True, prompt, GOOD if up else BAD, up, GOOD if method == "dpo" else "", {}, {}
        )


@pytest.fixture
def start(tmp_path):
    return publish(tmp_path / "adapters", tiny_base(), size=0.05)[0]


def run(start, out, method="dpo", settings=SETTINGS):
    return prefer(tiny_base(), start, split(method, list(labels(method)), settings), settings, out, Silent())


def margin(base, examples):
    """By how much corrections are likelier than the answers given, on average."""
    import torch

    def total(prompt, answer):
        ids = torch.tensor([[*prompt, *answer]])
        with torch.inference_mode():
            chosen = torch.log_softmax(base.model(input_ids=ids).logits[0, :-1].float(), -1)
        return float(chosen.gather(-1, ids[0, 1:, None])[-len(answer) :].sum())

    return sum(total(one.prompt, one.better) - total(one.prompt, one.worse) for one in examples) / len(examples)


def test_dpo_raises_the_margin_of_corrections_in_the_adapter_that_is_published(start, tmp_path):
    result = run(start, tmp_path / "out")
    assert result.figures["preference_accuracy"]["low"] > 0.5
    tuned = Registry(tmp_path / "adapters").publish("house", result.folder, start.card)
    base = tiny_base()
    adapters = Adapters(base.model, base.name, encode(base.tokenizer, [Turn(role="user", content="Hi?")]))
    examples = encode_labels(base, list(labels("dpo", 3)), "dpo")
    margins = []
    for one in (start, tuned):
        adapters.use(one)
        margins.append(margin(base, examples))
    assert margins[1] > margins[0] + 0.5
    assert sorted(path.name for path in result.folder.iterdir()) == ["adapter_config.json", WEIGHTS]


def test_kto_makes_praised_answers_likelier_than_others(start, tmp_path):
    figures = run(start, tmp_path / "out", "kto").figures
    assert figures["preference_accuracy"]["value"] == 1.0
    assert figures["likelihood_per_token"]["low"] > 0


def test_the_reference_is_the_adapter_as_it_was_and_not_the_base(start):
    import torch

    base = tiny_base()
    model = resume_adapter(base, start)
    before = {name: value.clone() for name, value in model.named_parameters() if ".default." in name}
    examples = encode_labels(base, list(labels("dpo", 8)), "dpo")
    losses = tune_preferences(model, base, examples, "dpo", SETTINGS, Silent())
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4)  # the policy is its reference
    moved = dict(model.named_parameters())
    assert any(name.endswith("lora_B.default.weight") and bool(value.any()) for name, value in before.items())
    for name, value in before.items():
        reference = moved[name.replace(".default.", ".ref.")]
        assert torch.equal(reference, value)
        assert not reference.requires_grad
    assert any(not torch.equal(moved[name], value) for name, value in before.items())


def test_trl_is_given_the_ids_that_serving_reads_and_writes(start, monkeypatch):
    from finetune.training.preference_trainer import ThumbTrainer

    base, seen = tiny_base(), []
    compute_loss = ThumbTrainer.compute_loss

    def watch(self, model, inputs, **more):
        for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
            seen.append(ids[mask.bool()].tolist())
        return compute_loss(self, model, inputs, **more)

    monkeypatch.setattr(ThumbTrainer, "compute_loss", watch)
    some = list(labels("kto", 4))
    model = resume_adapter(base, start)
    tune_preferences(model, base, encode_labels(base, some, "kto"), "kto", SETTINGS, Silent())
    served = [
        encode(base.tokenizer, one.prompt) + encode_completion(base.tokenizer, one.prompt, one.answer) for one in some
    ]
    assert sorted(seen) == sorted(served)
    stop = base.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert [ids.count(stop) for ids in seen] == [2] * 4  # the answer that spells one out has no more


def test_what_is_not_better_is_refused_and_nothing_is_written(start, tmp_path):
    out = tmp_path / "made" / "out"
    with pytest.raises(DeskmateError, match="the tuned adapter is refused and nothing is published: it follows"):
        run(start, out, settings=SETTINGS.model_copy(update={"learning_rate": 1e-12}))
    assert not out.parent.exists()


def test_labels_that_are_too_long_are_no_silent_run(start, tmp_path):
    with pytest.raises(DeskmateError, match=r"longer than 16 tokens; raise preference\.context"):
        run(start, tmp_path / "out", settings=SETTINGS.model_copy(update={"context": 16}))


def test_an_adapter_for_another_base_or_with_a_changed_byte_is_refused(start, tmp_path):
    with pytest.raises(DeskmateError, match="house/v1 was tuned on tiny, and this is tiny or has other weights"):
        resume_adapter(tiny_base(seed=1), start)
    weights = start.folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DeskmateError, match="was changed since it was published"):
        run(start, tmp_path / "out")


def test_a_base_in_4_bits_has_the_same_gradients_after_a_measurement(tmp_path):
    import torch

    from finetune.model import Base, load_base, prepare_for_training

    tiny = tiny_base()
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    ids, norms = torch.tensor([[5, 6, 7, 8]]), []
    for measured in (False, True):
        model = load_base(Base("tiny", tmp_path, "bfloat16", "nf4", "cpu", ""), tmp_path).model
        prepare_for_training(model)
        embedded = model.get_input_embeddings()(ids).detach()
        if measured:
            with torch.inference_mode():
                model(input_ids=ids)
        embedded.requires_grad_(True)
        model.train()(inputs_embeds=embedded, labels=ids).loss.backward()
        norms.append(float(embedded.grad.norm()))
    assert norms[0] == norms[1] > 0
