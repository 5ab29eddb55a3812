"""What the judge says of an evaluation, as the `judge` of its report: verdicts by mode, and how far to trust them.

It stands beside the metrics: the verdict of the report, the comparisons and the gate do not read it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from eval.judge import VERDICTS, Case, Judge
from eval.judge_people import hold_against, labelled, rated
from eval.questions import Question
from eval.run import Evaluation
from eval.stats import cluster_bootstrap
from ingest.workspace import explain_disk_error, write_atomic

NOBODY = "nobody has labelled or rated these answers; docs/evaluation.md says how"

Verdicts = Mapping[str, Mapping[str, Any]]
"""The judge's lines by the key of what it read."""


def judged(evaluation: Evaluation) -> dict[str, Any] | None:
    """Have every answer judged that is not yet, and write `judgements.jsonl`, a line for each.

    Answers to one question are judged beside the same passages, those that the first mode read that reads any: what
    the judge sees does not tell it the mode.

    Returns:
        None where no judge was asked for.

    Raises:
        DeskmateError: people's labels that cannot be read; a disk that refuses.
    """
    judge, options, out = evaluation.judge, evaluation.options, evaluation.out
    if judge is None:
        return None
    questions = {one.id: one for one in evaluation.asked}
    read = _evidence(evaluation)

    def case(question: Question, answer: str) -> Case:
        return Case(question.question, question.answerable, _gold(question), read.get(question.id, ()), answer)

    answered = {
        label: {id: case(questions[id], line["answer"]) for id, line in lines.items() if "failed" not in line}
        for label, lines in evaluation.lines.items()
    }
    people = labelled(options.judge_labels, questions, case) if options.judge_labels else rated(out, questions, case)
    cases = [one for of in answered.values() for one in of.values()]
    cases += [one for said in (people.said if people else ()) for one in said.cases]
    try:
        verdicts = judge.verdicts(cases, out / "judge")
        write_atomic(out / "judgements.jsonl", _lines(answered, verdicts).encode())
    except OSError as error:
        raise explain_disk_error(error, f"writing into {out}") from error
    return {
        **_asked(judge, verdicts),
        "itself": judge.name == evaluation.entrants[0].desk.model.name,
        "modes": {label: _figures(of, questions, verdicts) for label, of in answered.items()},
        "people": hold_against(people, verdicts) if people else None,
        "why_no_people": None if people else NOBODY,
    }


def _evidence(evaluation: Evaluation) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for lines in evaluation.lines.values():
        for id, line in lines.items():
            if line.get("texts"):
                found.setdefault(id, tuple(line["texts"]))
    return found


def _gold(question: Question) -> str:
    """The right answer, or the key facts where only these are written down; never what the asker may not read."""
    if not question.answerable:
        return ""
    return question.answer or "; ".join(group[0] for group in question.key_facts if group)


def _lines(answered: Mapping[str, Mapping[str, Case]], verdicts: Verdicts) -> str:
    """A line for each answer: what it is, and what the judge said of it or why it said nothing."""
    lines = (
        {"id": id, "mode": label, "question": one.question, "answer": one.answer} | _said(verdicts[one.key])
        for label, of in answered.items()
        for id, one in of.items()
    )
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _said(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("verdict", "reason", "failed") if name in line}


def _asked(judge: Judge, verdicts: Verdicts) -> dict[str, Any]:
    """Who judged, what failed, and what it took, earlier runs included."""
    failures = [line["failed"] for line in verdicts.values() if "failed" in line]
    read, written = (
        sum(line.get(name, 0) for line in verdicts.values()) for name in ("prompt_tokens", "completion_tokens")
    )
    money = judge.money(read, written)
    return {
        "model": judge.name,
        "verdicts": len(verdicts) - len(failures),
        "failed": len(failures),
        "failure": failures[0] if failures else None,
        "prompt_tokens": read,
        "completion_tokens": written,
        "money": None if money is None else round(money, 4),
        "currency": judge.currency,
    }


def _figures(of: Mapping[str, Case], questions: Mapping[str, Question], verdicts: Verdicts) -> dict[str, Any]:
    """Shares of the verdicts on answerable questions, and of the others that were declined; clustered by document."""
    found = [(questions[id], verdicts[one.key]["verdict"]) for id, one in of.items() if "verdict" in verdicts[one.key]]
    answerable = [one for one in found if one[0].answerable]
    others = [one for one in found if not one[0].answerable]
    return {
        **{verdict: _share(verdict, answerable) for verdict in VERDICTS},
        "declined_rightly": _share("declined", others),
        "unjudged": len(of) - len(found),
    }


def _share(verdict: str, found: Sequence[tuple[Question, str]]) -> dict[str, float | int] | None:
    estimate = cluster_bootstrap([float(said == verdict) for _, said in found], [one.cluster for one, _ in found])
    return estimate.as_json() if estimate else None
