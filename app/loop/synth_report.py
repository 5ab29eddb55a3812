"""What `deskmate synth` prints: what asking will take, the mix, a few rows, what was left out, what is next."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from app.console import console
from app.loop.synth import Synthesised
from finetune.curation.rows import Row
from finetune.synthesis.teacher import Estimate, Lessons

SAMPLES = 3
REASONS = 5
"""Reasons shown of each kind; the card has all."""


def estimate_line(estimate: Estimate, teacher: str) -> str:
    """What a run will take, on one line."""
    if not estimate.requests:
        return f"{teacher}: all {estimate.kept} replies are there from an earlier run, nothing needs to be asked"
    kept = f" ({estimate.kept} replies are there from an earlier run)" if estimate.kept else ""
    cost = "" if estimate.cost is None else f", about {estimate.cost:.2f} at your prices"
    return (
        f"{teacher}: {estimate.requests} requests{kept} for {estimate.pairs} pairs, "
        f"about {estimate.tokens_in:,} tokens in and {estimate.tokens_out:,} out{cost}"
    )


def synth_json(made: Synthesised) -> dict[str, Any]:
    """A run as one object."""
    data: dict[str, Any] = {
        "out": str(made.out),
        "teacher": made.teacher,
        "pairs": made.pairs,
        "kept": made.curated.report.kept,
        "rows": {name: len(rows) for name, rows in made.splits.items()},
        "unanswerable": {name: sum(map(_declines, rows)) for name, rows in made.splits.items()},
        "kinds": {name: dict(Counter(str(row.kind) for row in rows)) for name, rows in made.splits.items()},
        "left_out": {one.name: one.rejected for one in made.curated.report.filters},
        "notes": list(made.curated.report.notes),
    }
    if made.lessons:
        data["requests"] = _requests(made.lessons)
    if made.included:
        data["included"] = {"taken": made.included.taken, "pairs": len(made.included.pairs)}
    return data


def print_synth(made: Synthesised) -> None:
    """A run for people."""
    out = console()
    kept = made.curated.report.kept
    out.print(f"[bold]{made.pairs:,} pairs[/] from {made.teacher}, {kept:,} passed the filters\n", highlight=False)
    out.print(_mix(made))
    train = made.splits["train"]
    for row in _samples(train):
        _print_row(row)
    _print_left_out(made)
    rows = ", ".join(f"{name}.jsonl ({len(rows):,} rows)" for name, rows in made.splits.items())
    out.print(f"\nwrote {rows}, pairs.jsonl, card.json and card.md to {made.out}", markup=False, soft_wrap=True)
    out.print(f"next: deskmate tune   (what is in it, and what is not: {made.out}/card.md)", style="dim", markup=False)


def _mix(made: Synthesised) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("kind")
    counts = {name: Counter(row.kind for row in rows) for name, rows in made.splits.items()}
    for name in counts:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("share", justify="right")
    total = sum(map(len, made.splits.values()))
    kinds = sum(counts.values(), Counter())
    for kind, count in kinds.most_common():
        cells = [f"{one[kind]:,}" for one in counts.values()]
        table.add_row(str(kind), *cells, f"{count / total:.0%}")
    declined = [sum(map(_declines, rows)) for rows in made.splits.values()]
    table.add_row(
        "[dim]of these to be declined[/]", *(f"[dim]{n:,}[/]" for n in declined), f"[dim]{sum(declined) / total:.0%}[/]"
    )
    return table


def _declines(row: Row) -> bool:
    return bool(row.passages) and not row.evidence


def _samples(rows: Sequence[Row]) -> Iterable[Row]:
    """One row of each sort: an answer, one of several lines, and a refusal; the shortest that are not too short."""
    sorts = (
        [row for row in rows if row.evidence and "\n" not in row.answer and len(row.prompt) == 1],
        [row for row in rows if "\n" in row.answer] or [row for row in rows if row.evidence and len(row.prompt) > 1],
        [row for row in rows if _declines(row)],
    )
    return [sort[len(sort) // 2] for sort in sorts if sort][:SAMPLES]


def _print_row(row: Row) -> None:
    out = console()
    out.print()
    for turn in row.prompt[:-1]:
        out.print(f"  {turn['content']}", style="dim", markup=False, soft_wrap=True)
    out.print(f"  {row.question}", style="bold", markup=False, soft_wrap=True)
    for line in row.answer.split("\n"):
        out.print(f"  {line}", markup=False, soft_wrap=True)
    source = row.evidence[0].doc if row.evidence else f"{row.passages} passages that do not say it"
    out.print(f"  {row.kind}, {row.style}, {source}", style="cyan", markup=False)


def _print_left_out(made: Synthesised) -> None:
    out = console()
    filters = sorted((one for one in made.curated.report.filters if one.rejected), key=lambda one: -one.rejected)
    if filters:
        counts = ", ".join(f"{one.name} {one.rejected:,}" for one in filters)
        out.print(f"\nleft out by the filters: {counts}", style="dim", soft_wrap=True)
    if made.lessons:
        _print_lessons(made.lessons)
    if made.included:
        own = made.included
        out.print(
            f"\nyour own: {len(own.pairs):,} of {own.taken:,} taken in, masked: {own.masked or 'nothing'}", markup=False
        )
        for reason, example in own.examples.items():
            out.print(f"  {own.rejected[reason]:,} left out ({reason}), such as {example}", style="dim", markup=False)
    for note in made.curated.report.notes:
        out.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)


def _print_lessons(lessons: Lessons) -> None:
    out = console()
    asked = _requests(lessons)
    out.print(
        f"\nteacher: {asked['asked']:,} requests answered now, {asked['kept']:,} before; "
        f"{lessons.tokens_in:,} tokens in, {lessons.tokens_out:,} out"
    )
    for reason, count in lessons.rejected.most_common(REASONS):
        out.print(f"  {count:,} pairs not taken: {reason}", style="dim", markup=False)
    for reason, count in lessons.failed.most_common(REASONS):
        out.print(f"  {count:,} requests failed: {reason}", style="yellow", markup=False, soft_wrap=True)
    if lessons.failed:
        out.print("  run the same command again: only what failed is asked again", style="yellow")


def _requests(lessons: Lessons) -> dict[str, Any]:
    return {
        "asked": lessons.asked,
        "kept": lessons.kept,
        "failed": lessons.failed.total(),
        "rejected_pairs": dict(lessons.rejected.most_common()),
        "tokens_in": lessons.tokens_in,
        "tokens_out": lessons.tokens_out,
    }
