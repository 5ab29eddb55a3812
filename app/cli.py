"""The command line. It alone turns a DeskmateError into one line and an exit code, and alone imports `eval`, lazily."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.commands.adapters import adapters
from app.commands.attack import attack
from app.commands.audit import audit
from app.commands.backup import backup, restore
from app.commands.calibrate import calibrate
from app.commands.drift import drift
from app.commands.evaluate import evaluate
from app.commands.feedback import feedback
from app.commands.keys import keys
from app.commands.tune import tune
from app.commands.users import users

app = typer.Typer(
    name="deskmate",
    help="Answers from your company's own documents, with citations, in your company's voice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(adapters, name="adapters")
app.add_typer(feedback, name="feedback")
app.add_typer(keys, name="keys")
app.add_typer(users, name="users")
app.add_typer(audit, name="audit")
app.command()(tune)
app.command("eval")(evaluate)
app.command()(attack)
app.command()(backup)
app.command()(restore)
app.command()(calibrate)
app.command()(drift)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Groups = Annotated[str, typer.Option(help="The asker's groups, separated by commas; everyone is in `everyone`.")]


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Folders and files.")],
    access: Annotated[
        list[str] | None, typer.Option(help="A group that may read them (may be repeated); everyone by default.")
    ] = None,
    allow_shrink: Annotated[bool, typer.Option(help="Remove even more than half of the documents.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the index up to date with documents: new, changed and vanished ones, and only those."""
    from app.console import ingest_json, print_ingest, print_json, stage_progress

    labels = None if access is None else _groups(",".join(access))
    if labels is not None and not labels:
        raise typer.BadParameter("name a group", param_hint="--access")
    desk = _desk()
    with stage_progress(as_json) as progress:
        summary = desk.ingest(progress).run(paths, access=labels, allow_shrink=allow_shrink)
    desk.sources.remember(paths, labels)
    if as_json:
        print_json(ingest_json(summary))
    else:
        print_ingest(summary, str(desk.workspace.index))


@app.command()
def search(
    question: Annotated[str | None, typer.Argument(help="In your own words.")] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, max=1000, help="How many passages.")] = None,
    groups: Groups = "",
    method: Annotated[Literal["hybrid", "dense", "bm25"] | None, typer.Option(help="How; `hybrid` by default.")] = None,
    batch: Annotated[Path | None, typer.Option(help="A question set, one JSON object a line.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the batch's results go.")] = None,
    as_json: Json = False,
) -> None:
    """Find passages."""
    from app.console import print_json, print_search, search_json

    desk = _desk(retrieval={"method": method} if method else {})
    if _is_batch(question, batch, out):
        from app.batch import search_batch

        _report(search_batch(desk, _path(batch), _path(out), k, _groups(groups)), out, as_json)
        return
    result = desk.searcher.search(question or "", k=k, groups=_groups(groups))
    if as_json:
        print_json(search_json(result))
    else:
        print_search(result)


@app.command()
def ask(
    question: Annotated[str | None, typer.Argument(help="In your own words.")] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="prompt-only, rag-only, tune-only or hybrid; by default hybrid where an adapter serves."),
    ] = None,
    adapter: Annotated[
        str | None, typer.Option(help="`name` or `name/vN` of an adapter, promoted or not, or its folder.")
    ] = None,
    groups: Groups = "",
    batch: Annotated[Path | None, typer.Option(help="A question set, one JSON object a line.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the batch's answers go.")] = None,
    as_json: Json = False,
) -> None:
    """Answer a question with citations."""
    from app.answering.answer import Finished, Token
    from app.console import answer_json, print_json, print_sources

    chosen = _mode(mode)
    desk = _desk(adapter)
    if _is_batch(question, batch, out):
        from app.batch import ask_batch

        _report(ask_batch(desk, _path(batch), _path(out), chosen, _groups(groups)), out, as_json)
        return
    if as_json:
        print_json(answer_json(desk.answer(question or "", mode=chosen, groups=_groups(groups))))
        return
    written = False
    for event in desk.stream(question or "", mode=chosen, groups=_groups(groups)):
        if isinstance(event, Token) and sys.stdout.isatty():
            typer.echo(event.text, nl=False)
            written = True
        if isinstance(event, Finished):
            withdrawn = event.answer.refused or event.answer.quoted  # after it had been written
            typer.echo("" if written else event.answer.answer)
            if written and withdrawn:
                typer.echo(f"\n{event.answer.answer}")
            print_sources(event.answer)


