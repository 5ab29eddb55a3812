"""What people said of answers: thumbs and corrections, as JSON lines, and which of them may be tuned on. Plain data.

A line has the conversation that the model read, either as the server sent it (`prompt`) or as the question with the ids
of the passages that were shown (`question`, `passages`), the `answer` that was given, and a `verdict`. What is
mistyped is an error with file and line; what may not be tuned on is left out and counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from finetune import house_form
from finetune.curation.pii import mask
from finetune.prompt import CLOSE, OPEN, PromptPassage, render_prompt
from finetune.template import Turn
from finetune.voice import Voice
from ingest.errors import DeskmateError
from ingest.jsonl import read_jsonl
from ingest.records import Chunk
from ingest.scan import Known

REASONS = {
    "stale": "a passage or document that it quotes has changed since, or is gone",
    "no-docs": "the prompt quotes passages, and docs does not say of which documents",
    "closed": "it quotes a document that not everyone may read",
    "personal": "the answer or the correction holds personal data",
    "changed-mind": "the same person judged the same answer again; the last verdict counts",
    "answer-form": "a thumb up for an answer that is not in the house form",
    "correction-form": "the corrected answer is not in the house form; the thumb counts",
    "correction-same": "the corrected answer is the answer that was given; the thumb counts",
}
"""Why a label, or only its correction, is left out."""

_PASSAGE = re.compile(rf"^Passage \d+, from .*:\n{OPEN}$", re.MULTILINE)


class Label(BaseModel):
    """One line: what somebody said of one answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    prompt: tuple[Turn, ...] = ()
    question: str = ""
    history: tuple[Turn, ...] = ()
    passages: tuple[str, ...] | None = None
    answer: str = Field(pattern=r"\S")
    verdict: Literal["up", "down"]
    correction: str = ""
    conversation: str = ""
    docs: dict[str, str] = {}
    access: tuple[tuple[str, ...], ...] = ()

    @model_validator(mode="after")
    def _says_what_was_asked(self) -> Self:
        if bool(self.prompt) == bool(self.question.strip()):
            raise ValueError("give prompt, or question with passages, and not both")
        if self.prompt and (self.history or self.passages):
            raise ValueError("prompt holds history and passages already")
        turns = self.prompt or (*self.history, Turn(role="user", content=self.question))
        if [turn["role"] for turn in turns] != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
            raise ValueError("the turns are not user and assistant in turn, the user's last")
        if self.verdict == "up" and self.correction.strip():
            raise ValueError("a thumb up has no correction; give the verdict down")
        return self


@dataclass(frozen=True, slots=True)
class Judged:
    """A label that may be tuned on. `correction` is empty where there is none, or none that is in form.

    `source` tells people or conversations apart, where that is known; else it is the label's id. `docs` are the
    documents that the prompt quotes with the SHA-256 of their files, `access` who may read them.
    """

    id: str
    source: str
    known_source: bool
    prompt: tuple[Turn, ...]
    answer: str
    up: bool
    correction: str
    docs: Mapping[str, str]
    access: frozenset[frozenset[str]]


@dataclass(frozen=True, slots=True)
class Screened:
    """Labels that may be tuned on, what was left out by its reason, and the personal data that was masked."""

    labels: list[Judged]
    read: int
    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    masked: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Library:
    """What the index holds today: documents, its chunks by id, and addresses that the company published itself.

    `groups` are those whose documents may be tuned on.
    """

    documents: Collection[Known]
    chunk: Callable[[str], Chunk | None]
    groups: frozenset[str]
    published: frozenset[str] = frozenset()


def read_feedback(path: Path) -> list[Label]:
    """Read labels and check each.

    Raises:
        DeskmateError: no such file, no labels, or a line that is none; with file and line.
    """
    labels: list[Label] = []
    lines: dict[str, int] = {}
    for number, data in read_jsonl(path):
        try:
            label = Label.model_validate(data)
        except ValidationError as error:
            problems = "; ".join(_problem(one["loc"], one["msg"]) for one in error.errors())
            raise DeskmateError(f"{path}:{number}: no label ({problems}); docs/feedback.md has the format") from None
        if label.id in lines:
            raise DeskmateError(f"{path}:{number}: the id {label.id!r} is that of line {lines[label.id]} already")
        lines[label.id] = number
        labels.append(label)
    if not labels:
        raise DeskmateError(f"{path} holds no label; docs/feedback.md has the format")
    return labels


