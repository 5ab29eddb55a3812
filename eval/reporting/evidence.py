"""What a report rests on: answers side by side, the data that the adapter was tuned on, and how to repeat it.

Settings and recipes are shown as they are, name by name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from eval.reporting import figures
from eval.reporting.blocks import (
    Block,
    Case,
    Cell,
    Code,
    Column,
    Facts,
    Group,
    Heading,
    Quote,
    Reply,
    Row,
    Section,
    Table,
    Text,
)

Part = Mapping[str, Any]

RESTRICTED = "restricted"
WITHHELD = "The asker may not read where this is answered: the right thing to do is to decline."
"""In place of the answer to a question of the kind `restricted`: more people read a report than that document."""

SHARES = ("accuracy", "precision", "recall", "rate", "share", "base", "adapter")
"""Words in a key whose value between 0 and 1 is a share."""


def cases(found: Sequence[Part], modes: Sequence[Column]) -> Section:
    """The most telling disagreements."""
    series = {mode.name: mode.series or 0 for mode in modes}
    lead = "Questions on which the modes differ most, with what each answered and the passages that search found."
    blocks = tuple(_case(one, series) for one in found)
    return Section("answers", "Read for yourself", lead, blocks)


def _case(one: Part, series: Mapping[str, int]) -> Case:
    secret = one["kind"] == RESTRICTED
    return Case(
        name=one["id"],
        question=one["question"],
        kind=one["kind"],
        why=one["why"],
        gold=WITHHELD if secret else one["gold"]["answer"],
        gold_docs=() if secret or not one["gold"]["answer"] else tuple(one["gold"]["docs"]),
        replies=tuple(_reply(mode, series.get(mode, 0), answer) for mode, answer in one["answers"].items()),
        passages=tuple(Quote(each["n"], each["doc"], each["heading"], each["text"]) for each in one["passages"]),
    )


def _reply(mode: str, series: int, answer: Part) -> Reply:
    citations = tuple(Quote(each["n"], each["doc"], each["heading"], each["quote"]) for each in answer["citations"])
    return Reply(
        mode, series, answer["answer"], answer["refused"], answer["facts"], answer.get("confidence"), citations
    )


def origin(report: Part) -> Section:
    """The data card of the adapter with the leakage audit, and how it was tuned."""
    card, adapter = report.get("data_card"), report.get("adapter")
    blocks = [*(_audit(adapter) if adapter else ()), *(_card(card) if card else ())]
    for key, title in (("recipe", "Recipe of the tuning"), ("scores", "What tuning measured")):
        if rows := tuple(flat((adapter or {}).get(key) or {})):
            blocks.append(Facts(rows, fold=title))
    return Section("data", "What the adapter was tuned on", "", tuple(blocks))


def _audit(adapter: Part) -> Iterator[Block]:
    if adapter.get("tuned_on"):
        yield Text(
            "None of the questions asked here, and none nearly the same, is among the "
            f"{adapter['tuned_on']:,} questions that {adapter['id']} was tuned on."
        )
    elif "tuned_on" in adapter:
        text = (
            f"The questions that {adapter['id']} was tuned on are not in this workspace: overlap could not be checked."
        )
        yield Text(text, "note")


def _card(card: Part) -> Iterator[Block]:
    splits: Part = card["splits"]
    heads = tuple(Column(figures.words(name)) for name in splits)
    lines = [
        Row("Rows", tuple(Cell(f"{split['rows']:,}") for split in splits.values())),
        Row("Documents", tuple(Cell(f"{len(split['documents']):,}") for split in splits.values())),
    ]
    kinds = dict.fromkeys(chain.from_iterable(split["kinds"] for split in splits.values()))
    counts = [Row(figures.words(kind), tuple(_share(kind, split) for split in splits.values())) for kind in kinds]
    yield Table("Rows to tune on", "", heads, (Group("", tuple(lines)), Group("Kinds", tuple(counts))))
    report: Part = card.get("report") or {}
    if report:
        yield Text(f"Of {report['taken']:,} pairs offered, {report['kept']:,} were kept.")
    for note in report.get("notes") or ():
        yield Text(note, "note")
    if leakage := report.get("leakage"):
        yield Heading("Leakage audit")
        yield _leakage(leakage)
    taken_out = tuple((f"{one['name']}: {one['wants']}", f"{one['rejected']:,}") for one in report.get("filters") or ())
    if taken_out:
        yield Facts(taken_out, fold="What the filters took out")
    rest = {key: value for key, value in card.items() if key not in ("splits", "report", "samples", "included")}
    yield Facts(tuple(flat(rest)), fold="Settings and checksums of the data")


def _share(kind: str, split: Part) -> Cell:
    number = split["kinds"].get(kind, 0)
    return Cell(f"{number:,}", figures.percent(number / max(split["rows"], 1)))


def _leakage(leakage: Sequence[Part]) -> Table:
    heads = ("Questions", "Pairs left out", "The same", "Nearly the same", "Shared words")
    rows = tuple(
        Row(one["name"], tuple(Cell(f"{one[key]:,}") for key in ("questions", "pairs", "exact", "near", "shared")))
        for one in leakage
    )
    return Table(
        "Pairs that give away a question that measures", "Question set", tuple(map(Column, heads)), (Group("", rows),)
    )


def repeating(report: Part) -> Section:
    """The command, the checksums and every setting."""
    asked, index, adapter = report["questions"], report["index"], report["adapter"] or {}
    rows = [
        ("Questions", asked["file"]),
        ("SHA-256 of the questions", asked["sha256"]),
        ("Context", asked.get("context", "")),
        ("Kinds", ", ".join(f"{kind} {number}" for kind, number in asked["kinds"].items())),
        ("Index", index["generation"]),
        ("Model", report["model"]),
        ("Adapter", adapter.get("id", "")),
        ("Checksum of the adapter", adapter.get("checksum", "")),
        ("deskmate", report["deskmate"]),
        ("Made", report["created"]),
    ]
    blocks: list[Block] = [Code(report["command"]), Facts(tuple((name, value) for name, value in rows if value))]
    if settings := tuple(flat(report["settings"])):
        blocks.append(Facts(settings, fold="Every setting"))
    lead = "The same command over the same files gives the same answers, up to the arithmetic of another machine."
    return Section("repeat", "How to repeat it", lead, tuple(blocks))


def flat(value: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of nested data, one line for every end."""
    if isinstance(value, Mapping) and not figures.is_estimate(value):
        for key, inner in value.items():
            yield from flat(inner, f"{before} › {key}" if before else str(key))
    elif value is not None and value != [] and value != "":
        yield figures.words(before), _written(before, value)


def _written(name: str, value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case {"mean": mean, "low": low, "high": high}:
            return f"{figures.number(mean)} ({figures.number(low)} to {figures.number(high)})"
        case int() | float():
            share = isinstance(value, float) and 0 <= value <= 1 and any(word in name.lower() for word in SHARES)
            return figures.percent(value) if share else figures.number(value)
        case str():
            return value
        case Mapping():
            return ", ".join(f"{key} {_written(str(key), inner)}" for key, inner in value.items())
        case Iterable():
            return ", ".join(_written(name, inner) for inner in value)
    return str(value)
