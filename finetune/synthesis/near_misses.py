"""Questions that nearly have an answer in the documents, and have none. Asks no model.

An answerable question about a place, year, code or thing that no document names, or a subject that the documents know
asked for a detail that none of them gives. That nothing answers is decided by the words of all chunks.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from finetune.curation.pairs import Kind
from finetune.synthesis.absences import KINDS, OF_PEOPLE, OF_THINGS, OF_TOPICS, PLACES, YEARS, Detail
from finetune.synthesis.drafts import Corpus, Draft
from finetune.synthesis.table_questions import Row, Table, ask_cell, ask_rows, columns_of
from finetune.voice import Voice

_NAME = re.compile(r"\b[A-Z][a-zà-ÿ]{2,}\b")
_GENERAL = re.compile(r"What (?:should I know|do I need to know|applies|about)\b")  # other columns answer that
_YEAR = re.compile(r"\b20[0-3]\d\b")
_PERSON = r"[A-Z][a-zà-ÿ]+ (?:(?:de|den|der|van|da|dos|di|von) )*[A-Z][a-zà-ÿ]+"
_ROLE = (
    r"(?:manager|lead|director|officer|controller|partner|head|owner|deputy|holder|approver|contact|engineer|"
    r"specialist|assistant|nurse|counsel)"
)
_WITH_ROLE = re.compile(
    rf"\b(?P<after>{_PERSON})(?=,? \(?(?:ext\b|[\w&, -]{{0,30}}\b{_ROLE}\b))|\b(?:{_ROLE}|{_ROLE.title()})(?::| is|"
    rf",)? (?P<before>{_PERSON})\b"
)
_CODE = re.compile(r"^(?:[A-Za-z]{1,6}[ -]?)?\d{1,6}$")


def near_misses(
    answerable: Sequence[Draft], tables: Sequence[Table], corpus: Corpus, voice: Voice, rng: random.Random
) -> list[Draft]:
    """Questions to decline, every way of making one in turn."""
    ways = [
        list(_other_place(answerable, corpus, voice, rng)),
        list(_other_row(tables, corpus, voice, rng)),
        list(_empty_cell(tables, corpus, voice)),
        list(_about_topics(answerable, corpus, voice, rng)),
        list(_about_people(corpus, voice, rng)),
        list(_about_things(tables, corpus, voice, rng)),
        list(_other_year(answerable, corpus, voice, rng)),
    ]
    for way in ways:
        rng.shuffle(way)
    mixed = []
    while any(ways):
        mixed += [way.pop() for way in ways if way]
    return mixed


def _other_place(answerable: Sequence[Draft], corpus: Corpus, voice: Voice, rng: random.Random) -> Iterator[Draft]:
    """The same question for a place that no document names."""
    absent = [place for place in PLACES if place.casefold() not in corpus.words]
    for draft in answerable:
        names = _NAME.findall(draft.question[1:])
        places = [name for name in names if name.casefold() in corpus.places]
        if not absent or draft.way in ("policy", "definition", "heading-asks", "condition"):
            continue
        if len(places) == 1 and re.search(rf"\b(?:in|at|from|to|for|of) {places[0]}\b", draft.question):
            question = re.sub(rf"\b{places[0]}\b", rng.choice(absent), draft.question)
            yield _declined(draft, question, voice, "other-place")
        elif (
            not names
            and corpus.places
            and draft.way in ("limit", "when", "count", "amount", "how-often", "where", "who", "how-long")
        ) and not re.search(r"\b(?:in|at|on|of) (?:the|my|your|our)\b.*\?$", draft.question):
            yield _declined(draft, f"{draft.question[:-1]} in {rng.choice(absent)}?", voice, "new-place")


def _other_row(tables: Sequence[Table], corpus: Corpus, voice: Voice, rng: random.Random) -> Iterator[Draft]:
    """A cell of a row that no table has."""
    for table in tables:
        for row in table.rows:
            key = _row_like(row, table, corpus, rng)
            if not key:
                continue
            for column in columns_of(table)[:4]:
                cells = {column: row.cells[column]} if column in row.cells else {}
                asked = ask_cell(table, Row(row.start, row.end, key, cells), column, corpus, voice) if cells else None
                if asked:
                    yield _declined(asked, asked.question, voice, "other-row")


def _row_like(row: Row, table: Table, corpus: Corpus, rng: random.Random) -> str:
    """The key of a row that might stand in a table and does not: another code, or another thing of the same kind."""
    first = row.key.split()[-1] if row.key.lower().startswith(table.key_column.lower()) else row.key
    if _CODE.match(first) and re.search(r"\d", first):
        other = re.sub(r"\d", lambda digit: str((int(digit[0]) + rng.randint(1, 8)) % 9 + 1), first)
        return (
            row.key.replace(first, other) if other.casefold() not in corpus.words and other not in corpus.text else ""
        )
    if row.key.casefold() in corpus.places:
        rows = PLACES
    else:
        names = set(re.findall(r"[a-z]+", table.key_column.casefold()))
        rows = next((rows for words, rows in KINDS if names & words), ())
    free = [one for one in rows if one.casefold() not in corpus.text.casefold()]
    return rng.choice(free) if free else ""


def _empty_cell(tables: Sequence[Table], corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """A column that other rows of a table of records fill in, and this one does not."""
    for table in tables:
        samples = {column: cell for row in table.rows for column, cell in row.cells.items()}
        for row in table.rows[1:-1]:  # the first and the last may be cut off
            for column in (name for name in samples if name not in row.cells):
                asked = ask_cell(table, replace(row, cells={column: samples[column]}), column, corpus, voice)
                if asked and not _GENERAL.match(asked.question):
                    yield _declined(asked, asked.question, voice, "empty-cell")


def _about_topics(answerable: Sequence[Draft], corpus: Corpus, voice: Voice, rng: random.Random) -> Iterator[Draft]:
    topics = {
        draft.topic: draft
        for draft in answerable
        if draft.source and 1 <= len(draft.topic.split()) <= 6 and "," not in draft.topic
    }
    for topic, draft in topics.items():
        near = corpus.around(topic, draft.source.doc if draft.source else "")
        for detail in rng.sample(OF_TOPICS, len(OF_TOPICS))[:6]:
            if not detail.words & near:
                yield _asked(draft, detail, topic, voice, "topic-detail")


def _about_people(corpus: Corpus, voice: Voice, rng: random.Random) -> Iterator[Draft]:
    """A detail of somebody whom the documents name."""
    seen: set[str] = set()
    for chunk in corpus.chunks:
        for match in _WITH_ROLE.finditer(chunk.text):
            name = match["after"] or match["before"]
            if name in seen or any(part.casefold() in corpus.lower | corpus.places for part in name.split()):
                continue
            seen.add(name)
            near = corpus.around(name, "")
            for detail in rng.sample(OF_PEOPLE, len(OF_PEOPLE))[:3]:
                if not detail.words & near:
                    draft = Draft(Kind.NEAR_MISS, "", voice.decline, (), chunk, corpus.topic(chunk), "")
                    yield _asked(draft, detail, name, voice, "person-detail")


def _about_things(tables: Sequence[Table], corpus: Corpus, voice: Voice, rng: random.Random) -> Iterator[Draft]:
    """A detail of a row that no column gives."""
    for table in tables:
        names = set(re.findall(r"[a-z]+", table.key_column.casefold()))
        details = next((details for words, details in OF_THINGS if names & words), ())
        for row in table.rows if details else ():
            draft = next(ask_rows(replace(table, rows=(row,)), corpus, voice), None)
            if draft and len(row.key.split()) <= 5 and not _CODE.match(row.key):
                near = corpus.around(row.key, "")
                for detail in rng.sample(details, min(4, len(details))):
                    if not detail.words & near:
                        yield _asked(draft, detail, row.key, voice, "thing-detail")


def _other_year(answerable: Sequence[Draft], corpus: Corpus, voice: Voice, rng: random.Random) -> Iterator[Draft]:
    """The same question for a year that no document speaks of."""
    absent = [year for year in YEARS if year not in corpus.words]
    for draft in answerable:
        if absent and _YEAR.search(draft.question) and draft.way not in ("policy", "heading-asks"):
            yield _declined(draft, _YEAR.sub(rng.choice(absent), draft.question), voice, "other-year")


def _asked(draft: Draft, detail: Detail, thing: str, voice: Voice, way: str) -> Draft:
    return replace(_declined(draft, detail.form.format(it=thing), voice, way), clear=True, demand="")


def _declined(draft: Draft, question: str, voice: Voice, way: str) -> Draft:
    return replace(draft, kind=Kind.NEAR_MISS, question=question, answer=voice.decline, evidence=(), way=way)
