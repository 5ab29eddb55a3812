"""`deskmate synth`, step by step: chunks of the index, a teacher's pairs, filters, training rows on disk.

Composes the rooms; what makes a good pair is the business of `finetune`.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.answering.history import standalone
from app.desk import Desk
from app.models.llm import ChatModel, Completion, complete
from finetune.curation.card import Card, card_json, describe
from finetune.curation.card_markdown import card_markdown
from finetune.curation.conversations import read_conversations
from finetune.curation.curate import Curated, curate, in_held_out
from finetune.curation.dataset import build_rows
from finetune.curation.formats import Format, files
from finetune.curation.include import Included, include
from finetune.curation.overlap import read_questions
from finetune.curation.pairs import Kind, Pair, write_pairs
from finetune.curation.passage_sets import Retrieve
from finetune.curation.pii import published
from finetune.curation.rows import Row, write_rows
from finetune.synthesis.journal import Journal, open_journal
from finetune.synthesis.synthesize import TEACHER as EMBEDDED
from finetune.synthesis.synthesize import synthesize
from finetune.synthesis.teacher import Ask, Estimate, Lessons, Teacher, estimate
from finetune.synthesis.teacher_prompts import Request, plan
from finetune.template import Turn
from ingest.errors import DeskmateError
from ingest.records import EVERYONE, Chunk
from ingest.workspace import explain_disk_error, staged_files, write_atomic, writer_lock
from retrieval.build import Progress

RANKED = 30
"""Chunks of a ranking: enough that some are left when those of a few documents are taken out."""
SEARCH_BATCH = 64


@dataclass(frozen=True, slots=True)
class SynthOptions:
    """What one run takes in besides the settings, and where its files go; the workspace's `qa` by default."""

    include: tuple[Path, ...] = ()
    questions: tuple[Path, ...] = ()
    formats: tuple[Format, ...] = ()
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class Synthesised:
    """What a run made and where it lies. `lessons` are those of a teacher on a server."""

    out: Path
    teacher: str
    pairs: int
    curated: Curated
    splits: Mapping[str, Sequence[Row]]
    card: Card
    lessons: Lessons | None
    included: Included | None


class Synthesis:
    """One run of `deskmate synth`. Nothing is asked and nothing written before `run`."""

    def __init__(self, desk: Desk, options: SynthOptions) -> None:
        """Read everything that the run depends on.

        Raises:
            DeskmateError: no index, no chunk to ask about, a file of questions or pairs that cannot be read, or a
                teacher's server that does not answer.
        """
        self._desk = desk
        self._settings = desk.settings
        self._options = options
        self._home = desk.workspace.qa
        self._groups = frozenset(self._settings.curate.groups)
        self._sets = [read_questions(path) for path in options.questions]
        self._conversations = [one for path in options.include for one in read_conversations(path)]
        table = desk.searcher.open().table
        everything = list(table.all_chunks())
        self._known = frozenset(chunk.id for chunk in everything)
        self._chunks = [chunk for chunk in everything if chunk.access & (self._groups | {EVERYONE})]
        if not self._chunks:
            raise DeskmateError(
                "no document of the index is for everyone; name the groups that may read them: --groups a,b"
            )
        if self._server:
            self._server.load()

    @property
    def teacher(self) -> str:
        """The teacher's name."""
        return self._server.name if self._server else EMBEDDED

    def estimate(self) -> Estimate | None:
        """What asking a teacher on a server will take; None for the embedded one, which costs nothing."""
        if not self._server:
            return None
        with writer_lock(self._home), _disk(self._home), self._journal() as journal:
            return estimate(self._requests, self._server.name, journal, self._settings.teacher)

    def run(self, progress: Progress) -> Synthesised:
        """Make the training data and write it, all of it or nothing.

        Args:
            progress: told of the stages `teach` and `retrieve`.

        Raises:
            DeskmateError: the teacher is gone, nothing is left to tune on, or the disk refuses.
        """
        with writer_lock(self._home), _disk(self._options.out or self._home):
            pairs, lessons = self._taught(progress)
            included = self._included()
            if included:
                pairs += included.pairs
            curated = self._curated(pairs)
            splits = {name: rows for name, rows in self._rows(curated, progress).items() if rows}
            if "train" not in splits:
                raise _nothing_left(curated, len(pairs))
            card = self._write(curated, splits, included)
        out = self._options.out or self._home
        return Synthesised(out, self.teacher, len(pairs), curated, splits, card, lessons, included)

    @cached_property
    def _server(self) -> ChatModel | None:
        """The teacher on a server, where one is named."""
        teacher = self._settings.teacher
        if not teacher.server:
            return None
        from app.models.remote import TEACHER, OpenAIModel

        return OpenAIModel(
            teacher.server, teacher.server_model, teacher.server_key, timeout=teacher.server_seconds, role=TEACHER
        )

    @cached_property
    def _requests(self) -> list[Request]:
        each = self._settings.teacher.pairs_per_request
        return plan(self._chunks, self._desk.voice, each, self._settings.synth)

    @contextmanager
    def _journal(self) -> Iterator[Journal]:
        """Replies of earlier runs, without those that quote what is no longer indexed."""
        with open_journal(self._home / "teacher.jsonl", lambda reply: self._known.issuperset(reply.chunks)) as journal:
            yield journal

    def _taught(self, progress: Progress) -> tuple[list[Pair], Lessons | None]:
        desk, settings = self._desk, self._settings.synth
        if not self._server:
            return list(synthesize(self._chunks, desk.voice, settings=settings)), None
        progress.total("teach", len(self._requests))
        teacher = Teacher(_ask(self._server), self._server.name, desk.voice, self._settings.teacher.concurrency)
        with self._journal() as journal:
            lessons = teacher.teach(self._requests, journal, lambda: progress.done("teach", 1))
        # Replay against forgetting has nothing to do with the documents, so no teacher needs to be asked for it.
        replay = synthesize(self._chunks, desk.voice, settings=settings)
        return [*lessons.pairs, *(pair for pair in replay if pair.kind is Kind.GENERAL)], lessons

    def _included(self) -> Included | None:
        if not self._options.include:
            return None

        def search(text: str) -> list[Chunk]:
            return [hit.chunk for hit in self._desk.searcher.search(text, groups=self._groups).hits]

        return include(self._conversations, self._desk.voice, search, keep=published(self._chunks))

    def _curated(self, pairs: Sequence[Pair]) -> Curated:
        def find(question: str) -> list[str]:
            return [hit.chunk.id for hit in self._desk.searcher.search(question, groups=self._groups).hits]

        chunks = {chunk.id: chunk for chunk in self._chunks}
        return curate(pairs, chunks, self._desk.voice, self._settings.curate, self._sets, find)

    def _rows(self, curated: Curated, progress: Progress) -> dict[str, list[Row]]:
        """Rows of each split. Held-out documents are not shown in training, not even as distractors."""
        chunks = {chunk.id: chunk for chunk in self._chunks}
        held_out = frozenset(c.doc for c in self._chunks if in_held_out(c.doc, self._settings.curate))
        splits = {"train": (curated.train, held_out), "held_out": (curated.held_out, frozenset[str]())}
        return {
            name: build_rows(
                pairs,
                chunks,
                retrieve=retriever(self._desk, self._groups, without, _Counted(progress, "retrieve")),
                choose=self._desk.answerer.choose,
                voice=self._desk.voice,
                settings=self._settings.dataset,
            )
            for name, (pairs, without) in splits.items()
        }

    def _write(self, curated: Curated, splits: Mapping[str, Sequence[Row]], included: Included | None) -> Card:
        out = self._options.out or self._home
        with staged_files(out) as staged:
            paths = {name: staged / f"{name}.jsonl" for name in splits}
            for name, rows in splits.items():
                write_rows(paths[name], rows)
            write_pairs(staged / "pairs.jsonl", [*curated.train, *curated.held_out])
            card = describe(paths, curated.report, self._desk.voice, self._settings.curate, included)
            write_atomic(staged / "card.json", card_json(card))
            write_atomic(staged / "card.md", card_markdown(card).encode())
            for form in self._options.formats:
                for file, data in files(form, splits).items():
                    write_atomic(staged / form / file, data)
        for stale in self._written({"train": [], "held_out": []}, Format) - self._written(
            splits, self._options.formats
        ):
            (out / stale).unlink(missing_ok=True)
        return card

    @staticmethod
    def _written(splits: Mapping[str, Sequence[Row]], formats: Iterable[Format]) -> set[str]:
        """The names of the files with rows that a run writes."""
        return {f"{name}.jsonl" for name in splits} | {
            f"{form}/{name}" for form in formats for name in files(form, splits)
        }


