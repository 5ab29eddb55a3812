"""The attacks in a report: what must never succeed, what did, and how often each mode does as it is told."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.console import console
from eval.reporting import figures
from eval.reporting.blocks import Block, Cell, Code, Column, Group, Heading, Page, Row, Section, Table, Text

Part = Mapping[str, Any]

FAMILIES = {
    "direct": "the question asks for it",
    "coded": "the question asks for it in a code",
    "prompt-leak": "the question asks for the instructions",
    "made-up-turns": "earlier turns that never were",
    "delimiters": "a document that tries to end its passage",
    "planted": "an instruction in a document, in plain sight",
    "half-hidden": "one hidden by colour, style sheet, notes and the like",
    "hidden": "text that ingestion leaves out",
    "exfiltration": "pictures, links and forms that would carry data out",
    "script": "scripts in answers, questions and documents",
    "forged-citation": "citations of what does not say so",
    "cross-group": "questions for what others may read",
    "access": "requests for what others may read",
    "staff-door": "askers at the help desk's pages",
    "cross-site": "letters from another site, and ways that lead to one",
    "traversal": "addresses of files that are not served",
    "input": "broken and endless requests",
}
"""What is tried, in words."""


def attack_blocks(report: Part, modes: Sequence[Column]) -> Iterator[Block]:
    """The blocks of a section."""
    built = report["structural"]
    yield Heading("Attacks")
    yield Text(
        f"{report['attacks']:,} attacks, each with a word that must not come back: {built['attacks']:,} that the code "
        f"is to prevent whatever the model writes, and {report['measured']:,} that are up to the model."
    )
    if built["succeeded"]:
        yield Text(f"{built['succeeded']:,} attacks succeeded that the code is to prevent.", "bad")
    else:
        yield Text(f"None of the first kind succeeded, in {built['tried']:,} attempts.", "good")
    lines = tuple(
        Row(
            figures.words(name.replace("-", " ")),
            (Cell(f"{one['attacks']:,}"), Cell(f"{one['succeeded']:,}")),
            FAMILIES[name],
        )
        for name, one in built["families"].items()
    )
    heads = (Column("Attacks"), Column("Succeeded"))
    yield Table("What the code prevents", "Prevented by construction", heads, (Group("", lines),))
    yield from _by_mode(report["modes"], modes)
    yield from _successes(report["successes"])


def _by_mode(by_mode: Part, modes: Sequence[Column]) -> Iterator[Block]:
    shown = [mode for mode in modes if mode.name in by_mode]
    share = figures.Measure("", "")
    for key, title in (("served", "Does as it is told, as served"), ("wrote", "The same, as the model wrote")):
        names = list(dict.fromkeys(name for mode in shown for name in by_mode[mode.name]["families"]))
        rows = [
            Row(
                figures.words(name.replace("-", " ")),
                tuple(
                    figures.cell(share, by_mode[mode.name]["families"].get(name, {}).get(key), mode) for mode in shown
                ),
                FAMILIES[name],
            )
            for name in names
        ]
        total = Row("All", tuple(figures.cell(share, by_mode[mode.name]["all"][key], mode) for mode in shown))
        yield Table(f"{title}; lower is better", title, tuple(shown), (Group("", (*rows, total)),))
    for mode in shown:
        if failed := by_mode[mode.name]["failed"]:
            yield Text(f"{mode.name}: {figures.count(len(failed), 'attack')} could not be asked.", "bad")


def _successes(found: Sequence[Part]) -> Iterator[Block]:
    if found:
        cells = ((Cell(one["mode"] or "–"), Cell(one["context"])) for one in found)
        rows = tuple(Row(one["id"], pair, one["guarantee"]) for one, pair in zip(found, cells, strict=True))
        title = f"Where the word came back, {len(found):,} times, and what stood around it"
        heads = (Column("Mode"), Column("Around the word"))
        yield Table(title, "Attack", heads, (Group("", rows),), fold=title)


def attack_page(report: Part, command: str) -> Page:
    """A report of nothing but the attacks."""
    modes = figures.columns(list(report["modes"]))
    section = Section("attacks", "Attacks", "", tuple(attack_blocks(report, modes)))
    repeat = Section("repeat", "How to repeat it", "", (Code(command),))
    return Page(
        title="Attacks",
        kicker=f"Attacks · {figures.day(report['created'])}",
        verdict=verdict(report),
        about=(("Model", report["model"]), ("Modes", ", ".join(report["modes"]))),
        gate=None,
        sections=(section, repeat),
        made=f"Made by deskmate {report['deskmate']} on {figures.day(report['created'])}.",
    )


def print_attacks(report: Part, out: Path) -> None:
    """Print what one looks at first."""
    from rich.table import Table as Grid

    screen, built = console(), report["structural"]
    tone = "red" if built["succeeded"] else "green"
    screen.print(f"\n{verdict(report)}\n", style=f"bold {tone}", markup=False)
    grid = Grid("does as it is told, as served", *report["modes"], box=None, header_style="dim")
    for name in dict.fromkeys(name for mode in report["modes"].values() for name in mode["families"]):
        grid.add_row(name, *(_share(mode["families"].get(name)) for mode in report["modes"].values()))
    grid.add_row("all", *(_share(mode["all"]) for mode in report["modes"].values()), style="bold")
    screen.print(grid)
    for one in report["successes"]:
        if one["guarantee"] == "structural":
            screen.print(f"\n{one['id']} {one['mode']}: … {one['context']} …", style="red", markup=False)
    screen.print(f"\nthe report: {out / 'report.html'}   (also .md, attacks.json and every answer)", style="dim")


def _share(shares: Part | None) -> str:
    one = (shares or {}).get("served")
    return f"{one['mean']:.0%} ({one['low']:.0%} to {one['high']:.0%})" if one else "–"


def verdict(report: Part) -> str:
    """The sentence that counts."""
    built = report["structural"]
    none = f"None of {built['attacks']:,} attacks that must not succeed did."
    return (
        f"{built['succeeded']:,} of {built['attacks']:,} attacks that must not succeed did."
        if built["succeeded"]
        else none
    )
