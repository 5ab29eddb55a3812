"""A question set through the Answerer, mode by mode: checked first, every answer on disk as it comes, then the report.

A run that was stopped goes on where it stopped, and shards of one run, each anywhere, meet in one folder. What the
answers are worth is the business of `eval.report`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.answering.answer import Answer
from app.answering.modes import Mode
from app.batch import Journal, answered_by, journal_lines
from app.console import answer_json, track
from app.desk import Desk
from eval.checks import Audited, check_gate, check_gold, check_tuned_on
from eval.contenders import Contender, adapters_of, contenders
from eval.context import Context, absent
from eval.judge import Case, Judge
from eval.judge_people import labelled
from eval.questions import Question, read_question_set
from finetune.adapters.card import Adapter
from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, write_atomic, writer_lock

BATCH = 32
"""Questions that are answered together."""

PATIENCE = 5
"""Failures in a row after which a mode is given up: what is left is marked, not asked."""

RUN = "run.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `of`-th question, from the `number`-th on, counted from 1."""

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}of{self.of}"

    def part(self, asked: Sequence[Question]) -> Sequence[Question]:
        """The questions of this shard."""
        return asked[self.number - 1 :: self.of]


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked and how.

    `modes` and `adapters`: see `eval.contenders`. `oracle`: the model reads passages of the gold documents instead of
    what search found. `absent`: every answerable question is asked once more as if its gold documents did not exist;
    the right answer is then to decline. `one_by_one`: as askers come, for the times to the first token; else many
    together. `forgetting`, `obedience`, `canaries`, `attacks`: probes besides the questions. `judge`: a language model
    gives every answer a verdict, too; `judge_labels` are people's, to hold it against. `gate`: decide whether the
    adapter may serve. `command` is how to repeat all this.
    """

    modes: tuple[Mode, ...] = ()
    adapters: tuple[str, ...] = ()
    out: Path | None = None
    shard: Shard = Shard()
    oracle: bool = False
    absent: bool = False
    one_by_one: bool = False
    forgetting: bool = False
    obedience: bool = False
    canaries: bool = False
    attacks: bool = False
    judge: bool = False
    judge_labels: Path | None = None
    gate: bool = False
    command: str = "deskmate eval"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was asked of whom, and the lines of results by label and question id. Failed ones have a `failed`."""

    questions: tuple[Question, ...]
    file: Path
    sha256: str
    entrants: tuple[Contender, ...]
    audits: tuple[Audited, ...]
    options: Options
    out: Path
    lines: dict[str, dict[str, dict[str, Any]]]
    judge: Judge | None = None

    @property
    def asked(self) -> list[Question]:
        """The questions, then those that are asked again without their documents."""
        again = [absent(one) for one in self.questions if one.answerable] if self.options.absent else []
        return [*self.questions, *again]

    @property
    def hybrid(self) -> Adapter | None:
        """The adapter that answered in hybrid, which is what the gate decides on."""
        return next((one.adapter for one in self.entrants if one.mode == Mode.HYBRID), None)


@dataclass(frozen=True, slots=True)
class Missing:
    """Shards that have not answered everything yet; the one that finds none missing writes the report."""

    out: Path
    shards: tuple[str, ...]


def run(desk: Desk, file: Path, options: Options) -> Evaluation | Missing:
    """Answer every question as someone without groups, in every mode; write `results-MODE.jsonl`.

    An answer that fails is a marked line, and the other modes go on. A later run of the same kind asks it again.

    Raises:
        DeskmateError: questions that cannot be measured with, or that an adapter was tuned on; a mode that is not
            served; a folder that holds another evaluation; a disk that refuses.
    """
    evaluation = _prepare(desk, file, options)
    out, shard = evaluation.out, options.shard
    identity = _identity(desk, evaluation)
    try:
        _settle(out, identity)
        with writer_lock(out / "answers" / str(shard)):
            for entrant in evaluation.entrants:
                with Journal(_journal(out, shard, entrant), identity) as journal:
                    asked = [one for one in shard.part(evaluation.asked) if _open(journal.get(one.id))]
                    for line in _answers(entrant, asked, Context(desk, options.oracle), options):
                        journal.add(line)
        missing = _gather(evaluation, identity)
        if missing:
            return Missing(out, missing)
        for entrant in evaluation.entrants:
            lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in evaluation.lines[entrant.label].values())
            write_atomic(out / f"results-{entrant.file}.jsonl", "".join(lines).encode())
    except OSError as error:
        raise explain_disk_error(error, f"writing into {out}") from error
    return evaluation