def screen(labels: Iterable[Label], voice: Voice, library: Library) -> Screened:
    """Leave out what may not be tuned on, and count it.

    Args:
        labels: from `read_feedback`, oldest first.
        voice: the house style, which corrections and praised answers must keep.
        library: what the index holds today.
    """
    labels = list(labels)
    result = Screened([], len(labels))

    def leave_out(label: Label, reason: str, detail: str = "") -> None:
        result.left_out[reason] += 1
        result.examples.setdefault(reason, f"{label.id}: {detail or REASONS[reason]}")

    latest: dict[tuple[object, ...], Judged] = {}
    for label in labels:
        quoted = _quoted(label, library)
        if isinstance(quoted, str):
            leave_out(label, quoted)
            continue
        prompt = _prompt(label, voice, library, result.masked)
        passages = sum(len(_PASSAGE.findall(turn["content"])) for turn in prompt[-1:])
        if passages and not quoted:
            leave_out(label, "no-docs")
        elif any(mask(text, library.published).counts for text in (label.answer, label.correction)):
            leave_out(label, "personal")
        elif label.verdict == "up" and (broken := house_form.check(label.answer, voice, passages)):
            leave_out(label, "answer-form", broken[0].detail)
        else:
            correction = label.correction.strip()
            if correction == label.answer.strip():
                leave_out(label, "correction-same")
                correction = ""
            elif correction and (broken := house_form.check(correction, voice, passages)):
                leave_out(label, "correction-form", broken[0].detail)
                correction = ""
            judged = _judged(label, prompt, correction, quoted)
            key = (judged.source, tuple(turn["content"] for turn in prompt), judged.answer)
            if latest.pop(key, None):
                leave_out(label, "changed-mind")
            latest[key] = judged
    result.labels.extend(latest.values())
    return result


def _judged(label: Label, prompt: Sequence[Turn], correction: str, quoted: Sequence[Known]) -> Judged:
    return Judged(
        id=label.id,
        source=label.conversation or label.id,
        known_source=bool(label.conversation),
        prompt=tuple(prompt),
        answer=label.answer.strip(),
        up=label.verdict == "up",
        correction=correction,
        docs={one.doc: one.sha256 for one in quoted},
        access=frozenset(map(frozenset, label.access)) | {one.access for one in quoted},
    )


def _quoted(label: Label, library: Library) -> list[Known] | str:
    """The documents that a label quotes, as they are today, or why it may not be used."""
    versions = dict(label.docs)
    for chunk_id in label.passages or ():
        chunk = library.chunk(chunk_id)
        if chunk is None:
            return "stale"
        versions.setdefault(chunk.doc, "")
    found = []
    for doc, sha256 in versions.items():
        now = [one for one in library.documents if one.doc == doc and sha256 in ("", one.sha256)]
        if not now:
            return "stale"
        found += now
    labels = [*label.access, *(one.access for one in found)]
    return found if all(library.groups & set(groups) for groups in labels) else "closed"


def _prompt(label: Label, voice: Voice, library: Library, masked: Counter[str]) -> list[Turn]:
    """The conversation as the server renders it, without personal data in what people wrote."""

    def clean(text: str) -> str:
        found = mask(text, library.published)
        masked.update(found.counts)
        return found.text

    if label.prompt:
        turns = []
        for turn in label.prompt:
            passages, mark, written = turn["content"].rpartition(CLOSE)
            turns.append(Turn(role=turn["role"], content=f"{passages}{mark}{clean(written)}"))
        return turns
    chunks = [library.chunk(chunk_id) for chunk_id in label.passages or ()]
    shown = None if label.passages is None else [PromptPassage.of(chunk) for chunk in chunks if chunk]
    history = [Turn(role=turn["role"], content=clean(turn["content"])) for turn in label.history]
    return render_prompt(clean(label.question), shown, voice, history)


def _problem(place: tuple[str | int, ...], message: str) -> str:
    key = ".".join(map(str, place))
    message = "no such field" if message == "Extra inputs are not permitted" else message.removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
