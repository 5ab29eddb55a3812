"""What the figures of a report are called, what they mean, which way is better, and how they are written.

Knows the names of `report.json`; draws nothing and renders nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eval.reporting.blocks import Cell, Column, Row
from eval.reporting.charts import whisker
from eval.stats import ALPHA


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric as people read it. Of `scores` the value is written as it is, of others as a percentage."""

    label: str
    meaning: str
    lower: bool = False
    scores: bool = False
    judged: bool = True


MEASURES: dict[str, dict[str, Measure]] = {
    "Right answers": {
        "key_fact_accuracy": Measure("Key-fact accuracy", "key facts of the right answer that occur in the answer"),
        "exact_match": Measure("Exact match", "answers that are the right answer, word for word"),
        "token_f1": Measure("Token F1", "words in common with the right answer"),
        "rouge_l": Measure("ROUGE-L", "longest common run of words with the right answer"),
        "semantic_similarity": Measure("Semantic similarity", "cosine to the right answer", scores=True),
    },
    "Grounding and citations": {
        "supported_sentences": Measure("Supported sentences", "sentences that a passage supports"),
        "content_precision": Measure("Content precision", "content words that the passages hold"),
        "foreign_numbers": Measure("Foreign numbers", "answers with a number that no passage has", lower=True),
        "foreign_names": Measure("Foreign names", "answers with a name that no passage has", lower=True),
        "citation_precision": Measure("Citation precision", "citations that point to a right document"),
        "citation_recall": Measure("Citation recall", "sentences with a claim that carry a citation"),
    },
    "Declining": {
        "refusal_recall": Measure("Refusal recall", "unanswerable questions that are declined"),
        "over_refusal": Measure("Over-refusal", "answerable questions that are declined", lower=True),
        "refusal_f1": Measure("Refusal F1", "harmonic mean of recall and precision of declining"),
        "clarifications": Measure("Clarifications", "questions that are asked back", judged=False),
        "clarification_hits": Measure("Clarification hits", "questions asked back with a right document to choose"),
        "restricted_facts_told": Measure("Restricted facts told", "secrets that came out", lower=True),
    },
    "House voice": {
        "house_form": Measure("In house form, as served", "answers that break no rule of the voice"),
        "house_form_written": Measure("In house form, as written", "the same of what the model itself wrote"),
    },
    "Retrieval": {
        "recall@1": Measure("Recall@1", "right documents found at the first place"),
        "recall@3": Measure("Recall@3", "right documents among the first three passages"),
        "recall@5": Measure("Recall@5", "right documents among the first five passages"),
        "recall@10": Measure("Recall@10", "right documents among the first ten passages"),
        "recall@100": Measure("Recall@100", "right documents among the first hundred passages"),
        "mrr": Measure("MRR", "one over the rank of the first right passage", scores=True),
        "mrr@10": Measure("MRR@10", "one over the rank of the first right passage, of ten", scores=True),
        "ndcg@10": Measure("nDCG@10", "right passages near the top, of ten", scores=True),
    },
}
"""Every metric with a name of its own, in the order of the page."""

KNOWN = {name: measure for group in MEASURES.values() for name, measure in group.items()}

SERIES = {"hybrid": 0, "rag-only": 1, "tune-only": 2, "prompt-only": 3, "dense": 1, "bm25": 2}
"""A mode keeps its colour from report to report."""

Figures = Mapping[str, Any]


def measure(name: str) -> Measure:
    """What is known of a metric; of one without a name of its own, that name in words."""
    return KNOWN.get(name) or Measure(words(name), "", judged=False)


def is_estimate(value: object) -> bool:
    """Whether a value is a mean with its interval."""
    return isinstance(value, Mapping) and {"mean", "low", "high"} <= value.keys()


