"""An evaluation on the screen: the verdict, the modes side by side, what differs, and what to do next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.console import console
from eval.reporting.judge import SHARES, judge_trust

ROWS = (
    "recall@5", "key_fact_accuracy", "token_f1", "supported_sentences", "citation_precision", "refusal_recall",
    "over_refusal", "restricted_facts_told", "house_form", "house_form_written", "first_token_ms", "total_ms",
)  # fmt: skip
"""Figures that are shown here; the report has all of them."""


def print_report(report: Mapping[str, Any], out: Path) -> None:
    """Print the figures that one looks at first."""
    from rich.table import Table

    screen = console()
    screen.print(f"\n{report['verdict']}\n", style="bold", markup=False)
    table = Table(box=None, header_style="dim")
    table.add_column("")
    for mode in report["modes"]:
        table.add_column(mode["mode"])
    for name in ROWS:
        cells = [mode["all"].get(name) for mode in report["modes"]]
        if any(cells):
            table.add_row(name.replace("_", " "), *map(_cell, cells))
    for name in ("prompt_tokens", "completion_tokens", "answers_per_minute", "money_per_1000"):
        cells = [(mode["all"]["cost"] or {}).get(name) for mode in report["modes"]]
        if any(cells):
            table.add_row(name.replace("_", " "), *map(_cell, cells))
    screen.print(table)
    for one in report["comparisons"]:
        if one["metric"] == "key_fact_accuracy":
            first, second = one["modes"]
            counts = f"{one['wins']} won, {one['ties']} tied, {one['losses']} lost"
            screen.print(f"\n{first} minus {second}: {_cell(one['difference'])}, p {one['p_holm']:.3f}; {counts}")
    if probe := report["forgetting"]:
        said = f"base {probe['base']:.3f}, adapter {probe['adapter']:.3f}" if "base" in probe else probe["failed"]
        screen.print(f"\nforgetting probe: {said}", markup=False)
    if judge := report["judge"]:
        _print_judge(judge)
    for mode in report["modes"]:
        if mode["failed"]:
            screen.print(
                f"\n{mode['mode']}: {mode['failed']} failed, first: {mode['failure']}", style="red", markup=False
            )
    if report["adapter"] and report["adapter"]["tuned_on"] is None:
        name = report["adapter"]["id"]
        screen.print(
            f"\nwhat {name} was tuned on is not known, so nobody can say that these questions were not among it"
        )
    screen.print(f"\nthe report: {out / 'report.html'}   (also .md and .json, and every answer)", style="dim")


def _print_judge(judge: Mapping[str, Any]) -> None:
    from rich.table import Table

    screen = console()
    screen.print(f"\njudged by {judge['model']}, which takes no part in the verdict or the gate", markup=False)
    screen.print(judge_trust(judge), markup=False)
    table = Table(box=None, header_style="dim")
    table.add_column("")
    for mode in judge["modes"]:
        table.add_column(mode)
    for name in SHARES:
        cells = [mode[name] for mode in judge["modes"].values()]
        if any(cells):
            table.add_row(SHARES[name], *map(_cell, cells))
    screen.print(table)
    if judge["failed"]:
        screen.print(f"{judge['failed']} without a verdict, first: {judge['failure']}", style="red", markup=False)


def _cell(figure: Any) -> str:
    match figure:
        case {"mean": mean, "low": low, "high": high}:
            return f"{mean:.3f} ({low:.3f} to {high:.3f})"
        case {"p50": p50, "p95": p95}:
            return f"{p50:.0f} (p95 {p95:.0f})"
        case _:
            return "–" if figure is None else str(figure)
