"""`deskmate bench`: how fast ingesting, searching and answering are here, and what the metrics are worth."""

from dataclasses import dataclass
from pathlib import Path

from app.console import console, print_json
from app.desk import Desk
from ingest.errors import DeskmateError

SIZES = (64, 96, 128, 160, 192, 224)
"""Chunk sizes of the curve, in the embedder's tokens."""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What single benchmarks need: a folder or file, a number of chunks, a recipe, people's labels."""

    data: Path | None = None
    chunks: int = 100_000
    recipe: str = "smollm2-135m-cpu"
    random_weights: bool = False
    ragchecker: Path | None = None
    begin: Path | None = None
    repetitions: int = 50
    ingest: bool = False


def run_bench(desk: Desk, what: str, options: BenchOptions, as_json: bool) -> None:
    """Run one benchmark and print its figures.

    Raises:
        DeskmateError: an unknown benchmark, or one without the data it needs.
    """
    match what:
        case "chunking":
            from eval.bench.chunking import bench_chunking

            folder = _needed(options.data, "Chroma's chunking evaluation (corpora/, questions_df.csv)")
            rows = [row.as_json() for row in bench_chunking(folder, SIZES, "hybrid", desk.embedder, desk.workspace)]
        case "search":
            from eval.bench.search import bench_search

            rows = [bench_search(options.chunks, desk.embedder)]
        case "ingest":
            from eval.bench.ingest import bench_ingest

            rows = bench_ingest(desk, _needed(options.data, "documents"))
        case "generate":
            from eval.bench.generate import bench_generate

            rows = bench_generate(desk)
        case "tune":
            from eval.bench.tune import bench_tune

            rows = bench_tune(desk, options.recipe, options.random_weights)
        case "api":
            from eval.bench.api import bench_api

            rows = bench_api(desk, options.ingest)
        case "crash":
            from eval.bench.crash import bench_crash

            rows = bench_crash(options.repetitions)
        case "swap":
            from eval.bench.swap import bench_swap

            rows = bench_swap(desk)
        case "embed":
            from eval.bench.embed import bench_embed

            rows = bench_embed(desk, _needed(options.data, "documents"))
        case "metrics":
            from eval.validate import validate

            rows = validate(options.ragchecker, options.begin, desk.embedder.embed)
        case _:
            raise DeskmateError(
                f"there is no benchmark {what!r}; choose ingest, embed, search, generate, tune, swap, api, "
                "crash, chunking or metrics"
            )
    if as_json:
        print_json({"bench": what, "rows": rows})
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    console().print(table)


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _needed(data: Path | None, what: str) -> Path:
    if data is None:
        raise DeskmateError(f"this benchmark needs --data FOLDER with {what}")
    if not data.is_dir():
        raise DeskmateError(f"there is no folder {data}")
    return data
