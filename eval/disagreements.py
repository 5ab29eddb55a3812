"""The questions that tell most about two modes: what one gets right and the other wrong, or declines."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from eval.questions import Question
from eval.score import Scored

SHOWN = 12

Outcome = Literal["right", "wrong", "declined"]

WHY: dict[tuple[Outcome, Outcome], str] = {
    ("right", "wrong"): "{0} is right, {1} is wrong",
    ("wrong", "right"): "{1} is right, {0} is wrong",
    ("right", "declined"): "{0} is right, {1} declines what it could answer",
    ("declined", "right"): "{1} is right, {0} declines what it could answer",
    ("declined", "wrong"): "{0} declines, {1} is wrong",
    ("wrong", "declined"): "{1} declines, {0} is wrong",
}
"""The ways to disagree, the most telling first."""


def outcome(one: Scored) -> Outcome | None:
    """What came of an answer; None where that cannot be said: it asks back, or nothing is known to judge it by."""
    if one.refused:
        return "declined" if one.question.answerable else "right"
    if one.clarifies or (one.question.answerable and one.facts is None):
        return None
    return "right" if one.facts == 1.0 else "wrong"


def false_answer(one: Scored) -> bool | None:
    """Whether an answer is wrong and not declined; None where that cannot be said."""
    found = outcome(one)
    return None if found is None else found == "wrong"


def disagreements(
    modes: tuple[str, str],
    scored: Mapping[str, Mapping[str, Scored]],
    lines: Mapping[str, Mapping[str, dict[str, Any]]],
) -> list[dict[str, Any]]:
    """The most telling questions, of every way to disagree the same number if there are as many.

    Args:
        modes: the two labels that are set against each other.
        scored: every mode's answers by label and question id.
        lines: their lines of results.
    """
    first, second = (scored[label] for label in modes)
    ways: dict[tuple[Outcome | None, Outcome | None], list[str]] = {way: [] for way in WHY}
    for id, one in first.items():
        if id in second and (way := (outcome(one), outcome(second[id]))) in ways:
            ways[way].append(id)
    for ids in ways.values():  # the surest answers first: to be wrong and sure of it tells most
        ids.sort(key=lambda id: -max(lines[label][id]["confidence"] for label in modes))
    chosen = _in_turn(list(ways.values()))[:SHOWN]
    why = {id: WHY[way].format(*modes) for way, ids in ways.items() for id in ids}  # type: ignore[index]
    return [_shown(first[id].question, why[id], scored, lines) for id in chosen]


def _in_turn(groups: Sequence[Sequence[str]]) -> list[str]:
    longest = max(map(len, groups), default=0)
    return [group[place] for place in range(longest) for group in groups if place < len(group)]


def _shown(
    question: Question,
    why: str,
    scored: Mapping[str, Mapping[str, Scored]],
    lines: Mapping[str, Mapping[str, dict[str, Any]]],
) -> dict[str, Any]:
    read = next((of[question.id] for of in lines.values() if question.id in of and of[question.id].get("texts")), None)
    return {
        "id": question.id,
        "question": question.question,
        "kind": question.kind,
        "why": why,
        "answers": {
            label: _answer(of[question.id], lines[label][question.id])
            for label, of in scored.items()
            if question.id in of
        },
        "gold": {"answer": question.answer, "docs": list(question.gold_docs)},
        "passages": _passages(read) if read else [],
    }


def _answer(one: Scored, line: dict[str, Any]) -> dict[str, Any]:
    cited = [{key: citation[key] for key in ("n", "doc", "heading", "quote")} for citation in line["citations"]]
    return {
        "answer": line["answer"],
        "refused": one.refused,
        "facts": one.facts,
        "confidence": line["confidence"],
        "citations": cited,
    }


def _passages(line: dict[str, Any]) -> list[dict[str, Any]]:
    read = zip(line["retrieved_docs"], line["headings"], line["texts"], strict=False)  # only some of what was found
    return [
        {"n": n, "doc": doc, "heading": head, "text": text.removeprefix(head).lstrip("\n")}
        for n, (doc, head, text) in enumerate(read, start=1)
    ]
