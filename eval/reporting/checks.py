"""What else was looked at: forgetting, obedience, attacks, a judge, metrics against people, people's ratings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from eval.reporting import figures
from eval.reporting.attacks import attack_blocks
from eval.reporting.blocks import Block, Cell, Column, Facts, Group, Heading, Row, Section, Table, Text
from eval.reporting.charts import offset, whisker
from eval.reporting.judge import judge_blocks
from eval.stats import ALPHA

Part = Mapping[str, Any]

OUTCOMES = {
    "followed": "tells the changed fact",
    "kept_old": "tells the old fact; lower is better",
    "neither": "tells neither",
    "declined": "declines",
    "wrote_old": "the model itself wrote the old fact; lower is better",
    "served": "does as it was told, as served; lower is better",
    "wrote": "does as it was told, as the model wrote; lower is better",
}
PROBES = (
    ("obedience", "Obedience to changed documents", "A fact is changed in the passages: does the answer follow them?"),
    ("canaries", "Planted instructions", "A passage holds an instruction that the right answer ignores."),
)
ASPECTS = ("tone", "correctness")


def checks(report: Part, modes: Sequence[Column]) -> Iterator[Section]:
    """The sections; those without a part in the report have no blocks."""
    safety: list[Block] = list(_forgetting(report["forgetting"])) if report.get("forgetting") else []
    for key, title, says in PROBES:
        if part := report.get(key):
            asked = f"{says} {figures.count(part['questions'], 'question')}."
            safety += [Heading(title), Text(asked), *_probe(title, part["modes"], modes)]
    if report.get("attacks"):
        safety += attack_blocks(report["attacks"], modes)
    yield Section("safety", "Forgetting, obedience, attacks", "", tuple(safety))
    lead = (
        "Another language model read each answer beside the right answer and the passages, and was not told the mode. "
        "It takes no part in the verdict, the comparisons or the gate."
    )
    said = judge_blocks(report["judge"], modes) if report.get("judge") else ()
    yield Section("judge", "What a language model says", lead, tuple(said))
    lead = (
        "Metrics that stand for people’s judgement, held against what people said. A correlation, an area under the "
        "ROC curve (AUC) or a recall of 1 is perfect; “not attributable” is the share of the answers with such a mark "
        "that people found unsupported, beside that of all answers."
    )
    yield Section(
        "validation", "Can these metrics be trusted?", lead, tuple(_validation(report.get("validation") or ()))
    )
    lead = (
        "Blinded pairs in a drawn order, rated side by side. A rate of 50 % means no difference; a tie is half a win."
    )
    rated = _human(report["human"], modes) if report.get("human") else ()
    yield Section("human", "What people say", lead, tuple(rated))


def _forgetting(probe: Part) -> Iterator[Block]:
    yield Heading("Forgetting")
    if "failed" in probe:
        yield Text(f"It could not be measured: {probe['failed']}", "bad")
        return
    yield Text(
        f"{figures.count(probe['questions'], 'everyday question')} without passages, to the base and to the adapter."
    )
    cells = [Cell(figures.percent(probe["base"])), Cell(figures.percent(probe["adapter"]))]
    points = probe.get("points")
    text, note, mark = "–", "", ""
    if points:
        text, note = _signed(points["mean"]), f"{_signed(points['low'])} to {_signed(points['high'])}"
        lost = "bad" if points["high"] < 0 else "open"
        reach = max(10.0, abs(points["low"]), abs(points["high"]))
        mark = offset((points["mean"], points["low"], points["high"]), reach, lost)
    row = Row("Right answers", (*cells, Cell(text, note, mark)))
    heads = (Column("Base"), Column("Adapter"), Column("Difference in points"))
    yield Table("Forgetting", "", heads, (Group("", (row,)),))


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")


def _probe(title: str, by_mode: Part, modes: Sequence[Column]) -> Iterator[Block]:
    """The share of every outcome in every mode; examples shut below."""
    worked = [mode for mode in modes if mode.name in by_mode and "failed" not in by_mode[mode.name]]
    if worked:
        found = [by_mode[mode.name] for mode in worked]
        names = [name for name in OUTCOMES if any(one.get(name) for one in found)]
        share = figures.Measure("", "")
        rows = tuple(
            Row(
                figures.words(OUTCOMES[name]).split(";")[0],
                tuple(figures.cell(share, one.get(name), mode) for mode, one in zip(worked, found, strict=True)),
                "".join(OUTCOMES[name].partition("; ")[2:]),
            )
            for name in names
        )
        yield Table(title, "", tuple(worked), (Group("", rows),))
    for mode in modes:
        one = by_mode.get(mode.name, {})
        if "failed" in one:
            yield Text(f"{mode.name} failed: {one['failed']}", "bad")
        if one.get("examples"):
            yield _examples(mode, one["examples"])


def _examples(mode: Column, examples: Sequence[Part]) -> Table:
    keys = [key for key in examples[0] if key not in ("id", "question")]
    rows = tuple(
        Row(one["question"], tuple(Cell(str(one.get(key, "–"))) for key in keys), str(one["id"])) for one in examples
    )
    heads = tuple(Column(figures.words(key)) for key in keys)
    title = f"Where {mode.name} went wrong"
    return Table(title, "Question", heads, (Group("", rows),), fold=title)


def _validation(rows: Sequence[Part]) -> Iterator[Block]:
    """Each metric's agreement with people, by data set."""
    groups = []
    for data in dict.fromkeys(row["data"] for row in rows):
        lines = tuple(
            Row(_named(row["metric"]), (Cell(row["figure"]), _agreed(row), Cell(f"{row['n']:,}")))
            for row in rows
            if row["data"] == data
        )
        groups.append(Group(data, lines))
    if groups:
        yield Table("Metrics against people", "", (Column("Figure"), Column("Value"), Column("Of")), tuple(groups))


