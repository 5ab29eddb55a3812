"""`deskmate eval`: a question set in several modes, the report, and the gate that an adapter has to pass."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]
Questions = Annotated[
    Path | None, typer.Option(help="A question set, one JSON object a line; `eval.questions` by default.")
]
Modes = Annotated[
    str | None, typer.Option(help="Modes to measure, separated by commas; all that can be served by default.")
]
Adapters = Annotated[
    list[str] | None, typer.Option(help="An adapter for the tuned modes, promoted or not (may be repeated).")
]
Out = Annotated[Path | None, typer.Option(help="Folder for answers and figures; one in the workspace by default.")]
Shard = Annotated[
    str, typer.Option(metavar="I/N", help="Ask every N-th question; the last of the N shards writes the report.")
]
Oracle = Annotated[bool, typer.Option("--oracle", help="Let the model read the gold documents' passages.")]
Absent = Annotated[bool, typer.Option("--absent", help="Ask once more as if the answer's documents did not exist.")]
OneByOne = Annotated[bool, typer.Option("--one-by-one", help="Ask as people come, for times; together is faster.")]
Forgetting = Annotated[bool, typer.Option("--forgetting", help="Ask base and adapter general questions too.")]
Obedience = Annotated[bool, typer.Option("--obedience", help="Ask some again with a fact changed in the passages.")]
Canaries = Annotated[bool, typer.Option("--canaries", help="Ask some again with an instruction in the passages.")]
Attacks = Annotated[bool, typer.Option("--attacks", help="Make the attacks of deskmate attack too.")]
Judge = Annotated[bool, typer.Option("--judge", help="Let the language model of judge.server judge every answer too.")]
JudgeLabels = Annotated[
    Path | None, typer.Option(help="Answers with people's labels, to hold the judge against; ratings by default.")
]
Gate = Annotated[bool, typer.Option("--gate", help="Let the adapter serve if tuning cost nothing; else exit with 1.")]


def evaluate(
    questions: Questions = None,
    modes: Modes = None,
    adapter: Adapters = None,
    out: Out = None,
    shard: Shard = "1/1",
    oracle: Oracle = False,
    absent: Absent = False,
    one_by_one: OneByOne = False,
    forgetting: Forgetting = False,
    obedience: Obedience = False,
    canaries: Canaries = False,
    attacks: Attacks = False,
    judge: Judge = False,
    judge_labels: JudgeLabels = None,
    gate: Gate = False,
    as_json: Json = False,
) -> None:
    """Answer a question set in several modes, and say what tuning is worth."""
    from app.desk import Desk
    from app.settings import load_settings
    from eval.run import Options, run
    from ingest.errors import DeskmateError

    if judge_labels and not judge:
        raise typer.BadParameter("--judge-labels goes with --judge")
    options = Options(
        modes=modes_of(modes),
        adapters=tuple(adapter or ()),
        out=out,
        shard=_shard(shard),
        oracle=oracle,
        absent=absent,
        one_by_one=one_by_one,
        forgetting=forgetting,
        obedience=obedience,
        canaries=canaries,
        attacks=attacks,
        judge=judge,
        judge_labels=judge_labels,
        gate=gate,
        command=shlex.join(["deskmate", *sys.argv[1:]]),
    )
    desk = Desk(load_settings())
    file = questions or desk.settings.eval.questions
    if file is None:
        raise DeskmateError("name a question set: --questions FILE, or questions under [eval] in deskmate.toml")
    _report(desk, run(desk, file, options), as_json)


def _report(desk: Any, done: Any, as_json: bool) -> None:
    """Write and print what came of it; leave with 1 where something failed or the gate stays shut."""
    from app.console import print_json
    from eval.gate import promote
    from eval.report import write_report
    from eval.run import Missing
    from eval.summary import print_report
    from ingest.errors import DeskmateError

    if isinstance(done, Missing):
        if as_json:
            print_json({"out": str(done.out), "missing": list(done.shards)})
        else:
            typer.echo(f"this part is done; the report needs {', '.join(done.shards)} in {done.out} too")
        return
    report = write_report(desk, done)
    if as_json:
        print_json({"out": str(done.out), **report})
    else:
        print_report(report, done.out)
    gate = report["gate"]
    for reason in gate["reasons"] if gate and not gate["allowed"] else []:
        typer.echo(f"deskmate: {gate['adapter']} is not let through: {reason}", err=True)
    if report["judge"] and (lost := report["judge"]["failed"]):
        typer.echo(f"deskmate: no verdict on {lost}; judgements.jsonl says why; run this again to ask", err=True)
    if failed := sum(mode["failed"] for mode in report["modes"]):
        raise DeskmateError(f"{failed} answers failed; they are marked in {done.out}; run this again to ask them anew")
    if gate and not gate["allowed"]:
        raise typer.Exit(1)
    if gate:
        typer.echo(promote(desk, done.hybrid), err=as_json)


def modes_of(names: str | None) -> tuple[Any, ...]:
    """The modes of `--modes`, in their order; empty where none is named."""
    from app.answering.modes import Mode

    wanted = [name.strip() for name in (names or "").split(",") if name.strip()]
    for name in wanted:
        if name not in list(Mode):
            raise typer.BadParameter(f"{name!r} is none of {', '.join(Mode)}", param_hint="--modes")
    return tuple(Mode(name) for name in wanted)


def _shard(text: str) -> Any:
    from eval.run import Shard

    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise typer.BadParameter(f"{text!r} is no part such as 2/4", param_hint="--shard")
    return Shard(int(number), int(of))