def columns(names: Sequence[str]) -> tuple[Column, ...]:
    """A column for each mode, each with a series of its own; `hybrid (house/v2)` is a hybrid if none came before."""
    given: dict[str, int] = {}
    for name in names:
        usual = SERIES.get(name.split(" (")[0])
        if usual is not None and usual not in given.values():
            given[name] = usual
    free = iter([n for n in range(2 * len(names) + 1) if n not in given.values()])
    return tuple(Column(name, given[name] if name in given else next(free)) for name in names)


def grouped(figures: Sequence[Figures]) -> Iterable[tuple[str, list[str]]]:
    """The metrics of which at least one mode has a figure, by their group; what has no group comes last."""
    present = dict.fromkeys(name for one in figures for name, value in one.items() if is_estimate(value))
    for title, group in MEASURES.items():
        if names := [name for name in group if name in present]:
            yield title, names
    if others := [name for name in present if name not in KNOWN]:
        yield "Other figures", others


def row(name: str, modes: Sequence[Column], figures: Sequence[Figures], best: str | None = None, as_: str = "") -> Row:
    """A line of the big table: one metric, or one slice called `as_`, over the modes."""
    known = measure(name)
    cells = tuple(cell(known, one.get(name), mode, mode.name == best) for mode, one in zip(modes, figures, strict=True))
    if as_:
        return Row(as_, cells, _count(figures))
    return Row(known.label, cells, known.meaning + ("; lower is better" if known.lower else ""))


def _count(figures: Sequence[Figures]) -> str:
    most = max((int(one.get("questions", 0)) for one in figures), default=0)
    return count(most, "question") if most else ""


def cell(known: Measure, estimate: Figures | None, mode: Column, best: bool = False) -> Cell:
    """A figure with its interval; an en dash where there is none."""
    if not estimate:
        return Cell("–")
    mean, low, high = estimate["mean"], estimate["low"], estimate["high"]
    drawn = whisker((mean, low, high), mode.series or 0)
    if known.scores:
        return Cell(f"{mean:.3f}", f"{low:.3f} to {high:.3f}", drawn, best)
    return Cell(percent(mean), f"{100 * low:.1f} to {100 * high:.1f}", drawn, best)


def surely_best(name: str, figures: Mapping[str, Figures], comparisons: Sequence[Figures]) -> str | None:
    """The mode that is better than every other one with a figure, each time significantly after Holm's correction."""
    known = measure(name)
    means = {mode: one[name]["mean"] for mode, one in figures.items() if one.get(name)}
    if len(means) < 2 or not known.judged:
        return None
    best = (min if known.lower else max)(means, key=lambda mode: means[mode])
    beaten = set()
    for one in comparisons:
        if one["metric"] == name and one.get("p_holm") is not None and one["p_holm"] < ALPHA:
            higher, lower = one["modes"] if one["difference"]["mean"] > 0 else reversed(one["modes"])
            winner, loser = (lower, higher) if known.lower else (higher, lower)
            beaten |= {loser} if winner == best else set()
    return best if means.keys() - {best} <= beaten else None


def percent(share: float) -> str:
    """A share as a percentage with one digit."""
    return f"{100 * share:.1f}\u00a0%"


def points(difference: float, known: Measure) -> str:
    """A signed difference: in points of a percentage, or of the score itself."""
    text = f"{difference:+.3f}" if known.scores else f"{100 * difference:+.1f}"
    return text.replace("-", "−")


def p_value(value: float | None) -> str:
    """A p value as papers write it."""
    if value is None:
        return "–"
    return "<\u00a0.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def time(milliseconds: float) -> str:
    """Milliseconds, as seconds where there are many."""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"


def count(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def words(name: str) -> str:
    """A key of the JSON in words."""
    return sentence(name.replace("_", " ").strip())


def sentence(text: str) -> str:
    """The same with a capital in front."""
    return text[:1].upper() + text[1:]


def day(stamp: str) -> str:
    """An ISO time as people write it; as it is where it is none."""
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{when.day} {when:%B %Y, %H:%M}" + (" UTC" if when.tzinfo else "")


def number(value: float) -> str:
    """Any other number, short."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
