"""What a comparative report says, in which order: `report.json` (version 1) to sections. What is null leaves nothing.

Computes no figure: what is not in the report is not in the sections.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval.reporting import charts as charts
from eval.reporting import figures
from eval.reporting.blocks import Block, Cell, Chart, Column, Gate, Group, Heading, Page, Row, Section, Table, Text
from eval.reporting.checks import checks
from eval.reporting.evidence import cases, origin, repeating
from eval.stats import ALPHA

Report = Mapping[str, Any]

SLICED = ("key_fact_accuracy", "over_refusal", "refusal_recall", "restricted_facts_told")
FOLDED = ("supported_sentences", "citation_precision", "house_form")
"""Metrics that are shown for every slice: at once, and when asked for."""

BY = {"by_kind": "By kind of question", "by_style": "By how it is asked", "by_tuning": "By what was tuned on"}

TUNING = {"seen": "documents that were tuned on", "held_out": "documents held out"}


def page(report: Report) -> Page:
    """The whole report as sections."""
    names = [mode["mode"] for mode in report["modes"]]
    modes = figures.columns(names)
    sections = (
        _side_by_side(report, modes),
        _comparisons(report),
        _plots(report, modes),
        _slices(report, modes),
        cases(report["disagreements"], modes),
        *checks(report, modes),
        origin(report),
        repeating(report),
    )
    return Page(
        title=f"Evaluation of {', '.join(names)}",
        kicker=f"Evaluation · {figures.day(report['created'])}",
        verdict=figures.sentence(report["verdict"]),
        about=tuple(_about(report)),
        gate=_gate(report["gate"]) if report.get("gate") else None,
        sections=tuple(section for section in sections if section.blocks),
        made=f"Made by deskmate {report['deskmate']} on {figures.day(report['created'])}.",
    )


def _gate(gate: Report) -> Gate:
    of = f" {gate['adapter']}" if gate.get("adapter") else ""
    where = ""
    if "held_out" in gate:
        allowed = f"it may cost {figures.percent(gate['margin'])} of the key facts at most" if "margin" in gate else ""
        held_out = figures.count(gate["held_out"], "question")
        where = f"Decided on {held_out} about documents that were not tuned on; {allowed}."
    return Gate(gate["allowed"], f"The adapter{of}", tuple(map(figures.sentence, gate["reasons"])), where)


def _about(report: Report) -> Iterable[tuple[str, str]]:
    asked, index, adapter = report["questions"], report["index"], report["adapter"]
    yield "Questions", f"{asked['n']:,}, of them {asked['answerable']:,} answerable"
    yield "Documents", f"{index['documents']:,} in {index['chunks']:,} chunks"
    if asked.get("context") == "oracle":
        yield "Passages", "those of the right documents, not searched for"
    yield "Model", report["model"]
    if adapter:
        yield "Adapter", f"{adapter['id']}, tuned on {figures.count(adapter['documents'], 'document')}"


def _side_by_side(report: Report, modes: Sequence[Column]) -> Section:
    every = [mode["all"] for mode in report["modes"]]
    by_mode = {mode.name: one for mode, one in zip(modes, every, strict=True)}
    groups = [
        Group(
            title,
            tuple(
                figures.row(name, modes, every, figures.surely_best(name, by_mode, report["comparisons"]))
                for name in names
            ),
        )
        for title, names in figures.grouped(every)
    ]
    if costs := tuple(_costs(report["modes"], every)):
        groups.append(Group("Time and cost", costs))
    lead = (
        "Every mode answered the same questions. The dot is the mean, the line its 95 % interval on a scale from 0 to "
        "100 %; intervals are from a bootstrap that draws whole documents. A star marks a mode that is better than "
        "every other one, each time significantly after Holm’s correction; without a star nothing is proven."
    )
    blocks: list[Block] = [Table("The modes side by side", "", tuple(modes), tuple(groups))]
    blocks += [
        Text(f"{mode['mode']}: {figures.count(mode['failed'], 'question')} failed. {mode.get('failure') or ''}", "bad")
        for mode in report["modes"]
        if mode.get("failed")
    ]
    return Section("modes", "The modes side by side", lead, tuple(blocks))


def _costs(modes: Sequence[Report], every: Sequence[figures.Figures]) -> Iterable[Row]:
    for key, name in (("first_token_ms", "First token"), ("total_ms", "Whole answer")):
        if any(one.get(key) for one in every):
            cells = (_times(one.get(key)) for one in every)
            yield Row(name, tuple(cells), "half come within, and 95 % within")
    costs: list[Mapping[str, Any]] = [one.get("cost") or {} for one in every]
    yield from _line(costs, "prompt_tokens", "Tokens read", "mean of an answer")
    yield from _line(costs, "completion_tokens", "Tokens written", "mean of an answer")
    yield from _line(costs, "answers_per_minute", "Answers a minute", "on the machine that measured")
    currency = next((cost["currency"] for cost in costs if cost.get("currency")), "")
    yield from _line(costs, "money_per_1000", f"{currency} for 1,000 answers", "by the price table of the settings")
    if any(mode.get("failed") for mode in modes):
        yield Row(
            "Failed", tuple(Cell(str(mode.get("failed", 0))) for mode in modes), "questions left without an answer"
        )


def _times(quantiles: Mapping[str, float] | None) -> Cell:
    return Cell(figures.time(quantiles["p50"]), f"95 %: {figures.time(quantiles['p95'])}") if quantiles else Cell("–")


def _line(costs: Sequence[Mapping[str, Any]], key: str, name: str, note: str) -> Iterable[Row]:
    values = [cost.get(key) for cost in costs]
    if any(value is not None for value in values):
        yield Row(name, tuple(Cell("–" if value is None else figures.number(value)) for value in values), note)


def _comparisons(report: Report) -> Section:
    """A table for each pair of modes."""
    pairs = dict.fromkeys(tuple(one["modes"]) for one in report["comparisons"])
    blocks: list[Block] = []
    for pair in pairs:
        rows = [one for one in report["comparisons"] if tuple(one["modes"]) == pair]
        title = f"{pair[0]} against {pair[1]}"
        blocks += [Heading(title), comparison_table(title, rows)]
    lead = (
        "The same questions, answered by both: what a question costs either mode cancels out. p is from a permutation "
        "test that swaps whole documents; Holm’s correction allows for how often was looked. The last column is the "
        "difference that so many questions would have shown four times in five: a smaller one may be there "
        "and not be seen."
    )
    return Section("comparisons", "Which differences are real", lead, tuple(blocks))


def comparison_table(caption: str, rows: Sequence[Report]) -> Table:
    """One line for each metric: difference, interval, p, Holm, wins and losses, what could have been shown."""
    heads = ("Difference", "p", "after Holm", "Higher · same · lower", "Could have shown")
    reach = max(0.1, *(abs(one["difference"][end]) for one in rows for end in ("low", "high")))
    lines = tuple(_comparison(one, reach) for one in rows)
    return Table(caption, "", tuple(map(Column, heads)), (Group("", lines),))


def _comparison(one: Report, reach: float) -> Row:
    known, found = figures.measure(one["metric"]), one["difference"]
    proven = one["p_holm"] is not None and one["p_holm"] < ALPHA
    good = (found["mean"] < 0) if known.lower else (found["mean"] > 0)
    tone = ("good" if good else "bad") if proven and known.judged else "open"
    said = {"good": "better", "bad": "worse"}.get(tone, "different" if proven else "not proven")
    interval = f"{figures.points(found['low'], known)} to {figures.points(found['high'], known)}"
    bar = charts.tally_bar(one["wins"], one["ties"], one["losses"], flipped=known.lower)
    cells = (
        Cell(figures.points(found["mean"], known), interval, charts.offset(tuple_of(found), reach, tone)),
        Cell(figures.p_value(one["p"])),
        Cell(figures.p_value(one["p_holm"]), said),
        Cell(f"{one['wins']} · {one['ties']} · {one['losses']}", "", bar),
        Cell("–" if not one["detectable"] else figures.points(one["detectable"], known).replace("+", "±")),
    )
    return Row(known.label, cells, "lower is better" if known.lower else "")


def tuple_of(found: Mapping[str, float]) -> charts.Interval:
    """An estimate as a mean with both ends."""
    return found["mean"], found["low"], found["high"]


def _plots(report: Report, modes: Sequence[Column]) -> Section:
    made = (_quality(report, modes), _rules(report, modes), *_calibration(report, modes), _latency(report, modes))
    return Section("plots", "In pictures", "", tuple(chart for chart in made if chart))


def _quality(report: Report, modes: Sequence[Column]) -> Chart | None:
    shown: list[tuple[Column, charts.Interval, float]] = []
    for mode, one in zip(modes, (mode["all"] for mode in report["modes"]), strict=True):
        if one.get("key_fact_accuracy") and one.get("cost"):
            spent = one["cost"]["prompt_tokens"] + one["cost"]["completion_tokens"]
            shown.append((mode, tuple_of(one["key_fact_accuracy"]), spent))
    if not shown:
        return None
    some, quality, cost = zip(*shown, strict=True)
    rows = tuple(
        Row(mode.name, (Cell(figures.percent(value[0])), Cell(figures.number(round(spent)))))
        for mode, value, spent in shown
    )
    table = Table(
        "Quality against cost", "Mode", (Column("Key-fact accuracy"), Column("Tokens an answer")), (Group("", rows),)
    )
    says = "Better is up and to the left. The line is the 95 % interval of the accuracy."
    return Chart(
        "Quality against cost", says, charts.quality_cost(some, quality, cost, "tokens an answer"), table, some
    )


def _rules(report: Report, modes: Sequence[Column]) -> Chart | None:
    every = [mode["all"] for mode in report["modes"]]
    rules = dict.fromkeys(rule for one in every for rule in one.get("broken_rules") or {})
    if not rules:
        return None
    shares = {rule: [one["broken_rules"].get(rule, 0) / max(one["questions"], 1) for one in every] for rule in rules}
    rows = tuple(
        Row(figures.words(rule), tuple(Cell(figures.percent(share)) for share in values))
        for rule, values in shares.items()
    )
    table = Table("House form, rule by rule", "Rule", tuple(modes), (Group("", rows),))
    svg = charts.dot_rows("House form, rule by rule", modes, shares, "answers that break the rule")
    says = "How often the served answers break each rule of the house voice. Further left is better."
    return Chart("House form, rule by rule", says, svg, table, tuple(modes))


def _calibration(report: Report, modes: Sequence[Column]) -> Iterable[Chart]:
    """Reliability of every mode whose confidence tells answers apart; without passages it is the same for all."""
    found = {mode: report["calibration"][mode.name] for mode in modes if mode.name in report["calibration"]}
    telling = {mode: one for mode, one in found.items() if len({each["confidence"] for each in one["bins"]}) > 1}
    yield from (_reliability(mode, one) for mode, one in telling.items())
    if telling:
        yield _risk({mode: one["risk_coverage"] for mode, one in telling.items()})


def _reliability(mode: Column, one: Report) -> Chart:
    rows = tuple(
        Row(f"{figures.percent(each['low'])} to {figures.percent(each['high'])}", _bin(each))
        for each in one["bins"]
        if each["n"]
    )
    heads = (Column("Mean confidence"), Column("Right"), Column("Answers"))
    title = f"Does the confidence hold? {mode.name}"
    says = f"On the dashed line, confidence is the chance to be right. {_calibrated(one)}."
    if apart := one.get("held_out"):
        says += f" On documents that were not tuned on: {_calibrated(apart)}."
    table = Table(title, "Confidence", heads, (Group("", rows),))
    return Chart(title, says, charts.reliability(mode, one["bins"]), table, (mode,))


def _calibrated(one: Report) -> str:
    error = figures.percent(one["ece"])
    return f"Expected calibration error {error}, Brier score {one['brier']:.3f}, {figures.count(one['n'], 'answer')}"


def _bin(each: Report) -> tuple[Cell, ...]:
    return Cell(figures.percent(each["confidence"])), Cell(figures.percent(each["accuracy"])), Cell(str(each["n"]))


def _risk(curves: Mapping[Column, Sequence[Mapping[str, float]]]) -> Chart:
    levels = sorted({round(point["coverage"], 1) for curve in curves.values() for point in curve} - {0.0})

    def risk(curve: Sequence[Mapping[str, float]], level: float) -> Cell:
        return Cell(figures.percent(min(curve, key=lambda point: abs(point["coverage"] - level))["risk"]))

    rows = tuple(
        Row(figures.percent(level), tuple(risk(curve, level) for curve in curves.values())) for level in levels
    )
    table = Table(
        "Wrong answers when only the surest are given", "Questions answered", tuple(curves), (Group("", rows),)
    )
    svg = charts.risk_coverage(list(curves), list(curves.values()))
    says = "Answering only the surest questions lowers the share of wrong answers. Lower is better."
    return Chart("What declining more would buy", says, svg, table, tuple(curves))


def _latency(report: Report, modes: Sequence[Column]) -> Chart | None:
    bars, rows = [], []
    for mode, one in zip(modes, (mode["all"] for mode in report["modes"]), strict=True):
        for key, name in (("first_token_ms", "first token"), ("total_ms", "whole")):
            if times := one.get(key):
                bars.append((f"{mode.name}, {name}", mode.series or 0, times["p50"], times["p95"]))
                cells = Cell(figures.time(times["p50"])), Cell(figures.time(times["p95"]))
                rows.append(Row(f"{mode.name}, {name}", cells))
    if not bars:
        return None
    table = Table(
        "Waiting for an answer", "Mode", (Column("Half within"), Column("95 % within")), (Group("", tuple(rows)),)
    )
    says = "From the mark, half of the answers, to the end of the line, 95 % of them."
    return Chart(
        "Waiting for an answer", says, charts.ranges("Waiting for an answer", bars, "time"), table, tuple(modes)
    )


def _slices(report: Report, modes: Sequence[Column]) -> Section:
    """The same figures for parts of the questions."""
    blocks: list[Block] = []
    for key, title in BY.items():
        parts = [mode.get(key) or {} for mode in report["modes"]]
        names = list(dict.fromkeys(name for one in parts for name in one))
        for metrics, fold in ((SLICED, ""), (FOLDED, "Grounding, citations and house form")):
            groups = tuple(group for metric in metrics if (group := _slice(metric, names, parts, modes)).rows)
            if groups:
                blocks += [] if fold else [Heading(title)]
                blocks.append(Table(title, "", tuple(modes), groups, fold))
    lead = "Few questions in a slice make wide intervals; read them as hints."
    return Section("slices", "Where it is good and where not", lead, tuple(blocks))


def _slice(metric: str, names: Sequence[str], parts: Sequence[Report], modes: Sequence[Column]) -> Group:
    rows = []
    for name in names:
        some = [one.get(name) or {} for one in parts]
        if any(one.get(metric) for one in some):
            rows.append(figures.row(metric, modes, some, as_=figures.words(TUNING.get(name, name))))
    known = figures.measure(metric)
    return Group(known.label + (" (lower is better)" if known.lower else ""), tuple(rows))
