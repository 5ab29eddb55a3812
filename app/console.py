"""What the command line prints: summaries for people, JSON for machines, progress while something runs."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from app.loop.jobs import PROGRESS

if TYPE_CHECKING:
    from rich.console import Console

    from app.answering.answer import Answer
    from retrieval.build import IngestSummary, Progress
    from retrieval.records import SearchResult


T = TypeVar("T")


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def console() -> "Console":
    """Standard output for people."""
    from rich.console import Console

    return Console(highlight=False)


class SilentProgress:
    """For machines and tests."""

    def total(self, stage: str, count: int) -> None:
        """Say nothing."""

    def done(self, stage: str, count: int) -> None:
        """Say nothing."""


class NotedProgress:
    """For whoever started this command as a job: a small file that says how far each stage is."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stages: dict[str, list[int]] = {}
        self._written = 0.0

    def total(self, stage: str, count: int) -> None:
        """So many things are to be done in a stage, as far as is known now."""
        self._stages.setdefault(stage, [0, 0])[1] = count
        self._note()

    def done(self, stage: str, count: int) -> None:
        """So many more are done."""
        self._stages.setdefault(stage, [0, 0])[0] += count
        self._note()

    def _note(self) -> None:
        """Write it down, a few times a second at most, and at the end of a stage."""
        if time.monotonic() - self._written < 0.3 and any(done < total for done, total in self._stages.values()):
            return
        self._written = time.monotonic()
        with suppress(OSError):  # nobody's work stops because a bar stands still
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps(self._stages), "utf-8")
            os.replace(new, self._file)


def noted_progress() -> NotedProgress | None:
    """Where this command runs as a job: see `app.loop.jobs`."""
    file = os.environ.get(PROGRESS)
    return NotedProgress(Path(file)) if file else None


