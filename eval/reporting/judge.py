"""A language model's verdicts in a report: how far it agrees with people first, then what it says of each mode."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eval.judge import VERDICTS
from eval.reporting import figures
from eval.reporting.blocks import Block, Cell, Column, Facts, Group, Row, Table, Text

Part = Mapping[str, Any]

SHARES = {
    "correct": "Judged correct",
    "partly": "Judged partly correct",
    "wrong": "Judged wrong",
    "declined": "Judged declined",
    "declined_rightly": "Judged declined, as is right",
}
"""Shares of the verdicts: the last is of questions without an answer, the others of those with one."""

PREFERENCES = {"one": "the first", "tie": "neither", "other": "the second"}


def judge_trust(judge: Part) -> str:
    """How far the judge agrees with people, or that nobody knows."""
    people = judge["people"]
    itself = " The judge is the model that answered, and models favour their own words." if judge["itself"] else ""
    if why := people["why"] if people else judge["why_no_people"]:
        return f"Agreement with people: not measured ({why}).{itself}"
    of = f"{people['n']:,} labels on {people['clusters']:,} documents or questions: {people['source']}"
    among = f" People among themselves: {_agreed(people['people'])}." if people["people"] else ""
    return f"Agreement with people: {_agreed(people['agreement'])}. {of}.{among}{itself}"


def _agreed(one: Part) -> str:
    interval = f"{one['low']:.2f} to {one['high']:.2f}"
    return f"{one['measure']} {one['value']:.2f} ({interval}), the same {figures.percent(one['share'])}"


def judge_blocks(judge: Part, modes: Sequence[Column]) -> Iterator[Block]:
    """The agreement, the shares of each verdict, where judge and people differ, and what it took."""
    people = judge["people"] or {}
    yield Text(judge_trust(judge), "plain" if people.get("agreement") else "note")
    if people.get("agreement"):
        yield Text("A kappa of 1 is perfect, 0 is chance; below about 0.4 these figures are one model’s opinion.")
    shown = [mode for mode in modes if mode.name in judge["modes"]]
    every = [judge["modes"][mode.name] for mode in shown]
    parts = (("Questions with an answer", VERDICTS), ("Questions without one", ("declined_rightly",)))
    groups = tuple(
        Group(title, tuple(_row(name, shown, every) for name in names))
        for title, names in parts
        if any(one[name] for one in every for name in names)
    )
    if groups:
        yield Table("Verdicts of the judge", "", tuple(shown), groups)
    if judge["failed"]:
        lost = figures.count(judge["failed"], "answer")
        yield Text(f"{lost} without a verdict, left out above. The first: {judge['failure']}", "bad")
    if people.get("confusion"):
        yield _confusion(people["confusion"])
    yield Facts(tuple(_facts(judge)))


def _row(name: str, modes: Sequence[Column], every: Sequence[Part]) -> Row:
    share = figures.Measure("", "")
    cells = (figures.cell(share, one[name], mode) for mode, one in zip(modes, every, strict=True))
    return Row(SHARES[name], tuple(cells), "lower is better" if name == "wrong" else "")


def _confusion(counts: Mapping[str, Mapping[str, int]]) -> Table:
    """People's labels in lines, the judge's in columns."""
    names = VERDICTS if counts.keys() <= set(VERDICTS) else tuple(PREFERENCES)
    heads = tuple(Column(f"Judge: {PREFERENCES.get(name, name)}") for name in names)
    rows = tuple(
        Row(f"People: {PREFERENCES.get(label, label)}", tuple(Cell(str(counts[label].get(name, 0))) for name in names))
        for label in names
        if label in counts
    )
    title = "Where judge and people differ"
    return Table(title, "", heads, (Group("", rows),), fold=title)


def _facts(judge: Part) -> Iterator[tuple[str, str]]:
    yield "Judge", judge["model"]
    yield "Verdicts", f"{judge['verdicts']:,}, the same answer to the same question judged once"
    yield "Tokens", f"{judge['prompt_tokens']:,} read, {judge['completion_tokens']:,} written"
    if judge["money"] is not None:
        yield "Cost", f"{judge['money']:.2f} {judge['currency']}"
