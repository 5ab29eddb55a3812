"""What is known of each adapter: how it stands, what evaluations found, whether the gate let it through. Plain data.

Reads cards and `report.json` files as they lie in the workspace; measures nothing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.desk import Desk
from app.loop.adapter_report import readers
from finetune.adapters.card import Adapter, Staleness
from ingest.errors import DeskmateError

FIGURES = {
    "key_fact_accuracy": "Key facts told",
    "house_form": "House form",
    "refusal_recall": "Declined what is not there",
    "over_refusal": "Declined what is there",
}
"""Shares that an evaluation gives, as the page calls them."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The newest evaluation of an adapter. `allowed`: the gate's decision, None where it was not asked.

    `shares` has for each of `FIGURES` the share in hybrid and in rag-only, where both were measured.
    """

    report: str
    created: str
    questions: int
    verdict: str
    allowed: bool | None
    reasons: tuple[str, ...]
    shares: dict[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Standing:
    """An adapter and how it stands. `readers`: whom it may serve, in words; `ours`: it lies in the workspace."""

    adapter: Adapter
    serves: bool
    ours: bool
    stale: Staleness
    readers: str
    evaluation: Evaluation | None

    @property
    def key(self) -> str:
        """Tells it from one of the same name elsewhere."""
        return self.adapter.checksum[:16]

    @property
    def allowed(self) -> bool:
        """Whether the gate let it through, the last time that it was asked."""
        return self.evaluation is not None and self.evaluation.allowed is True


@dataclass(frozen=True, slots=True)
class Adapters:
    """All of them, the newest first; `problems` of those that are damaged."""

    standings: tuple[Standing, ...]
    problems: tuple[str, ...]

    @property
    def serving(self) -> Standing | None:
        """The one that serves."""
        return next((one for one in self.standings if one.serves), None)


def adapters_of(desk: Desk) -> Adapters:
    """Every adapter of the workspace, and the one of the settings where that serves."""
    problems, found = [], []
    serving = None
    try:
        serving = desk.serving.adapter()
    except DeskmateError as error:
        problems.append(str(error))
    for one in desk.registry.all():
        if isinstance(one, Adapter):
            found.append(one)
        else:
            problems.append(str(one))
    ours = {one.checksum for one in found}
    if serving and serving.checksum not in ours:
        found.append(serving)
    evaluations = _evaluations(desk.workspace.root / "reports")
    standings = [
        Standing(
            adapter=one,
            serves=serving is not None and serving.checksum == one.checksum,
            ours=one.checksum in ours,
            stale=desk.serving.standing(one).stale,
            readers=readers(one),
            evaluation=evaluations.get(one.checksum),
        )
        for one in found
    ]
    newest = sorted(standings, key=lambda one: (one.serves, one.adapter.card.created), reverse=True)
    return Adapters(tuple(newest), tuple(dict.fromkeys(problems)))


def _evaluations(reports: Path) -> dict[str, Evaluation]:
    """The newest evaluation of each adapter by its checksum; the newest that asked the gate goes before others."""
    found: dict[str, Evaluation] = {}
    ranked = sorted(_read(reports), key=lambda one: (one[1].allowed is not None, one[1].created))
    for checksum, evaluation in ranked:
        found[checksum] = evaluation
    return found


def _read(reports: Path) -> Iterator[tuple[str, Evaluation]]:
    for path in reports.glob("*/report.json"):
        try:
            report = json.loads(path.read_bytes())
            if report.get("adapter"):
                yield str(report["adapter"]["checksum"]), _evaluation(path.parent.name, report)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # of a retrieval benchmark, or of another version


def _evaluation(name: str, report: dict[str, Any]) -> Evaluation:
    modes = {mode["mode"]: mode["all"] for mode in report["modes"]}
    hybrid: dict[str, Any] = next((of for mode, of in modes.items() if mode.startswith("hybrid")), {})
    gate = report.get("gate") or {}
    return Evaluation(
        report=name,
        created=str(report["created"]),
        questions=int(report["questions"]["n"]),
        verdict=str(report["verdict"]),
        allowed=bool(gate["allowed"]) if gate else None,
        reasons=tuple(map(str, gate.get("reasons", ()))),
        shares={key: (_share(hybrid, key), _share(modes.get("rag-only", {}), key)) for key in FIGURES},
    )


def _share(figures: dict[str, Any], key: str) -> float | None:
    value = figures.get(key)
    return float(value["mean"]) if isinstance(value, dict) and "mean" in value else None
