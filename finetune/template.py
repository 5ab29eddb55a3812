"""Chat templates: how a conversation becomes the text that a model was trained to continue.

Our own for the two models that deskmate ships or recommends, a checked one for any other. The template is put into
the tokenizer, so that training (TRL), serving and exports use the same bytes. Knows nothing of prompts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Turn(TypedDict):
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A Jinja chat template and the special tokens that end an answer, the one that training teaches first."""

    name: str
    jinja: str
    stops: tuple[str, ...]


CHATML = ChatTemplate(
    "chatml",
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    ("<|im_end|>", "<|im_start|>", "<|endoftext|>"),
)
"""SmolLM2's format without the default system turn, which would present the help desk as SmolLM by Hugging Face."""

MISTRAL = ChatTemplate(
    "mistral-v3",
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + '[/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}",
    ("</s>", "[INST]"),
)
"""Mistral-Instruct's v3 format (mistral-common, tokenizer v3): a space after `[INST]` and `[/INST]`, no other."""


def adopt_template(tokenizer: "PreTrainedTokenizerBase", name: str) -> ChatTemplate:
    """Choose the template for a tokenizer, check it, and make it the tokenizer's own.

    Args:
        tokenizer: as loaded; its `chat_template` is replaced.
        name: the model's name for error messages.

    Raises:
        DeskmateError: when the model has no template, or one that cannot hold user and assistant turns.
    """
    template = _choose(tokenizer, name)
    tokenizer.chat_template = template.jinja
    _check(tokenizer, name)
    if template.stops[:1] != (ending := _ending(tokenizer)):
        template = replace(template, stops=tuple(dict.fromkeys((*ending, *template.stops))))
    return template


def render(tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn], completion: str | None = None) -> str:
    """Render a conversation that ends with a user's turn as the text before the answer, or with the answer.

    Control tokens that the turns spell out are broken up first: a document that contains `<|im_end|>` must not be
    able to end the user's turn.

    Args:
        tokenizer: one that `adopt_template` has seen.
        turns: user and assistant turns in turn.
        completion: the answer; `render(turns)` is then a prefix of the result, which ends with the stop token.
    """
    pattern = _control_pattern(tokenizer)
    clean = [Turn(role=turn["role"], content=_defuse(pattern, turn["content"])) for turn in turns]
    prompt = _apply(tokenizer, clean, prompting=True)
    if completion is None:
        return prompt
    full = _apply(tokenizer, [*clean, Turn(role="assistant", content=_defuse(pattern, completion))], prompting=False)
    return full.rstrip("\n")  # ChatML ends a turn with a newline that the model never writes: generation has stopped


def encode(tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn]) -> list[int]:
    """Token ids of `render(turns)`: what the model reads before it answers."""
    return _ids(tokenizer, render(tokenizer, turns))


def encode_completion(tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn], completion: str) -> list[int]:
    """Token ids of the answer and its stop token, to follow `encode(turns)`: what training takes the loss on.

    Encoded apart from the prompt, as generation does it, so the prompt's ids are a prefix whatever BPE merges.
    """
    prompt = render(tokenizer, turns)
    return _ids(tokenizer, render(tokenizer, turns, completion)[len(prompt) :])


def stop_ids(tokenizer: "PreTrainedTokenizerBase", template: ChatTemplate) -> frozenset[int]:
    """Ids of the tokens that end an answer."""
    vocabulary = tokenizer.get_vocab()
    ids = {vocabulary[stop] for stop in template.stops if stop in vocabulary}
    if isinstance(tokenizer.eos_token_id, int):
        ids.add(tokenizer.eos_token_id)
    return frozenset(ids)


def _choose(tokenizer: "PreTrainedTokenizerBase", name: str) -> ChatTemplate:
    vocabulary = tokenizer.get_vocab()
    theirs = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else None
    # Mistral's later tokenizers have a system token and no space after [INST]; v1 has no [INST] token at all.
    if "[INST]" in vocabulary and "[SYSTEM_PROMPT]" not in vocabulary:
        return MISTRAL
    if "<|im_start|>" in vocabulary and (theirs is None or "SmolLM" in theirs or theirs == CHATML.jinja):
        return CHATML
    if theirs is None:
        raise DeskmateError(f"the model {name} has no chat template; choose one that is tuned to follow instructions")
    return ChatTemplate("the tokenizer's own", theirs, (str(tokenizer.eos_token),) if tokenizer.eos_token else ())


def _check(tokenizer: "PreTrainedTokenizerBase", name: str) -> None:
    """Render a conversation of three turns and see that nothing is lost and the prompt is a prefix."""
    from jinja2 import TemplateError

    turns = [Turn(role="user", content="Qa"), Turn(role="assistant", content="Ab"), Turn(role="user", content="Qc")]
    try:
        for history in (turns[:1], turns):
            prompt, full = render(tokenizer, history), render(tokenizer, history, "Ad")
            problem = (
                "drops a turn"
                if not all(turn["content"] in prompt for turn in history)
                else "does not render the prompt as the beginning of prompt and answer"
                if not full.startswith(prompt) or "Ad" not in full[len(prompt) :]
                else ""
            )
            if problem:
                raise DeskmateError(f"the chat template of {name} {problem}; choose another model")
    except (TemplateError, ValueError, TypeError) as error:
        raise DeskmateError(f"the chat template of {name} fails on user and assistant turns ({error})") from error


def _ending(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    """The control token that ends a rendered answer, which need not be the tokenizer's end of text (Gemma's is not)."""
    last = encode_completion(tokenizer, [Turn(role="user", content="Qa")], "Ad")[-1]
    token = tokenizer.added_tokens_decoder.get(last)
    return (str(token),) if token is not None else ()


def _apply(tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Turn], prompting: bool) -> str:
    messages = [{"role": str(turn["role"]), "content": turn["content"]} for turn in turns]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompting))


def _ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _control_pattern(tokenizer: "PreTrainedTokenizerBase") -> re.Pattern[str]:
    tokens = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    tokens.update(tokenizer.all_special_tokens)
    longest_first = sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _defuse(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
