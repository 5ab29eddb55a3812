"""Answering measured: the desk's chat model on prompts of the real shape, one at a time and many at once.

One at a time in three ways, prompt by prompt in turn: by a model that has read nothing before, by one that keeps what
it has read (so that it reads the instructions once), and with a second question about the same passages.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from app.console import track
from app.models.llm import ChatModel
from eval.bench.search import make_texts
from finetune.prompt import PromptPassage, render_prompt
from finetune.template import Turn

if TYPE_CHECKING:
    from app.desk import Desk
    from app.models.local import LocalModel

PROMPTS = 8
PASSAGES = 3
PASSAGE_CHARS = 700
"""Three passages of this length and the instructions make about 600 tokens."""
ANSWER_TOKENS = 64
ROUNDS = 2
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer's wall times in seconds and its token counts."""

    first: float
    total: float
    prompt_tokens: int
    completion_tokens: int


def bench_generate(desk: "Desk") -> list[Row]:
    """Answer eight prompts made of passages of the index that serves, or of made-up ones.

    Returns:
        Rows with the same names: times in milliseconds, `ratio` is the time of the first row through the row's own
        (for the batch: the loop's), None where a figure does not apply. Servers and fakes get one row: what they keep
        between prompts cannot be turned off from here.
    """
    prompts, seconds = make_prompts(desk)
    if desk.settings.chat.backend != "local":
        desk.model.load()
        alone = [timed(desk.model, prompt, ANSWER_TOKENS) for prompt in track(prompts, desk.model.name)]
        return [_row(desk.model.name, alone, alone)]
    fresh = _loaded_once(desk)
    timed(fresh(), prompts[0], 4)  # the first pass ever takes longer
    keeping = fresh()
    cold, warm, again = [], [], []
    for prompt, second in zip(track(prompts, desk.model.name), seconds, strict=True):
        cold.append(timed(fresh(), prompt, ANSWER_TOKENS))
        warm.append(timed(keeping, prompt, ANSWER_TOKENS))
        again.append(timed(keeping, second, ANSWER_TOKENS))
    rows = [
        _row("nothing kept", cold, cold),
        _row("prefix kept", warm, cold),
        _row("same passages again", again, cold),
    ]
    return rows + _batch(fresh, prompts, rows[0].keys())


def make_prompts(desk: "Desk") -> tuple[list[list[Turn]], list[list[Turn]]]:
    """Prompts of three passages and a question, and the same with another question."""
    passages = _passages(desk, PROMPTS * PASSAGES)
    first, second = [], []
    for begin in range(0, len(passages), PASSAGES):
        shown = passages[begin : begin + PASSAGES]
        about = shown[0].source.rsplit(" › ", 1)[-1]
        first.append(render_prompt(f"What do I have to know about {about}?", shown, desk.voice))
        second.append(render_prompt(f"Who is responsible for {about}, and by when?", shown, desk.voice))
    return first, second


def _passages(desk: "Desk", count: int) -> list[PromptPassage]:
    """Long chunks from all over the index, as the answerer would show them."""
    found: list[PromptPassage] = []
    if desk.store.current_name() is not None:
        table = desk.store.open().table
        found = [
            PromptPassage(c.heading or c.title, c.text) for c in table.all_chunks() if len(c.text) > PASSAGE_CHARS / 2
        ]
        table.close()
    if len(found) < count:
        texts = make_texts(count, np.random.default_rng(0))
        found = [PromptPassage(f"Document {n} › Section 1", text[:PASSAGE_CHARS]) for n, text in enumerate(texts)]
    return [found[i * len(found) // count] for i in range(count)]


def _loaded_once(desk: "Desk") -> "Callable[[], LocalModel]":
    """Makes models that share the weights and have read nothing yet."""
    from app.models.local import LocalModel
    from finetune.model import load_base, pick_base

    settings, folder = desk.settings.model, desk.settings.models_folder
    loaded = load_base(pick_base(settings), folder)
    return lambda: LocalModel(settings, folder, load=lambda *_: loaded)


def timed(model: ChatModel, prompt: Sequence[Turn], max_tokens: int) -> Generated:
    """Answer one prompt."""
    begun = time.perf_counter()
    first, prompt_tokens, completion_tokens = 0.0, 0, 0
    for delta in model.stream(prompt, max_tokens):
        first = first or time.perf_counter() - begun
        prompt_tokens, completion_tokens = delta.prompt_tokens, delta.completion_tokens
    total = time.perf_counter() - begun
    return Generated(first or total, total, prompt_tokens, completion_tokens)


def _row(name: str, runs: Sequence[Generated], baseline: Sequence[Generated]) -> Row:
    first, total = ([getattr(run, part) * 1000 for run in runs] for part in ("first", "total"))
    decoding = sum(run.total - run.first for run in runs)
    return {
        "name": name,
        "prompts": len(runs),
        "prompt_tokens": round(float(np.mean([run.prompt_tokens for run in runs]))),
        "answer_tokens": round(float(np.mean([run.completion_tokens for run in runs]))),
        "first_token_ms_p50": round(float(np.percentile(first, 50)), 1),
        "first_token_ms_p95": round(float(np.percentile(first, 95)), 1),
        "total_ms_p50": round(float(np.percentile(total, 50)), 1),
        "total_ms_p95": round(float(np.percentile(total, 95)), 1),
        "read_tokens_per_s": round(sum(run.prompt_tokens for run in runs) / sum(run.first for run in runs), 1),
        "written_tokens_per_s": round(sum(run.completion_tokens - 1 for run in runs) / max(decoding, 1e-9), 1),
        "first_token_ratio": round(
            float(np.median([b.first / r.first for b, r in zip(baseline, runs, strict=True)])), 2
        ),
        "ratio": round(float(np.median([b.total / r.total for b, r in zip(baseline, runs, strict=True)])), 2),
    }


def _batch(fresh: "Callable[[], LocalModel]", prompts: Sequence[Sequence[Turn]], names: Any) -> list[Row]:
    """All prompts in a loop and in one batch, in turn, each by a model that has read nothing yet."""
    loops, batches, counts = [], [], [0, 0]
    for _ in range(ROUNDS):
        model = fresh()
        begun = time.perf_counter()
        counts[0] = sum(timed(model, prompt, ANSWER_TOKENS).completion_tokens for prompt in prompts)
        loops.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        done = fresh().generate_batch(prompts, ANSWER_TOKENS)
        batches.append(time.perf_counter() - begun)
        counts[1] = sum(one.completion_tokens for one in done)
    rows = []
    for name, seconds, count in (("loop", loops, counts[0]), ("batch", batches, counts[1])):
        total = float(np.median(seconds))
        figures = {
            "name": f"{name}, all {len(prompts)}",
            "prompts": len(prompts),
            "answer_tokens": round(count / len(prompts)),
            "total_ms_p50": round(total * 1000, 1),
            "written_tokens_per_s": round(count / total, 1),
            "ratio": round(float(np.median(np.divide(loops, seconds))), 2),
        }
        rows.append({key: figures.get(key) for key in names})
    return rows