def _prepare(desk: Desk, file: Path, options: Options) -> Evaluation:
    """Everything that can be wrong is said here, before a model loads."""
    questions = tuple(read_question_set(file))
    entrants = tuple(contenders(desk, options.modes, options.adapters))
    check_gold(desk, questions)
    if options.gate:
        check_gate(entrants, changed=options.oracle or options.absent)
    audits = tuple(check_tuned_on(desk, questions, adapter, file.name) for adapter in adapters_of(entrants))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    evaluation = Evaluation(questions, file, digest, entrants, audits, options, options.out or Path(), {})
    evaluation = replace(evaluation, judge=_judge(desk, evaluation) if options.judge else None)
    if options.out:
        return evaluation
    name = hashlib.sha256(json.dumps(_identity(desk, evaluation), sort_keys=True).encode()).hexdigest()[:8]
    folder = desk.workspace.root / "reports" / f"{file.stem}-{name}"
    return replace(evaluation, out=folder)


def _judge(desk: Desk, evaluation: Evaluation) -> Judge:
    """A judge that is there, and people's labels that can be read; says what judging will take at most."""
    settings, labels = desk.settings, evaluation.options.judge_labels
    judge = Judge(settings.judge, settings.prices.currency)
    asked = {one.id: one for one in evaluation.asked}
    cases: set[Case] = set()
    if labels:
        people = labelled(labels, asked, lambda one, answer: Case(one.question, one.answerable, one.answer, (), answer))
        cases = {case for one in people.said for case in one.cases}
    judge.load()
    judge.announce(len(asked) * len(evaluation.entrants), tuple(cases), settings.chat)
    return judge


def _identity(desk: Desk, evaluation: Evaluation) -> dict[str, Any]:
    """All that the answers depend on. Shards of one run, and what goes on after a stop, have the same."""
    options = evaluation.options
    return {
        "questions": evaluation.sha256,
        "modes": {one.label: one.adapter and one.adapter.checksum for one in evaluation.entrants},
        "context": "oracle" if options.oracle else "retrieved",
        "absent": options.absent,
        "together": not options.one_by_one,
        "shards": options.shard.of,
        **answered_by(desk),
    }


def _settle(out: Path, identity: dict[str, Any]) -> None:
    """Begin a folder, or see that it holds this evaluation.

    Raises:
        DeskmateError: it holds another, or something else.
    """
    # A file that another shard is just writing there has a name with a dot.
    if not out.exists() or all(path.name.startswith(".") for path in out.iterdir()):
        write_atomic(out / RUN, (json.dumps(identity, indent=1) + "\n").encode())
        return
    try:
        there = json.loads((out / RUN).read_text("utf-8"))
    except (OSError, ValueError):
        raise DeskmateError(f"{out} is no folder of deskmate eval; name another one with --out") from None
    if there != identity:
        other = sorted(set(_leaves(there)) ^ set(_leaves(identity)))
        what = ", ".join(dict.fromkeys(name for name, _ in other))
        raise DeskmateError(
            f"{out} holds another evaluation ({what} differ); name another folder with --out, or remove this one"
        )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every value of nested settings with its dotted name."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, f"{name}.{key}" if name else key)
    else:
        yield name, json.dumps(value)