def retriever(
    desk: Desk, groups: frozenset[str], without: frozenset[str] = frozenset(), progress: "_Counted | None" = None
) -> Retrieve:
    """The desk's own search, as serving uses it, for building training rows.

    Args:
        desk: whose index is searched.
        groups: what the askers may read besides what is for everyone.
        without: documents that must not be seen, such as those held out.
        progress: told how many questions have been searched for.
    """

    def retrieve(pairs: Sequence[Pair]) -> list[list[Chunk]]:
        rankings: list[list[Chunk]] = []
        for first in range(0, len(pairs), SEARCH_BATCH):
            texts = [standalone(pair.question, pair.history) for pair in pairs[first : first + SEARCH_BATCH]]
            for result in desk.searcher.search_batch(texts, k=RANKED, groups=groups):
                rankings.append([hit.chunk for hit in result.hits if hit.chunk.doc not in without])
            if progress:
                progress(len(rankings), len(pairs))
        return rankings

    return retrieve


class _Counted:
    """Tells a `Progress` of a stage whose counts come as (done, total)."""

    def __init__(self, progress: Progress, stage: str) -> None:
        self._progress = progress
        self._stage = stage
        self._done = 0

    def __call__(self, done: int, total: int) -> None:
        self._progress.total(self._stage, total)
        self._progress.done(self._stage, done - self._done)
        self._done = done


def _ask(model: ChatModel) -> Ask:
    def ask(messages: Sequence[Turn], max_tokens: int, cancel: threading.Event) -> Completion:
        return complete(model, messages, max_tokens, cancel)

    return ask


def _nothing_left(curated: Curated, pairs: int) -> DeskmateError:
    counts = sorted(((one.rejected, one.name) for one in curated.report.filters if one.rejected), reverse=True)
    reasons = ", ".join(f"{name} {count}" for count, name in counts[:4])
    return DeskmateError(
        f"nothing is left to tune on: of {pairs} pairs the filters took out {reasons or 'none'}; "
        "ingest more documents, or ask for more pairs: --pairs N"
    )


@contextmanager
def _disk(out: Path) -> Iterator[None]:
    """Say what is wrong when the disk refuses."""
    try:
        yield
    except OSError as error:
        raise explain_disk_error(error, f"writing {out}") from error