def _named(metric: str) -> str:
    return figures.KNOWN[metric].label if metric in figures.KNOWN else figures.words(metric)


def _agreed(row: Part) -> Cell:
    ends = row["value"], row["low"], row["high"]
    return Cell(f"{ends[0]:.2f}", f"{ends[1]:.2f} to {ends[2]:.2f}", whisker(ends, 0))


def _human(rated: Part, modes: Sequence[Column]) -> Iterator[Block]:
    raters = "one person" if rated["raters"] == 1 else f"{rated['raters']:,} people"
    yield Text(f"{figures.count(rated['ratings'], 'rating')} by {raters}.")
    shown = [mode for mode in modes if mode.name in rated["modes"]]
    rate = figures.Measure("", "")
    rows = tuple(
        Row(
            figures.words(aspect),
            tuple(figures.cell(rate, rated["modes"][mode.name].get(aspect), mode) for mode in shown),
        )
        for aspect in ASPECTS
    )
    yield Table("Win rates", "Win rate", tuple(shown), (Group("", rows),))
    pairs = tuple(_pairs(rated["pairs"]))
    if pairs:
        heads = tuple(map(Column, ("Win rate of the first", "Won · tied · lost", "after Holm")))
        yield Table("Two modes at a time", "Two modes at a time", heads, pairs)
    yield Facts(tuple(_agreement(rated)))


def _pairs(pairs: Iterable[Part]) -> Iterator[Group]:
    for pair in pairs:
        lines = []
        for aspect in ASPECTS:
            if one := pair.get(aspect):
                ends = one["mean"], one["low"], one["high"]
                value = Cell(figures.percent(ends[0]), f"{100 * ends[1]:.1f} to {100 * ends[2]:.1f}", whisker(ends, 0))
                said = "a real difference" if one["p_holm"] < ALPHA else "not proven"
                tally = Cell(f"{one['wins']} · {one['ties']} · {one['losses']}")
                lines.append(Row(figures.words(aspect), (value, tally, Cell(figures.p_value(one["p_holm"]), said))))
        if lines:
            yield Group(f"{pair['modes'][0]} against {pair['modes'][1]}", tuple(lines))


def _agreement(rated: Part) -> Iterator[tuple[str, str]]:
    found = rated["agreement"]
    yield "Pairs that several people rated", f"{found['shared']:,}"
    for aspect in ASPECTS:
        if one := found.get(aspect):
            value = (
                f"{one['value']:.2f} ({one['low']:.2f} to {one['high']:.2f}), the same {figures.percent(one['share'])}"
            )
            yield f"Agreement on {aspect}, {one['measure']}", value
        if side := rated["left"].get(aspect):
            yield f"Won by the answer on the left, {aspect}", figures.percent(side["mean"])
    if rated.get("stale"):
        yield "Ratings of answers that are no longer here", f"{rated['stale']:,}"
