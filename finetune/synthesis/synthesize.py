"""The offline teacher: question-answer pairs from chunks, on a machine with nothing but the embedded models.

Answers are verbatim spans in the house form; questions are made by rule. That the embedded model is not asked
is a finding: what it wrote was rarely of use (docs/log.md).
Filters over whole pairs, splits and the mix are the business of `finetune.curation.curate`.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, zip_longest
from pathlib import Path

from finetune import house_form
from finetune.curation.pairs import Kind, Pair
from finetune.settings import SynthSettings
from finetune.synthesis.compositions import follow_ups, planted, two_passages
from finetune.synthesis.drafts import Corpus, Draft
from finetune.synthesis.near_misses import near_misses
from finetune.synthesis.section_questions import ask_section
from finetune.synthesis.sentence_questions import ask_sentences
from finetune.synthesis.table_questions import ask_rows, compare_columns, compare_rows, tables
from finetune.synthesis.wording import STYLES, Style, word
from finetune.voice import Voice
from ingest.jsonl import read_jsonl
from ingest.records import EVERYONE, Chunk

TEACHER = "embedded"
"""Names this teacher in its pairs."""

_HERE = Path(__file__).parent
_SHARES = {
    Kind.FACT: 0.39,
    Kind.TABLE: 0.13,
    Kind.POLICY: 0.08,
    Kind.PROCEDURE: 0.04,
    Kind.COMPARISON: 0.04,
    Kind.TWO_PASSAGES: 0.05,
    Kind.FOLLOW_UP: 0.03,
    Kind.PLANTED: 0.02,
    Kind.NEAR_MISS: 0.14,
    Kind.OUT_OF_SCOPE: 0.04,
    Kind.GENERAL: 0.04,
}
_MOST_A_CHUNK = 8
"""Questions of one kind about one chunk before it is another chunk's turn for good."""
_WORDINGS = 3
"""Styles in which one question may be asked."""


def synthesize(
    chunks: Sequence[Chunk],
    voice: Voice,
    *,
    settings: SynthSettings,
) -> Iterator[Pair]:
    """Make question-answer pairs from chunks. The same arguments give the same pairs.

    Args:
        chunks: whole documents, in reading order.
        voice: the house style.
        settings: how many pairs, and the seed.

    Yields:
        About `settings.pairs` pairs, fewer where the documents do not hold as many. Their ids differ.
    """
    rng = random.Random(settings.seed)  # noqa: S311 - which question is worded how is no secret
    corpus = Corpus.of(chunks)
    drafts = _drafts(corpus, voice, rng)
    pairs = list(_worded(drafts, settings.pairs, rng))
    rng.shuffle(pairs)
    yield from pairs


def _drafts(corpus: Corpus, voice: Voice, rng: random.Random) -> dict[Kind, list[Draft]]:
    """Every draft by its kind, the chunks taking turns."""
    grids = [table for chunk in corpus.chunks for table in tables(chunk)]
    facts = [draft for chunk in corpus.chunks for draft in ask_sentences(chunk, corpus, voice)]
    sections = [draft for chunk in corpus.chunks for draft in ask_section(chunk, corpus, voice)]
    rows = [draft for table in grids for draft in ask_rows(table, corpus, voice)]
    compared = [
        draft
        for table in grids
        for draft in (*compare_columns(table, corpus, voice), *compare_rows(table, corpus, voice))
    ]
    answerable = _turns(_told_apart([*facts, *sections, *rows]), rng)
    answered = {draft.question.casefold() for draft in answerable}
    found = [
        *answerable,
        *_turns(compared, rng),
        *two_passages(answerable, voice, rng),
        *follow_ups(answerable, grids, corpus, voice, rng),
        *planted(answerable, rng),
        *(one for one in near_misses(answerable, grids, corpus, voice, rng) if one.question.casefold() not in answered),
        *_out_of_scope(voice, rng),
    ]
    by_kind: dict[Kind, list[Draft]] = defaultdict(list)
    seen: set[str] = set()
    for draft in found:
        told = f"{draft.question}\n{draft.topic}\n{draft.history}\n{draft.planted}".casefold()
        if told not in seen and not house_form.check(draft.answer, voice, len(draft.evidence)):
            seen.add(told)
            by_kind[draft.kind].append(draft)
    return by_kind


