"""The model in this process: the same tokens by every road, whole characters, prompt ends."""

import json
import threading

import pytest
from adapters import publish
from tiny_models import byte_tokenizer, mistral_tokenizer, tiny_base, tiny_model

from app.models.decode import DRAFT_TOKENS, Decoder, Lookup, Written, common_prefix
from app.models.local import LocalModel, Pieces
from finetune.model import load_base, pick_base
from finetune.settings import ModelSettings
from finetune.template import encode
from ingest.errors import DeskmateError

HEAD = "Answer the employee's question. "
QUESTIONS = [
    "reset password",
    "annual leave 25 days, carry over at most 5 days",
    "call",
    "To reset your password, open the portal and choose Forgot password. Then call the service desk. Then?",
    "café 😀",
]


def ask(text):
    return [{"role": "user", "content": HEAD + text}]


@pytest.fixture(scope="module")
def base():
    return tiny_base()


@pytest.fixture
def model(base):
    model = LocalModel(ModelSettings(base="tiny"), None, load=lambda *_: base)
    model.base = None  # picking would look for weights on disk
    return model


def by_transformers(model, prompt, count):
    import torch

    with torch.inference_mode():
        ids = torch.tensor([prompt])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, eos_token_id=None
        )
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", ["llama", "mistral"])
@pytest.mark.parametrize("draft", [0, DRAFT_TOKENS])
def test_streaming_and_batches_give_the_tokens_of_transformers(seed, family, draft):
    base = tiny_base()
    model = tiny_model(len(base.tokenizer), seed, family=family)
    prompts = [encode(base.tokenizer, ask(question)) for question in QUESTIONS]
    decoder = Decoder(model, frozenset(), draft)

    streamed = [list(decoder.stream(prompt, 40)) for prompt in prompts]

    for prompt, tokens in zip(prompts, streamed, strict=True):
        assert tokens == by_transformers(model, prompt, 40)[: len(tokens)]
    for size in (1, 2, 8):
        assert Decoder(model, frozenset(), draft).batch(prompts, 40, size) == streamed


@pytest.mark.parametrize("seed", range(3))
def test_kept_keys_and_values_change_no_token(seed):
    base = tiny_base(seed)
    warm = Decoder(base.model, frozenset())
    history = []
    for question in (*QUESTIONS, *QUESTIONS):  # the second round finds every prompt known but for its last token
        history = [*history[-4:], *ask(question)]
        prompt = encode(base.tokenizer, history)
        cold = list(Decoder(base.model, frozenset()).stream(prompt, 24))
        assert list(warm.stream(prompt, 24)) == cold
        history.append({"role": "assistant", "content": base.tokenizer.decode(cold, skip_special_tokens=True)})
    assert len(warm._kept) > 1


def test_prefix_reuse_reads_only_what_is_new(base, monkeypatch):
    decoder = Decoder(base.model, frozenset())
    read = []
    monkeypatch.setattr(
        decoder, "_read", lambda session, ids, last: read.append(len(ids)) or Decoder._read(decoder, session, ids, last)
    )
    first, second = (encode(base.tokenizer, ask(question)) for question in QUESTIONS[:2])
    list(decoder.stream(first, 1))
    list(decoder.stream(second, 1))
    list(decoder.stream(second, 1))

    assert read == [len(first), len(second) - common_prefix(first, second), 1]


def test_memory_of_kept_prompts_is_bounded(base, monkeypatch):
    monkeypatch.setattr("app.models.decode.KEPT_TOKENS", 200)
    decoder = Decoder(base.model, frozenset())
    for start in range(10):
        list(decoder.stream(list(range(start, start + 60)), 2))

    assert sum(len(kept.ids) for kept in decoder._kept) <= 200


def test_batch_without_a_common_beginning(base):
    prompts = [[5, 6, 7], [9], [11, 12, 13, 14, 15, 16, 17]]
    expected = [list(Decoder(base.model, frozenset()).stream(prompt, 12)) for prompt in prompts]

    assert Decoder(base.model, frozenset()).batch(prompts, 12, 3) == expected


def test_batch_rows_end_at_their_own_stop_tokens(base):
    prompts = [encode(base.tokenizer, ask(question)) for question in QUESTIONS]
    free = [list(Decoder(base.model, frozenset()).stream(prompt, 20)) for prompt in prompts]
    stops = frozenset({free[0][3], free[1][7]})
    expected = [list(Decoder(base.model, stops).stream(prompt, 20)) for prompt in prompts]

    assert Decoder(base.model, stops).batch(prompts, 20, 5) == expected
    assert len({len(tokens) for tokens in expected}) > 1
    assert not any(stop in tokens for stop in stops for tokens in expected)


def test_batches_of_nothing(model):
    assert model.generate_batch([], 10) == []
    assert [c.completion_tokens for c in model.generate_batch([ask("a")], 0)] == [0]