@contextmanager
def stage_progress(quiet: bool) -> Iterator["Progress"]:
    """Bars with rate and remaining time on standard error, one a stage; a file for a job; else nothing."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Things a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:.0f} {task.fields['unit']}/s", style="dim")

    err = Console(stderr=True)
    if quiet or not err.is_terminal:
        yield noted_progress() or SilentProgress()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, speed_estimate_period=10) as bars:
        tasks: dict[str, TaskID] = {}
        names = {
            "read": ("Reading", "files"),
            "embed": ("Embedding", "chunks"),
            "teach": ("Asking the teacher", "requests"),
            "retrieve": ("Retrieving passages", "questions"),
            "measure": ("Measuring on held-out labels", "labels"),
            "prefer": ("Tuning on feedback", "steps"),
        }

        class Bars:
            def total(self, stage: str, count: int) -> None:
                label, unit = names[stage]
                if stage not in tasks:
                    tasks[stage] = bars.add_task(label, total=count, unit=unit)
                bars.update(tasks[stage], total=count)

            def done(self, stage: str, count: int) -> None:
                bars.advance(tasks[stage], count)

        yield Bars()


def ingest_json(summary: "IngestSummary") -> dict[str, Any]:
    """A run as one object."""
    data = dataclasses.asdict(summary)
    data["quarantined"] = [{"doc": doc, "reason": reason} for doc, reason in summary.quarantined]
    return data


def print_ingest(summary: "IngestSummary", where: str) -> None:
    """A run for people: what changed, what could not be read, where it is and what to do next."""
    out = console()
    parts = [
        f"[green]{len(summary.new)} new[/]" if summary.new else "",
        f"[yellow]{len(summary.changed)} changed[/]" if summary.changed else "",
        f"[red]{len(summary.gone)} gone[/]" if summary.gone else "",
        f"{summary.unchanged} unchanged" if summary.unchanged else "",
    ]
    changes = ", ".join(part for part in parts if part) or "nothing found"
    out.print(f"[bold]{summary.documents} documents, {summary.chunks} chunks[/] ({changes}) in {summary.seconds:.1f} s")
    if summary.published:
        out.print(f"{summary.embedded} chunks embedded, {summary.reused} taken from the cache")
        out.print(f"published [bold]{summary.generation}[/] in {where}")
    else:
        out.print(f"nothing to do: {summary.generation} goes on serving")
    if summary.quarantined:
        out.print(f"\n[yellow]{len(summary.quarantined)} could not be read:[/]")
        for doc, reason in summary.quarantined[:20]:
            out.print(f"  {doc}: {reason}", markup=False, soft_wrap=True)
        if len(summary.quarantined) > 20:
            out.print(f"  … and {len(summary.quarantined) - 20} more; see: deskmate status")
    if summary.skipped:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(summary.skipped.items()))
        out.print(f"files of other types were left out: {kinds}", markup=False)
    out.print('\nnext: deskmate ask "…"   or   deskmate chat', style="dim")


def search_json(result: "SearchResult") -> dict[str, Any]:
    """A search as the contract has it."""
    return {
        "query": result.query,
        "generation": result.generation,
        "results": [
            {
                "rank": hit.rank,
                "score": round(hit.score, 6),
                "doc": hit.chunk.doc,
                "title": hit.chunk.title,
                "heading": hit.chunk.heading,
                "page": hit.chunk.page,
                "chunk_id": hit.chunk.id,
                "start": hit.chunk.start,
                "end": hit.chunk.end,
                "text": hit.chunk.text,
            }
            for hit in result.hits
        ],
    }


def print_search(result: "SearchResult") -> None:
    """Passages for people."""
    from rich.markup import escape

    out = console()
    if not result.hits:
        out.print("nothing found")
    for hit in result.hits:
        page = f", page {hit.chunk.page}" if hit.chunk.page else ""
        out.print(f"[bold]{hit.rank}. {escape(hit.chunk.title or hit.chunk.doc)}[/]  [dim]{hit.score:.4f}[/]")
        where = " › ".join(part for part in (hit.chunk.doc + page, hit.chunk.heading) if part)
        out.print(where, style="cyan", markup=False)
        out.print(hit.chunk.text, markup=False)
        out.print()
    out.print(f"{result.method}, {result.generation}, {result.took_ms:.0f} ms", style="dim")


def answer_json(answer: "Answer") -> dict[str, Any]:
    """An answer as the contract has it."""
    return {
        "question": answer.question,
        "mode": str(answer.mode),
        "answer": answer.answer,
        "refused": answer.refused,
        "confidence": answer.confidence,
        "citations": [dataclasses.asdict(citation) for citation in answer.citations],
        "retrieved": [hit.chunk.id for hit in answer.hits],
        "usage": dataclasses.asdict(answer.usage),
        "timing": dataclasses.asdict(answer.timing),
        "model": answer.model,
        "adapter": answer.adapter,
        "generation": answer.generation,
    }


def print_sources(answer: "Answer") -> None:
    """What stands below an answer: its citations, or the nearest passages of a refusal."""
    out = console()
    if answer.citations:
        out.print()
    for citation in answer.citations:
        page = f", page {citation.page}" if citation.page else ""
        where = " › ".join(part for part in (citation.doc + page, citation.heading) if part)
        out.print(f"[{citation.n}] {where}", style="cyan", markup=False)
        out.print(f"    “{' '.join(citation.quote.split())}”", style="dim", markup=False)
    weak = [sentence.text for sentence in answer.sentences if not sentence.supported]
    if weak and answer.generation:
        out.print("\nnot found in the sources: " + " ".join(weak), style="yellow", markup=False)
    if answer.refused and answer.hits:
        out.print("\nclosest passages:", style="dim")
        for hit in answer.hits[:3]:
            where = " › ".join(part for part in (hit.chunk.doc, hit.chunk.heading) if part)
            out.print(f"  {where}", style="cyan", markup=False)
    took = answer.timing
    out.print(f"\n{answer.mode}, {answer.model}, {took.total_ms / 1000:.1f} s", style="dim")


def note(line: str) -> None:
    """A line on standard error, for whoever watches."""
    sys.stderr.write(f"{line}\n")


def track(things: Sequence[T], label: str) -> Iterator[T]:
    """Go through things with a bar on standard error: how many, how fast, how long still."""
    from rich.console import Console
    from rich.progress import track as bar

    err = Console(stderr=True)
    noted = noted_progress()
    if noted:
        noted.total(label, len(things))
    for thing in bar(things, label, console=err, disable=not err.is_terminal, transient=True):
        yield thing
        if noted:
            noted.done(label, 1)
