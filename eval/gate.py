"""May this adapter serve? Decided by what tuning must not cost, on documents that it was not tuned on.

Hybrid must not be worse than rag-only in key facts: the paired interval has to end above minus the margin, so that a
set too small to show it lets nobody through. It must not tell more false things, and the probe of general knowledge may
lose two points at most. Every question must have its answer in both modes, and the questions that the adapter was tuned
on must be known. House form is what tuning is for; it is no excuse here.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

from app.desk import Desk
from eval.checks import seen
from eval.comparisons import difference
from eval.disagreements import false_answer
from eval.questions import Question
from eval.score import METRICS, Scored
from eval.stats import Estimate
from finetune.adapters.card import Adapter
from ingest.errors import DeskmateError

LEAST = 10
"""Fewest held-out questions with key facts, and fewest documents that they are about.

With fewer, all of them may be ties by chance, and a tie has no width; nor has the bootstrap of a single document.
"""

FORGOTTEN = 2.0
"""Points of the general probe that may be lost."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is decided on: the questions, both modes' answers by question id, and what is known of the adapter.

    `tuned_on` are the documents that it was tuned on, see `eval.checks.tuned_documents`; `audited` says whether the
    questions are known. `forgetting` is what `eval.probes.forgetting` found, or why it failed, as `failed`.
    """

    asked: Sequence[Question]
    hybrid: Mapping[str, Scored]
    rag_only: Mapping[str, Scored]
    tuned_on: Set[str]
    audited: bool
    forgetting: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the adapter may serve; `reasons` has a line for each condition that fails, or else what was found."""

    allowed: bool
    reasons: tuple[str, ...]
    held_out: int
    facts: Estimate | None
    false_answers: Estimate | None

    def as_json(self) -> dict[str, Any]:
        """For `report.json`."""
        found = {"facts": self.facts, "false_answers": self.false_answers}
        return asdict(self) | {name: one.as_json() if one else None for name, one in found.items()}


def decide(evidence: Evidence, margin: float) -> Decision:
    """Hold hybrid against rag-only on the questions about documents that the adapter was not tuned on.

    Args:
        evidence: what was found.
        margin: the share of key facts that the adapter may cost, from the settings.
    """
    hybrid, rag_only, forgetting = evidence.hybrid, evidence.rag_only, evidence.forgetting
    answered = [one for one in evidence.asked if one.id in hybrid and one.id in rag_only]
    ids = [one.id for one in answered if not seen(one, evidence.tuned_on)]
    facts = difference(METRICS["key_fact_accuracy"], hybrid, rag_only, ids)
    false = difference(false_answer, hybrid, rag_only, ids)
    against = [*_against_facts(facts, margin), *_against_false(false), *_against_forgetting(forgetting)]
    if lost := len(evidence.asked) - len(answered):
        against.append(f"questions without an answer in both modes: {lost}; run it again")
    if not evidence.audited:
        against.append("the questions that it was tuned on are not known, so these may be among them")
    reasons = against or [
        f"key facts on {facts.n if facts else 0} held-out questions: {_points(facts)}; the margin is {100 * margin:g}",
        f"false answers: {_points(false)}",
        f"general knowledge: {forgetting['points']['mean']:+.1f} points",
    ]
    return Decision(not against, tuple(reasons), len(ids), facts, false)


def promote(desk: Desk, adapter: Adapter) -> str:
    """Let an adapter that the gate allowed serve from the next question on; returns what to say about it."""
    try:
        mine = desk.registry.find(adapter.id)
    except DeskmateError:
        mine = None
    if mine is None or mine.checksum != adapter.checksum:
        serving = desk.serving.adapter()
        if serving and serving.checksum == adapter.checksum:
            return f"{adapter.id} serves already, as chat.adapter says"
        return f"{adapter.id} may serve; it lies outside the workspace: name {adapter.folder} in chat.adapter"
    desk.registry.promote(mine)
    return f"{adapter.id} serves from the next question on; back with: deskmate adapters rollback"


def _against_facts(facts: Estimate | None, margin: float) -> list[str]:
    if facts is None or facts.clusters < LEAST:  # and so no fewer questions
        found = f"{facts.n}, about {facts.clusters} of them" if facts else "0"
        return [
            f"answerable questions about documents that it was not tuned on: {found}; {LEAST} such documents are the "
            "least"
        ]
    if facts.low <= -margin:
        return [
            f"hybrid may tell fewer key facts than rag-only on {facts.n} held-out questions: {_points(facts)}; the "
            f"interval must end above {-100 * margin:g}"
        ]
    return []


def _against_false(false: Estimate | None) -> list[str]:
    return [f"false answers went up: {_points(false)}"] if false and false.mean > 0 else []


def _against_forgetting(forgetting: Mapping[str, Any]) -> list[str]:
    if "failed" in forgetting:
        return [f"what tuning made it forget was not measured: {forgetting['failed']}"]
    lost = forgetting["points"]["mean"]
    return [f"it forgot: {lost:+.1f} points of general knowledge, {-FORGOTTEN:g} at most"] if lost < -FORGOTTEN else []


def _points(estimate: Estimate | None) -> str:
    if estimate is None:
        return "none to compare"
    return f"{100 * estimate.mean:+.1f} points ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"
