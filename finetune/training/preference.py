"""What is preferred to what, and whether there is enough of it: the settings, the gate, and what is held out.

Knows labels; knows nothing of models. Few labels teach a model the few people who gave them, so below the gate nothing
is tuned.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from finetune.curation.feedback import Judged
from ingest.errors import DeskmateError

Method = Literal["kto", "dpo"]


class PreferenceSettings(BaseModel):
    """How an adapter is tuned on feedback, and on how much of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    beta: float = Field(0.1, gt=0, le=10, description="How hard it is held to the adapter that it starts from.")
    sft: float = Field(
        0.2, ge=0, le=10, description="DPO: weight of the corrections' own likelihood, which would otherwise sink too."
    )
    learning_rate: float = Field(5e-5, gt=0, lt=1, description="The largest step size.")
    epochs: int = Field(3, ge=1, le=100, description="How often every label is seen.")
    batch: int = Field(8, ge=2, le=1024, description="Labels of an optimizer step.")
    context: int = Field(
        2048, ge=16, description="Longest prompt with its answer, in tokens; longer ones are left out and counted."
    )
    checkpointing: bool = Field(
        True, description="Compute activations again in the backward pass: slower, far less memory."
    )
    seed: int = Field(0, ge=0, description="Another number, another order and another choice of what is held out.")

    held_out: float = Field(0.25, ge=0.1, le=0.5, description="Share of the labels that only measure.")
    least_thumbs: int = Field(100, ge=8, description="KTO: fewest thumbs.")
    least_rarer: int = Field(20, ge=4, description="KTO: fewest thumbs of the rarer verdict.")
    least_corrections: int = Field(40, ge=8, description="DPO: fewest corrected answers.")
    least_sources: int = Field(10, ge=1, description="Fewest conversations that labels come from, where that is known.")


HELD_OUT_SOURCES = 4
"""Fewest conversations that are held out: with fewer, all of them agree by chance too often."""


@dataclass(frozen=True, slots=True)
class Split:
    """Labels that a method tunes on, and those that only measure. No conversation is on both sides."""

    method: Method
    train: list[Judged]
    held_out: list[Judged]


def usable(method: Method, labels: Sequence[Judged]) -> list[Judged]:
    """The labels that a method reads: DPO the corrected ones, KTO all."""
    return [label for label in labels if label.correction] if method == "dpo" else list(labels)


def pick_method(asked: Method | Literal["auto"], labels: Sequence[Judged], settings: PreferenceSettings) -> Method:
    """Let the labels through the gate; `auto` takes DPO where there are enough corrections, else KTO.

    Raises:
        DeskmateError: there are too few; says of what, and how many more.
    """
    lacks = {}
    methods: tuple[Method, ...] = ("dpo", "kto") if asked == "auto" else (asked,)
    for method in methods:
        lacks[method] = missing(method, usable(method, labels), settings)
        if not lacks[method]:
            return method
    parts = "; ".join(f"{method} needs {', '.join(what)}" for method, what in lacks.items())
    raise DeskmateError(f"there are too few labels to tune on: {parts}; gather more, docs/feedback.md says why")


def split(method: Method, labels: Sequence[Judged], settings: PreferenceSettings) -> Split:
    """Hold out whole conversations, until they hold their share of each verdict.

    Args:
        method: which labels are read, and what is counted.
        labels: that passed the gate.
        settings: the share and the seed.

    Raises:
        DeskmateError: most labels come from so few conversations that little would be left to tune on.
    """
    labels = usable(method, labels)
    wanted = Counter({up: math.ceil(count * settings.held_out) for up, count in _verdicts(method, labels).items()})
    by_source: dict[str, list[Judged]] = {}
    for label in labels:
        by_source.setdefault(label.source, []).append(label)
    order = sorted(by_source)
    random.Random(settings.seed).shuffle(order)  # noqa: S311  no secret
    held_out: list[Judged] = []
    chosen: set[str] = set()
    for source in order:
        verdicts = _verdicts(method, by_source[source])
        if len(chosen) < HELD_OUT_SOURCES or any(wanted[up] > 0 for up in verdicts):
            wanted.subtract(verdicts)
            chosen.add(source)
            held_out += by_source[source]
    train = [label for label in labels if label.source not in chosen]
    left, before = _verdicts(method, train), _verdicts(method, labels)
    if any(left[up] < before[up] * settings.held_out for up in before):
        raise DeskmateError(
            f"{len(labels)} labels come from {len(order)} conversations, which is too few to hold some out and tune on "
            "the rest; gather labels from more people"
        )
    return Split(method, train, held_out)


def missing(method: Method, labels: Sequence[Judged], settings: PreferenceSettings) -> list[str]:
    """What the gate wants more of, for the labels that a method reads; empty where it lets them through."""
    verdicts = Counter(label.up for label in labels)
    if method == "dpo":
        counts = [("corrected answers", len(labels), settings.least_corrections)]
    else:
        rarer = min((True, False), key=lambda up: verdicts[up])
        counts = [
            ("thumbs", len(labels), settings.least_thumbs),
            (f"thumbs {'up' if rarer else 'down'}", verdicts[rarer], settings.least_rarer),
        ]
    known = {label.source for label in labels if label.known_source}
    unknown = sum(not label.known_source for label in labels)
    if known:
        counts.append(("conversations", len(known) + unknown, settings.least_sources))
    return [f"{least} {what} and there are {there}" for what, there, least in counts if there < least]


def _verdicts(method: Method, labels: Sequence[Judged]) -> Counter[bool]:
    return Counter(label.up and method == "kto" for label in labels)