@app.command()
def synth(
    teacher: Annotated[
        str | None,
        typer.Option(help="`embedded`, or the address of an OpenAI-compatible server, usually ending in /v1."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The server's name for the teacher; its first one by default.")
    ] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Question-answer pairs wanted before filters.")] = None,
    include: Annotated[
        list[Path] | None, typer.Option(help="Your own questions and answers: JSONL, JSON, CSV or transcripts.")
    ] = None,
    questions: Annotated[
        list[Path] | None, typer.Option(help="Question sets that you measure with; what gives them away is left out.")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Groups besides `everyone` whose documents are used, separated by commas.")
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option("--format", help="Also write alpaca, messages or llama-factory, for other tools."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the data; `qa` in the workspace by default.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another number, another draw.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests to the teacher at the same time.")] = None,
    price_in: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens read.")] = None,
    price_out: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens written.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a teacher on a server is asked.")] = False,
    as_json: Json = False,
) -> None:
    """Turn the documents into questions and answers to tune on."""
    from app.console import print_json, stage_progress
    from app.loop.synth import Synthesis, SynthOptions
    from app.loop.synth_report import print_synth, synth_json

    server = "" if teacher == "embedded" else teacher
    desk = _desk(
        synth=_given(pairs=pairs, seed=seed),
        teacher=_given(
            server=server, server_model=model, concurrency=concurrency, price_in=price_in, price_out=price_out
        ),
        curate=_given(groups=None if groups is None else tuple(sorted(_groups(groups))), seed=seed),
        dataset=_given(seed=seed),
    )
    options = SynthOptions(tuple(include or ()), tuple(questions or ()), _formats(form or ()), out)
    run = Synthesis(desk, options)
    if not _agreed(run, yes):
        typer.echo("nothing was asked", err=True)
        return
    with stage_progress(as_json) as progress:
        made = run.run(progress)
    if as_json:
        print_json(synth_json(made))
    else:
        print_synth(made)


@app.command("eval-retrieval")
def eval_retrieval(
    beir: Annotated[Path | None, typer.Option(help="A folder in BEIR layout.")] = None,
    split: Annotated[str, typer.Option(help="Which judgements of the folder.")] = "test",
    questions: Annotated[
        Path | None, typer.Option(help="Or a question set, searched in the index that serves.")
    ] = None,
    method: Annotated[str, typer.Option(help="hybrid, dense, bm25 or all.")] = "hybrid",
    out: Annotated[Path | None, typer.Option(help="Folder for a report as HTML, Markdown and JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Measure retrieval on a BEIR folder, or on a question set over the index."""
    from eval.retrieval_report import report_beir, report_questions

    if (beir is None) == (questions is None):
        raise typer.BadParameter("give --beir DIR or --questions FILE")
    if method not in ("hybrid", "dense", "bm25", "all"):
        raise typer.BadParameter(f"{method!r} is none of hybrid, dense, bm25, all", param_hint="--method")
    if beir is not None:
        report_beir(_desk(), beir, split, method, as_json, out)
    else:
        report_questions(_desk(), _path(questions), method, as_json, out)


@app.command()
def bench(
    what: Annotated[
        str, typer.Argument(help="ingest, embed, search, generate, tune, swap, api, crash, chunking or metrics.")
    ],
    data: Annotated[Path | None, typer.Option(help="Documents, a question set, or Chroma's folder.")] = None,
    chunks: Annotated[int, typer.Option(help="Size of the index for `search`.")] = 100_000,
    recipe: Annotated[str, typer.Option(help="The recipe for `tune`.")] = "smollm2-135m-cpu",
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="For `tune`: Mistral-7B's architecture, no weights of anyone.")
    ] = False,
    ragchecker: Annotated[Path | None, typer.Option(help="For `metrics`: RAGChecker's human labels.")] = None,
    begin: Annotated[Path | None, typer.Option(help="For `metrics`: the files of BEGIN.")] = None,
    repetitions: Annotated[int, typer.Option(min=2, help="For `crash`: how often the server is ended.")] = 50,
    beside: Annotated[bool, typer.Option("--ingest", help="For `api`: once more while an ingest runs.")] = False,
    as_json: Json = False,
) -> None:
    """Measure speed, the effect of the chunk size, or the metrics themselves, on this machine."""
    from eval.bench.commands import BenchOptions, run_bench

    options = BenchOptions(data, chunks, recipe, random_weights, ragchecker, begin, repetitions, beside)
    run_bench(_desk(), what, options, as_json)


@app.command()
def chat(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    adapter: Annotated[str | None, typer.Option(help="An adapter to serve, promoted or not.")] = None,
) -> None:
    """Open the help-desk chat."""
    flags = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    desk = _desk(adapter, chat=flags)
    from app.server import serve_desk

    serve_desk(desk)


@app.command()
def status(as_json: Json = False) -> None:
    """Say what is indexed, and what could not be read and why."""
    from app.report import print_status

    print_status(_desk(), as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say which models and which arithmetic run here, and why; fetch and verify the embedded ones."""
    from app.report import print_doctor

    print_doctor(_desk(), as_json)


@app.command()
def config(as_json: Json = False) -> None:
    """Show the resolved settings, with what each means."""
    from app.report import print_config

    print_config(_desk().settings, as_json)


def _desk(adapter: str | None = None, /, **flags: dict[str, Any]) -> Any:
    from app.desk import Desk
    from app.settings import load_settings

    return Desk(load_settings(**{section: values for section, values in flags.items() if values}), adapter or "")


def _given(**values: Any) -> dict[str, Any]:
    """The flags that were given."""
    return {name: value for name, value in values.items() if value is not None}


def _formats(names: Sequence[str]) -> tuple[Any, ...]:
    from finetune.curation.formats import Format

    for name in names:
        if name not in list(Format):
            raise typer.BadParameter(f"{name!r} is none of {', '.join(Format)}", param_hint="--format")
    return tuple(Format(name) for name in names)


def _agreed(run: Any, yes: bool) -> bool:
    """Say what asking a teacher on a server will take, and ask whether to go on where somebody is there to answer."""
    from app.loop.synth_report import estimate_line

    estimate = run.estimate()
    if estimate is None:
        return True
    typer.echo(estimate_line(estimate, run.teacher), err=True)
    if yes or not estimate.requests or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return typer.confirm("Ask?", default=True, err=True)


def _groups(groups: str) -> frozenset[str]:
    return frozenset(name for part in groups.split(",") if (name := part.strip()))


def _mode(mode: str | None) -> Any:
    from app.answering.modes import Mode

    if mode is not None and mode not in list(Mode):
        raise typer.BadParameter(f"{mode!r} is none of {', '.join(Mode)}", param_hint="--mode")
    return None if mode is None else Mode(mode)


def _is_batch(question: str | None, batch: Path | None, out: Path | None) -> bool:
    if (batch is None) == (question is None) or (batch is None) != (out is None):
        raise typer.BadParameter("give a question, or --batch FILE with --out FILE")
    return batch is not None


def _path(path: Path | None) -> Path:
    assert path is not None
    return path


def _report(count: int, out: Path | None, as_json: bool) -> None:
    from app.console import print_json

    if as_json:
        print_json({"lines": count, "out": str(out)})
    else:
        typer.echo(f"{count} lines in {out}")


def main() -> None:
    """Run the command line. Exit codes: 0, 1 what the user can mend, 2 usage, 130 Ctrl-C."""
    # Nothing is ever fetched from a hub or reported to anyone, whatever a library's default is.
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_ANALYTICS_ENABLED="False")
    # Threads that spin while they wait starve another process: an answer beside an ingest took ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from ingest.errors import DeskmateError

    try:
        app()
    except DeskmateError as error:
        typer.echo(f"deskmate: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        code = 130 if isinstance(end, KeyboardInterrupt) else end.code  # typer makes an exit of Ctrl-C
        if code == 130:
            typer.echo("deskmate: stopped; nothing was lost", err=True)
        sys.exit(code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":  # accelerate launch -m app.cli tune
    main()