def test_stream_text_and_counts_equal_the_batch(model):
    for question, whole in zip(QUESTIONS, model.generate_batch([ask(q) for q in QUESTIONS], 30), strict=True):
        deltas = list(model.stream(ask(question), 30))
        assert "".join(delta.text for delta in deltas) == whole.text
        assert (deltas[-1].prompt_tokens, deltas[-1].completion_tokens) == (
            whole.prompt_tokens,
            whole.completion_tokens,
        )
        counts = [delta.completion_tokens for delta in deltas]
        assert counts == sorted(counts)


def test_cancelling_stops_within_one_token(model):
    cancel = threading.Event()
    seen = 0
    for delta in model.stream(ask("leave"), 200, cancel):
        seen = delta.completion_tokens
        cancel.set()
    assert seen <= 3  # one piece, which may take up to the tokens of one character

    assert list(model.stream(ask("leave"), 10, cancel)) == []


def test_closing_the_stream_frees_the_model(model):
    stream = model.stream(ask("leave"), 200)
    next(stream)
    assert model._lock.locked()
    stream.close()
    assert not model._lock.locked()
    assert list(model.stream(ask("leave"), 5))


def test_two_threads_get_the_answers_that_one_gets(model):
    expected = {question: "".join(d.text for d in model.stream(ask(question), 25)) for question in QUESTIONS}
    got = {}

    def work(question):
        got[question] = "".join(delta.text for delta in model.stream(ask(question), 25))

    threads = [threading.Thread(target=work, args=(question,)) for question in QUESTIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected


def test_waiting_for_a_busy_model_can_be_cancelled(model):
    stream = model.stream(ask("leave"), 200)
    next(stream)
    cancel = threading.Event()
    timer = threading.Timer(0.1, cancel.set)
    timer.start()
    assert list(model.stream(ask("leave"), 5, cancel)) == []
    stream.close()


def test_an_interrupted_pass_leaves_nothing_wrong_behind(base, monkeypatch):
    decoder = Decoder(base.model, frozenset())
    prompt = encode(base.tokenizer, ask("leave"))
    expected = list(decoder.stream(prompt, 20))
    layer = base.model.model.layers[1]
    forward = layer.forward

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(layer, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(decoder.stream([*prompt, 7], 20))
    monkeypatch.setattr(layer, "forward", forward)

    assert all(kept.whole for kept in decoder._kept)
    assert list(decoder.stream(prompt, 20)) == expected


def test_a_prompt_longer_than_the_context_is_refused_with_counts():
    base = tiny_base(context=32)
    model = LocalModel(ModelSettings(base="tiny"), None, load=lambda *_: base)
    model.base = None
    count = len(encode(base.tokenizer, ask("leave " * 40)))

    with pytest.raises(DeskmateError, match=f"{count} tokens and tiny reads 32"):
        list(model.stream(ask("leave " * 40), 10))
    with pytest.raises(DeskmateError, match="reads 32"):
        model.generate_batch([ask("leave " * 40)], 10)
    assert not model._lock.locked()


def test_an_answer_never_outgrows_the_context():
    base = tiny_base(context=64)
    model = LocalModel(ModelSettings(base="tiny"), None, load=lambda *_: base)
    model.base = None
    last = list(model.stream(ask("a"), 500))[-1]

    assert last.prompt_tokens + last.completion_tokens <= 64


def test_values_that_are_not_finite_are_an_error():
    import torch

    base = tiny_base()
    with torch.no_grad():
        base.model.model.norm.weight.fill_(float("nan"))
    decoder = Decoder(base.model, frozenset())

    with pytest.raises(DeskmateError, match="not finite"):
        list(decoder.stream([1, 2, 3], 5))
    with pytest.raises(DeskmateError, match="not finite"):
        decoder.batch([[1, 2, 3]], 5, 1)


def test_a_looping_answer_is_ended():
    written = Written(frozenset(), 500)
    sentence = list(range(20))
    for token in sentence * 20:
        written.add(token)
        if written.ended:
            break

    assert len(written.ids) == 2 * 20 + 12


def test_lists_and_repeated_words_are_no_loop():
    written = Written(frozenset(), 500)
    for step in range(20):  # twenty steps that begin alike and differ after ten tokens
        for token in (*range(10), 100 + step, 200 + step):
            written.add(token)

    assert not written.ended


def test_lookup_guesses_what_followed_before():
    lookup = Lookup([1, 2, 3, 4, 5, 9, 2, 3])
    assert lookup.guess(3) == [4, 5, 9]
    lookup.add(7)
    assert lookup.guess(3) == []
    assert Lookup([1]).guess(3) == []


@pytest.mark.parametrize("make", [byte_tokenizer, mistral_tokenizer])
@pytest.mark.parametrize("text", ["naïve café", "😀 Übung 👩‍🚒!", "日本語のテスト", "plain words, and\n  spaces"])
def test_pieces_are_whole_characters_and_add_up(make, text):
    tokenizer = make()
    pieces = Pieces(tokenizer)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    parts = [pieces.add(token) for token in ids] + [pieces.rest()]

    assert not any("\ufffd" in part for part in parts)
    assert "".join(parts) == tokenizer.decode(ids)
    assert len([part for part in parts if part]) > 1


def test_half_a_character_at_the_end_is_dropped():
    tokenizer = byte_tokenizer()
    ids = tokenizer("ok 日", add_special_tokens=False)["input_ids"]
    pieces = Pieces(tokenizer)
    text = "".join(pieces.add(token) for token in ids[:-1]) + pieces.rest()

    assert text == "ok "


@pytest.fixture(scope="module")
def smollm2(models):
    return load_base(pick_base(ModelSettings(base="SmolLM2-135M-Instruct", dtype="float32")), models)


@pytest.mark.slow
def test_smollm2_gives_the_same_tokens_by_every_road(smollm2):
    decoder = Decoder(smollm2.model, frozenset())
    passage = json.dumps("Annual leave is 25 days a year. You may carry over 5 days until 31 March. ") * 4
    prompts = [
        encode(smollm2.tokenizer, [{"role": "user", "content": f"{passage}\n\nQuestion: {question}"}])
        for question in ("How many days of leave do I get?", "Until when may I carry days over, and how many?")
    ]
    streamed = [list(decoder.stream(prompt, 24)) for prompt in prompts]

    assert Decoder(smollm2.model, frozenset()).batch(prompts, 24, 2) == streamed
    for prompt, tokens in zip(prompts, streamed, strict=True):
        assert tokens == by_transformers(smollm2.model, prompt, 24)[: len(tokens)]


# Adapters


@pytest.fixture
def pair(tmp_path):
    """A model with its base loaded once, an adapter, and what the adapter's answers are by PEFT's own model."""
    base, loads = tiny_base(), []
    adapter, tuned = publish(tmp_path, base)
    model = LocalModel(ModelSettings(base="tiny"), None, load=lambda *_: loads.append(1) or base)
    model.base = None
    expected = {
        name: [
            base.tokenizer.decode(
                by_transformers(one, encode(base.tokenizer, ask(question)), 24), skip_special_tokens=True
            )
            for question in QUESTIONS
        ]
        for name, one in (("base", tiny_base().model), ("adapter", tuned))
    }
    return model, adapter, expected, loads


def said(model, question, adapter=None, tokens=24):
    return "".join(delta.text for delta in model.stream(ask(question), tokens, None, adapter))


def test_one_resident_base_answers_with_and_without_the_adapter_in_any_order(pair):
    model, adapter, expected, loads = pair
    assert expected["base"] != expected["adapter"]
    for _ in range(2):
        for n, question in enumerate(QUESTIONS):
            for name, one in (("adapter", adapter), ("base", None)):
                text = said(model, question, one)
                assert text
                assert expected[name][n].startswith(text), (
                    "keys and values of one serve the other, or the wrong weights"
                )
    assert loads == [1]
    for name, one in (("adapter", adapter), ("base", None)):
        batch = model.generate_batch([ask(question) for question in QUESTIONS], 24, adapter=one)
        assert all(full.startswith(done.text) for full, done in zip(expected[name], batch, strict=True))


def test_a_running_answer_ends_under_the_adapter_it_began_with(pair):
    model, adapter, _, _ = pair
    whole, base = said(model, "leave", adapter, 60), said(model, "leave", None, 60)
    assert whole != base
    running = model.stream(ask("leave"), 60, None, adapter)
    text = next(running).text
    other = []
    thread = threading.Thread(target=lambda: other.append(said(model, "leave", None, 60)))
    thread.start()
    text += "".join(delta.text for delta in running)
    thread.join()
    assert (text, other) == (whole, [base])


def test_keys_and_values_are_kept_for_each_adapter_alone(pair):
    model, adapter, _, _ = pair
    said(model, "leave", adapter)
    said(model, "leave")
    assert {kept.under for kept in model._decoder._kept} == {"", adapter.checksum}


def test_an_adapter_that_is_refused_leaves_the_model_answering(pair, tmp_path):
    model, adapter, _, _ = pair
    inert, _ = publish(tmp_path, tiny_base(), "inert", size=0)
    before = said(model, "leave")
    for _ in range(2):
        with pytest.raises(DeskmateError, match="inert/v1 is inert"):
            said(model, "leave", inert)
        with pytest.raises(DeskmateError, match="inert/v1 is inert"):
            model.load(inert)
    assert said(model, "leave") == before
    assert not model._lock.locked()
    assert said(model, "leave", adapter) != before


@pytest.mark.slow
def test_smollm2_switches_adapters_in_less_than_50_ms(smollm2, tmp_path):
    import time

    from eval.bench.swap import make_adapter
    from finetune.adapters.adapter import Adapters
    from finetune.adapters.registry import Registry

    adapters = Adapters(smollm2.model, smollm2.name, list(range(20)))
    pair = [make_adapter(Registry(tmp_path), smollm2, seed) for seed in (1, 2)]
    times = []
    for one in (*pair, None, *pair, None, *pair):
        begun = time.perf_counter()
        adapters.use(one)
        times.append(time.perf_counter() - begun)
    adapters.use(None)
    assert sorted(times[2:])[len(times[2:]) // 2] < 0.05