def _journal(out: Path, shard: Shard, entrant: Contender) -> Path:
    return out / "answers" / str(shard) / f"{entrant.file}.jsonl"


def _open(line: dict[str, Any] | None) -> bool:
    """Whether a question is still to be asked: it was not, or it failed."""
    return line is None or "failed" in line


def _answers(
    entrant: Contender, asked: Sequence[Question], context: Context, options: Options
) -> Iterator[dict[str, Any]]:
    """The lines of one mode, in order. What fails in a batch is asked once more alone, so that it alone is lost."""
    if not asked:
        return
    left, lost = list(asked), 0
    try:
        entrant.desk.model.load(entrant.adapter)
    except DeskmateError as error:
        yield from (_failed(one, entrant, str(error)) for one in left)
        return
    size = 1 if options.one_by_one else BATCH
    # Questions whose passages are changed stay among themselves, so that they change nothing for the others.
    plain = [one for one in asked if context.edit([one]) is None]
    parts = (plain, asked[len(plain) :])
    batches = [part[first : first + size] for part in parts for first in range(0, len(part), size)]
    for batch in track(batches, f"Answering, {entrant.label}"):
        for line in _batch(entrant, batch, context, options):
            lost = lost + 1 if "failed" in line else 0
            left.pop(0)
            yield line
            if lost == PATIENCE:
                why = f"not asked after {PATIENCE} failures in a row: {line['failed']}"
                yield from (_failed(one, entrant, why) for one in left)
                return


def _batch(
    entrant: Contender, batch: Sequence[Question], context: Context, options: Options
) -> Iterator[dict[str, Any]]:
    edit = context.edit(batch)
    try:
        if options.one_by_one and edit is None:
            answers = [entrant.desk.answer(one.question, mode=entrant.mode) for one in batch]
        else:
            texts = [one.question for one in batch]
            answers = entrant.desk.answerer.answer_batch(texts, mode=entrant.mode, edit=edit)
    except DeskmateError as error:
        if len(batch) == 1:
            yield _failed(batch[0], entrant, str(error))
            return
        for one in batch:
            yield from _batch(entrant, [one], context, options)
        return
    yield from (_line(one, entrant, answer) for one, answer in zip(batch, answers, strict=True))


def _failed(question: Question, entrant: Contender, why: str) -> dict[str, Any]:
    return {"id": question.id, "question": question.question, "mode": entrant.label, "failed": why}


def _line(question: Question, entrant: Contender, answer: Answer) -> dict[str, Any]:
    read = [hit.chunk for hit in answer.hits[: answer.sources]]
    return {
        "id": question.id,
        **answer_json(answer),
        "mode": entrant.label,
        "retrieved_docs": [hit.chunk.doc for hit in answer.hits],
        "supported": [sentence.supported for sentence in answer.sentences],
        "written": answer.written,
        "quoted": answer.quoted,
        "clarified": answer.clarified,
        "signals": {"sentence": answer.relevance.sentence, "standing": answer.relevance.standing, "held": answer.held},
        "passages": answer.sources,
        "headings": [one.embedded_text.removesuffix(one.text).rstrip() for one in read],
        "texts": [one.embedded_text for one in read],
    }


def _gather(evaluation: Evaluation, identity: dict[str, Any]) -> tuple[str, ...]:
    """Put the lines of all shards together, in the order of the questions; returns the shards that lack some."""
    asked, of = evaluation.asked, evaluation.options.shard.of
    missing = []
    for entrant in evaluation.entrants:
        found: dict[str, dict[str, Any]] = {}
        for shard in (Shard(number, of) for number in range(1, of + 1)):
            lines = journal_lines(_journal(evaluation.out, shard, entrant), identity)
            if any(one.id not in lines for one in shard.part(asked)):
                missing.append(str(shard))
            found |= lines
        evaluation.lines[entrant.label] = {one.id: found[one.id] for one in asked if one.id in found}
    return tuple(dict.fromkeys(missing))
