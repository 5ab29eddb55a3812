"""The one sentence that a manager reads: is tuning worth it here, as far as these questions can tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval.stats import ALPHA

FACTS, FORM = "key_fact_accuracy", "house_form"


def verdict(modes: Sequence[Mapping[str, Any]], comparisons: Sequence[Mapping[str, Any]], gate: Any) -> str:
    """Put the main comparison, and what the gate said, into a sentence.

    Args:
        modes: of the report.
        comparisons: of the report; the first of them about key facts counts.
        gate: of the report, or None.
    """
    main = next((one for one in comparisons if one["metric"] == FACTS and _tuned_against_rag(one["modes"])), None)
    main = main or next((one for one in comparisons if one["metric"] == FACTS), None)
    said = _compared(main) if main else _alone(modes[0])
    form = next((one for one in comparisons if main and one["metric"] == FORM and one["modes"] == main["modes"]), None)
    if main and form and form["p_holm"] < ALPHA:
        gain = 100 * form["difference"]["mean"]
        more = "more" if gain > 0 else "fewer"
        said += f"; {main['modes'][0]} keeps the house form in {abs(gain):.0f} of 100 answers {more}"
    if gate:
        said += "; the adapter may serve" if gate["allowed"] else f"; the adapter may not serve: {gate['reasons'][0]}"
    return f"{said}."


def _tuned_against_rag(modes: Sequence[str]) -> bool:
    return modes[0].startswith("hybrid") and modes[1] == "rag-only"


def _compared(main: Mapping[str, Any]) -> str:
    first, second = main["modes"]
    mean, low, high = (100 * main["difference"][name] for name in ("mean", "low", "high"))
    interval = f"{low:+.0f} to {high:+.0f}"
    if main["p_holm"] < ALPHA:
        more = "more" if mean > 0 else "fewer"
        return f"{first} tells {abs(mean):.0f} of 100 key facts {more} than {second} ({interval})"
    least = main["detectable"]
    unseen = f"; a difference below {100 * least:.0f} could not have been seen" if least else ""
    return f"{first} and {second} cannot be told apart by their key facts: {mean:+.0f} of 100 ({interval}){unseen}"


def _alone(mode: Mapping[str, Any]) -> str:
    label, figures = mode["mode"], mode["all"]
    facts, refused = figures[FACTS], figures["over_refusal"]
    if not facts:
        return f"{label} answered {figures['questions']} questions, of which none has key facts to judge by"
    low, high = (100 * facts[name] for name in ("low", "high"))
    wrongly = f", and declines {100 * refused['mean']:.0f} % of what it could answer" if refused else ""
    return f"{label} tells {100 * facts['mean']:.0f} of 100 key facts ({low:.0f} to {high:.0f}){wrongly}"
