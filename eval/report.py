"""What came of an evaluation, as the one object that `report.json` holds and every page of it is made from."""

import importlib.metadata
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.answering.modes import RETRIEVING, Mode
from app.desk import Desk
from eval.attacks.run import run_attacks
from eval.calibration_figures import calibration_figures
from eval.checks import seen, training_data, tuned_documents
from eval.comparisons import compare
from eval.contenders import Contender, adapters_of
from eval.disagreements import disagreements
from eval.figures import Answered, figures
from eval.gate import Evidence, decide
from eval.human import human
from eval.judged import judged
from eval.probes.canaries import canaries
from eval.probes.forgetting import forgetting
from eval.probes.obedience import obedience
from eval.reporting.content import page
from eval.reporting.page import write_page
from eval.run import Evaluation
from eval.score import Scored, score, with_similarity
from eval.validate import validation
from eval.verdict import verdict
from finetune.adapters.card import Adapter
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, write_atomic

VERSION = 1


def write_report(desk: Desk, evaluation: Evaluation) -> dict[str, Any]:
    """Score every answer, run the probes that were asked for, and write the report in its three forms.

    Raises:
        DeskmateError: the disk refuses; the answers are on it all the same.
    """
    report, out = build_report(desk, evaluation), evaluation.out
    try:
        write_atomic(out / "report.json", (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
        write_page(page(_without_addresses(report, desk)), out)
    except OSError as error:
        raise explain_disk_error(error, f"writing into {out}") from error
    return report


def _without_addresses(report: dict[str, Any], desk: Desk) -> dict[str, Any]:
    """The report as everybody may read it: an address of a server may hold a password, and failures name it too."""
    text = json.dumps(report, ensure_ascii=False)
    settings = desk.settings
    for server in (settings.chat.server, settings.teacher.server, settings.judge.server):
        if server:
            text = text.replace(json.dumps(server.rstrip("/"), ensure_ascii=False)[1:-1], "[the server]")
    found: dict[str, Any] = json.loads(text)
    return found


def build_report(desk: Desk, evaluation: Evaluation) -> dict[str, Any]:
    """The report as an object, version 1."""
    scored = {one.label: _scored(one, evaluation) for one in evaluation.entrants}
    main = _main(evaluation.entrants)
    adapter = next(iter(adapters_of([main])), None) or next(iter(adapters_of(evaluation.entrants)), None)
    tuned_on = tuned_documents(desk, adapter) if adapter else None
    modes = [_mode(one, evaluation, scored[one.label], tuned_on) for one in evaluation.entrants]
    others = {label: of for label, of in scored.items() if label != main.label}
    comparisons = compare((main.label, scored[main.label]), others)
    probes = _probes(desk, evaluation, adapter)
    gate = _gate(desk, evaluation, scored, probes["forgetting"])
    opposite = next((one.label for one in evaluation.entrants if one.mode == Mode.RAG_ONLY), next(iter(others), None))
    lines = evaluation.lines
    return {
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "deskmate": importlib.metadata.version("deskmate"),
        "command": evaluation.options.command,
        "questions": _questions(evaluation),
        "index": _index(desk),
        "model": desk.model.name,
        "adapter": _adapter(adapter, evaluation) if adapter else None,
        "settings": desk.settings.model_dump(mode="json"),
        "modes": modes,
        "comparisons": comparisons,
        "calibration": _calibration(evaluation, scored, tuned_on),
        "disagreements": disagreements((main.label, opposite), scored, lines) if opposite in others else [],
        **probes,
        "judge": judged(evaluation),
        "validation": validation(),
        "human": human(evaluation.out),
        "data_card": _data_card(desk, adapter) if adapter else None,
        "gate": gate,
        "verdict": verdict(modes, comparisons, gate),
    }


def _main(entrants: Sequence[Contender]) -> Contender:
    """The mode that the others are held against: hybrid where it takes part, else the first."""
    return next((one for one in entrants if one.mode == Mode.HYBRID), entrants[0])


def _scored(entrant: Contender, evaluation: Evaluation) -> dict[str, Scored]:
    """One mode's answers that did not fail, by question id."""
    lines = evaluation.lines[entrant.label]
    answered = [(one, lines[one.id]) for one in evaluation.asked if "failed" not in lines[one.id]]
    found = [score(one, line, entrant.desk.voice) for one, line in answered]
    full = with_similarity(found, [line for _, line in answered], entrant.desk.searcher.embed)
    return {one.question.id: one for one in full}


def _mode(
    entrant: Contender, evaluation: Evaluation, scored: dict[str, Scored], tuned_on: frozenset[str] | None
) -> dict[str, Any]:
    lines, prices = evaluation.lines[entrant.label], entrant.desk.settings.prices
    answers = [Answered(one, lines[id]) for id, one in scored.items()]
    failures = [line["failed"] for line in lines.values() if "failed" in line]
    apart: dict[str, list[Answered]] = {"seen": [], "held_out": []}
    for one in answers:
        apart["seen" if seen(one.scored.question, tuned_on or frozenset()) else "held_out"].append(one)
    return {
        "mode": entrant.label,
        "adapter": entrant.adapter and entrant.adapter.id,
        "all": figures(answers, prices),
        "by_kind": {name: figures(ones, prices) for name, ones in _slices(answers, "kind").items()},
        "by_style": {name: figures(ones, prices) for name, ones in _slices(answers, "style").items()},
        "by_tuning": {name: figures(ones, prices) for name, ones in apart.items()} if tuned_on is not None else None,
        "failed": len(failures),
        "failure": failures[0] if failures else None,
    }


def _slices(answers: Sequence[Answered], by: str) -> dict[str, list[Answered]]:
    groups: defaultdict[str, list[Answered]] = defaultdict(list)
    for one in answers:
        groups[getattr(one.scored.question, by)].append(one)
    return {name: groups[name] for name in sorted(groups) if name}


def _calibration(
    evaluation: Evaluation, scored: dict[str, dict[str, Scored]], tuned_on: frozenset[str] | None
) -> dict[str, Any]:
    """By mode, and once more for what the adapter was not tuned on; without passages there is nothing to be sure of."""
    found = {}
    for label in (one.label for one in evaluation.entrants if one.mode in RETRIEVING):
        sure = {id: evaluation.lines[label][id]["confidence"] for id in scored[label]}
        held = () if tuned_on is None else [id for id in sure if not seen(scored[label][id].question, tuned_on)]
        whole, held_out = (
            calibration_figures([scored[label][id] for id in ids], [sure[id] for id in ids]) for ids in (sure, held)
        )
        if whole:
            part = {name: held_out[name] for name in ("ece", "brier", "n")} if held_out else None
            found[label] = whole | {"held_out": part}
    return found


def _probes(desk: Desk, evaluation: Evaluation, adapter: Adapter | None) -> dict[str, Any]:
    """What is asked besides the questions. A model that fails here costs the probe, which says why, not the report."""
    options, entrants, questions = evaluation.options, evaluation.entrants, evaluation.questions
    forgot = None
    if adapter and (options.forgetting or options.gate):
        try:
            forgot = forgetting(desk.model, adapter)
        except DeskmateError as error:
            forgot = {"failed": str(error)}
    return {
        "forgetting": forgot,
        "obedience": obedience(desk, entrants, questions) if options.obedience else None,
        "canaries": canaries(entrants, questions) if options.canaries else None,
        "attacks": run_attacks(desk, entrants, (), evaluation.out / "attacks") if options.attacks else None,
    }


def _gate(
    desk: Desk, evaluation: Evaluation, scored: dict[str, dict[str, Scored]], forgot: dict[str, Any] | None
) -> dict[str, Any] | None:
    hybrid = next((one for one in evaluation.entrants if one.mode == Mode.HYBRID), None)
    if not evaluation.options.gate or hybrid is None or hybrid.adapter is None:
        return None
    assert forgot is not None  # the gate has it asked
    evidence = Evidence(
        asked=evaluation.asked,
        hybrid=scored[hybrid.label],
        rag_only=scored[str(Mode.RAG_ONLY)],
        tuned_on=tuned_documents(desk, hybrid.adapter),
        audited=_audited(hybrid.adapter, evaluation) is not None,
        forgetting=forgot,
    )
    margin = desk.settings.eval.margin
    return decide(evidence, margin).as_json() | {"adapter": hybrid.adapter.id, "margin": margin}


def _audited(adapter: Adapter, evaluation: Evaluation) -> int | None:
    """How many questions of the adapter were compared with these; None says that nobody knows them any more."""
    return next((one.tuned_on for one in evaluation.audits if one.adapter == adapter.id), None)


def _questions(evaluation: Evaluation) -> dict[str, Any]:
    questions = evaluation.questions
    return {
        "file": evaluation.file.name,
        "sha256": evaluation.sha256,
        "n": len(questions),
        "answerable": sum(one.answerable for one in questions),
        "kinds": dict(Counter(one.kind for one in evaluation.asked if one.kind).most_common()),
        "context": "oracle" if evaluation.options.oracle else "retrieved",
    }


def _index(desk: Desk) -> dict[str, Any]:
    manifest = desk.searcher.open().manifest
    return {"generation": manifest.generation, "documents": manifest.documents, "chunks": manifest.chunks}


def _adapter(adapter: Adapter, evaluation: Evaluation) -> dict[str, Any]:
    card = adapter.card
    return {
        "id": adapter.id,
        "checksum": adapter.checksum,
        "documents": len(card.documents),
        "rows": card.scores.get("rows"),
        "recipe": card.settings,
        "scores": card.scores,
        "tuned_on": _audited(adapter, evaluation),
    }


def _data_card(desk: Desk, adapter: Adapter) -> dict[str, Any] | None:
    """The card of the adapter's training data, where the workspace still has that data."""
    folder = training_data(desk, adapter)
    if folder is None or not (folder / "card.json").is_file():
        return None
    card: dict[str, Any] = json.loads((folder / "card.json").read_text("utf-8"))
    return card