def _told_apart(drafts: Sequence[Draft]) -> list[Draft]:
    """Drafts of which those that are asked alike and answered differently have to say what they are about."""
    answers: dict[str, set[str]] = defaultdict(set)
    for draft in drafts:
        answers[draft.question.casefold()].add(draft.answer)
    return [
        replace(draft, clear=draft.clear and len(answers[draft.question.casefold()]) == 1)
        for draft in drafts
        if draft.topic or len(answers[draft.question.casefold()]) == 1
    ]


def _turns(drafts: Iterable[Draft], rng: random.Random) -> list[Draft]:
    """Drafts in an order in which the chunks take turns, at most a few of each kind from one chunk."""
    by_chunk: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        by_chunk[draft.source.id if draft.source else ""].append(draft)
    queues = []
    for own in by_chunk.values():
        rng.shuffle(own)
        taken: Counter[Kind] = Counter()
        kept = []
        for draft in own:
            taken[draft.kind] += 1
            if taken[draft.kind] <= _MOST_A_CHUNK:
                kept.append(draft)
        queues.append(kept)
    rng.shuffle(queues)
    return [draft for row in zip_longest(*queues) for draft in row if draft is not None]


def _worded(drafts: dict[Kind, list[Draft]], wanted: int, rng: random.Random) -> Iterator[Pair]:
    """Pairs in the proportion of `_SHARES`; what one kind lacks, facts, tables and policies make up for."""
    seen: set[str] = set()
    streams: dict[Kind, Iterator[Pair]] = {kind: _in_styles(drafts[kind], seen, rng) for kind in _SHARES}
    streams[Kind.GENERAL] = _general(rng)
    lacking = 0
    for kind, share in _SHARES.items():
        want = round(share * wanted)
        for pair in islice(streams[kind], want):
            want -= 1
            yield pair
        lacking += want
    for kind in (Kind.POLICY, Kind.TABLE, Kind.FACT, Kind.TABLE):
        for pair in islice(streams[kind], lacking if kind is Kind.FACT else lacking // 2):
            lacking -= 1
            yield pair


def _in_styles(drafts: Sequence[Draft], seen: set[str], rng: random.Random) -> Iterator[Pair]:
    """Each draft in one style, then each in a second one, and in a third."""
    order = {id(draft): rng.sample(STYLES, len(STYLES)) for draft in drafts}
    for turn in range(_WORDINGS):
        for draft in drafts:
            style = order[id(draft)][turn]
            question = word(draft, style, rng)
            key = f"{question}\n{draft.history}\n{draft.planted}".casefold()
            if key not in seen:
                seen.add(key)
                yield _pair(draft, style, question)


def _pair(draft: Draft, style: Style, question: str) -> Pair:
    chunk = draft.source
    told = f"{question}\n{draft.answer}\n{draft.history}\n{draft.planted}\n{chunk.id if chunk else ''}"
    return Pair(
        id=f"{draft.kind}-{hashlib.sha256(told.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}",
        kind=draft.kind,
        style=style,
        question=question,
        answer=draft.answer,
        doc=chunk.doc if chunk else "",
        evidence=draft.evidence,
        access=chunk.access if chunk else frozenset({EVERYONE}),
        history=draft.history,
        planted=draft.planted,
        teacher=TEACHER,
    )


def _out_of_scope(voice: Voice, rng: random.Random) -> list[Draft]:
    """General questions and those about other companies."""
    lines = (_HERE / "out_of_scope.txt").read_text("utf-8").splitlines()
    found = [Draft(Kind.OUT_OF_SCOPE, line, voice.decline, (), None, "", "out-of-scope") for line in lines]
    rng.shuffle(found)
    return found


def _general(rng: random.Random) -> Iterator[Pair]:
    """Everyday instructions that have nothing to do with the documents, against forgetting."""
    rows = [data for _, data in read_jsonl(_HERE / "replay.jsonl")]
    rng.shuffle(rows)
    for data in rows:
        name = hashlib.sha256(data["question"].encode()).hexdigest()[:12]
        yield Pair(f"general-{name}", Kind.GENERAL, Style.PLAIN, data["question"], data["answer"], "", teacher=TEACHER)
