"""The data card: what an adapter will be tuned on, where it comes from, what was left out and why.

Describes the files as they lie on disk. The same files, settings and report give the same card.
`finetune.curation.card_markdown` writes it for people. Knows nothing of models.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from finetune.curation.curate import CurationReport
from finetune.curation.include import Included
from finetune.curation.rows import Row, read_rows
from finetune.prompt import PromptPassage, render_prompt
from finetune.settings import CurateSettings
from finetune.template import Turn
from finetune.voice import Voice

SAMPLES = 5
"""Rows that the card shows."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Words, as white space parts them: the middle, the 95th percentile and the longest."""

    median: int
    p95: int
    longest: int


@dataclass(frozen=True, slots=True)
class Split:
    """What is in one file."""

    file: str
    sha256: str
    rows: int
    kinds: dict[str, int]
    styles: dict[str, int]
    teachers: dict[str, int]
    documents: dict[str, int]
    """Rows whose answer rests on the document."""
    prompt_words: Lengths
    answer_words: Lengths


@dataclass(frozen=True, slots=True)
class Sample:
    """A row as people read it."""

    kind: str
    style: str
    history: tuple[Turn, ...]
    question: str
    answer: str
    evidence: tuple[tuple[str, str], ...]
    """Document and text of each span."""


@dataclass(frozen=True, slots=True)
class Card:
    """The data card."""

    splits: dict[str, Split]
    report: CurationReport
    included: Included | None
    """What became of a company's own pairs; the pairs themselves are in the splits."""
    access: tuple[tuple[str, ...], ...]
    """The groups of every document that a prompt quotes: who is served must be in one of each."""
    voice: str
    voice_sha256: str
    prompt_sha256: str
    settings: CurateSettings
    samples: tuple[Sample, ...]


def describe(
    files: Mapping[str, Path],
    report: CurationReport,
    voice: Voice,
    settings: CurateSettings,
    included: Included | None = None,
) -> Card:
    """Describe a data set.

    Args:
        files: the rows of each split, by its name.
        report: from `finetune.curation.curate`.
        voice: the house style that the answers are in.
        settings: what the pairs were curated with.
        included: what became of a company's own pairs, where there were any.

    Raises:
        DeskmateError: a file cannot be read or holds something else than rows.
    """
    rows = {name: read_rows(path) for name, path in files.items()}
    everything = [row for split in rows.values() for row in split]
    return Card(
        splits={name: _split(files[name], split) for name, split in rows.items()},
        report=report,
        included=included and replace(included, pairs=[]),
        access=tuple(sorted({labels for row in everything for labels in row.access})),
        voice=voice.persona.name,
        voice_sha256=_sha256(voice.model_dump_json()),
        prompt_sha256=prompt_sha256(voice),
        settings=settings,
        samples=tuple(map(_sample, _varied(everything, settings.seed))),
    )


def prompt_sha256(voice: Voice) -> str:
    """A fingerprint of the prompt as this house's style renders it: an adapter is made for one prompt."""
    history = (Turn(role="user", content="Before?"), Turn(role="assistant", content="So [1]."))
    passages = (PromptPassage("Title › Heading", "A text.\n\nIn two parts."), PromptPassage("Other", "<<< text >>>"))
    rendered = [render_prompt("Now?", some, voice, history) for some in (passages, passages[:1], None)]
    return _sha256(json.dumps(rendered))


def card_json(card: Card) -> bytes:
    """The card for programs."""
    data = asdict(card) | {"settings": card.settings.model_dump(mode="json")}
    return (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode()


def _split(path: Path, rows: Sequence[Row]) -> Split:
    documents = Counter(doc for row in rows for doc in {one.doc for one in row.evidence})
    return Split(
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        rows=len(rows),
        kinds=_counts(row.kind.value for row in rows),
        styles=_counts(row.style for row in rows),
        teachers=_counts(row.teacher or "unknown" for row in rows),
        documents=dict(sorted(documents.items(), key=lambda one: (-one[1], one[0]))),
        prompt_words=_lengths(sum(len(turn["content"].split()) for turn in row.prompt) for row in rows),
        answer_words=_lengths(len(row.answer.split()) for row in rows),
    )


def _sample(row: Row) -> Sample:
    evidence = tuple((one.doc, one.text) for one in row.evidence)
    return Sample(row.kind.value, row.style, row.prompt[:-1], row.question, row.answer, evidence)


def _varied(rows: Sequence[Row], seed: int) -> list[Row]:
    """A few rows, of as many kinds and styles as possible, drawn by the seed."""
    drawn = sorted(rows, key=lambda row: _sha256(f"{seed}\0{row.id}"))
    kinds: Counter[str] = Counter()
    styles: Counter[str] = Counter()
    chosen: list[Row] = []
    while drawn and len(chosen) < SAMPLES:
        row = min(drawn, key=lambda row: (kinds[row.kind], styles[row.style]))
        drawn.remove(row)
        kinds[row.kind] += 1
        styles[row.style] += 1
        chosen.append(row)
    return chosen


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda one: (-one[1], one[0])))


def _lengths(words: Iterable[int]) -> Lengths:
    ordered = sorted(words)
    return Lengths(ordered[len(ordered) // 2], ordered[(len(ordered) - 1) * 95 // 100], ordered[-1])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
