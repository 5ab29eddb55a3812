"""Models and tokenizers small enough to be made inside a test: two layers, 16 dimensions, a few hundred tokens."""

import json

from finetune.model import LoadedBase
from finetune.template import adopt_template

TEXT = [
    "To reset your password, open the portal and choose Forgot password. Then call the service desk.",
    "Annual leave is 25 days. Carry over at most 5 days, and book them before 31 March.",
    "user assistant Question: Passage 1, from it/vpn.md: Answer the employee's question. Übung 😀 naïve café",
]


def byte_tokenizer(specials=("<|endoftext|>", "<|im_start|>", "<|im_end|>"), vocab=400):
    """A byte-level BPE like SmolLM2's, with ChatML's control tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=specials[-1], pad_token=specials[-1])


def mistral_tokenizer(vocab=400):
    """A BPE over words that begin with ▁, like Mistral's v3, with its control tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    strip = decoders.Strip(content=" ", left=1)
    replace = decoders.Replace("▁", " ")
    tokenizer.decoder = decoders.Sequence([replace, decoders.ByteFallback(), decoders.Fuse(), strip])
    trainer = trainers.BpeTrainer(vocab_size=vocab + 256, special_tokens=[*specials, *byte_tokens], show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    state = json.loads(tokenizer.to_str())  # the trainer knows bytes as special tokens only; in Mistral's they aren't
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in specials]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def tiny_model(vocab, seed=0, context=512, family="llama", width=16):
    """A random decoder in float32. Wide weights make its choices varied instead of one token over and over."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    torch.manual_seed(seed)
    kinds = {"llama": (LlamaForCausalLM, LlamaConfig), "mistral": (MistralForCausalLM, MistralConfig)}
    kind, config_kind = kinds[family]
    config = config_kind(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.6,
        pad_token_id=0,
    )
    if family == "mistral":
        config.sliding_window = None
    return kind(config).eval()


def tiny_base(seed=0, context=512):
    """A random model with a byte-level tokenizer and our ChatML template, as `load_base` would give it."""
    tokenizer = byte_tokenizer()
    template = adopt_template(tokenizer, "tiny")
    return LoadedBase("tiny", tiny_model(len(tokenizer), seed, context), tokenizer, template)
