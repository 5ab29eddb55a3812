"""The offline teacher as a whole: pairs in the house form, with verbatim evidence, the same for the same seed."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from finetune import house_form
from finetune.curation.pairs import UNANSWERABLE, Kind, Pair
from finetune.settings import SynthSettings
from finetune.support import numbers, without_step_numbers
from finetune.synthesis.drafts import Corpus
from finetune.synthesis.synthesize import synthesize
from finetune.synthesis.wording import STYLES
from finetune.voice import load_voice
from ingest.chunk import chunk as cut
from ingest.load import parse
from ingest.records import Chunk
from ingest.settings import IngestSettings

DATA = Path(__file__).parent.parent / "data"
FINETUNE = Path(__file__).parent.parent / "finetune" / "synthesis"
VOICE = load_voice(DATA / "house_style.toml")
SETTINGS = SynthSettings(pairs=1000)


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    found = []
    for path in sorted((DATA / "sample").rglob("*")):
        if path.suffix in (".md", ".txt", ".csv"):
            doc = str(path.relative_to(DATA / "sample"))
            parsed = parse(path.read_bytes(), path.name, IngestSettings())
            found += cut(parsed, doc, frozenset({"everyone", "it"}), words, chunk_tokens=192, window=254)
    return found


@pytest.fixture(scope="module")
def pairs(chunks: list[Chunk]) -> list[Pair]:
    return list(synthesize(chunks, VOICE, settings=SETTINGS))


def test_every_answer_is_in_the_house_form(pairs: list[Pair]) -> None:
    broken = [(pair.answer, house_form.check(pair.answer, VOICE, len(pair.evidence))) for pair in pairs]
    assert not [(answer, rules) for answer, rules in broken if rules and VOICE.marker.search(answer)]


def test_evidence_stands_word_for_word_in_its_chunk_and_holds_the_answers_numbers(
    pairs: list[Pair], chunks: list[Chunk]
) -> None:
    by_id = {chunk.id: chunk for chunk in chunks}
    for pair in pairs:
        assert bool(pair.evidence) == (pair.kind not in UNANSWERABLE | {Kind.GENERAL})
        for one in pair.evidence:
            chunk = by_id[one.chunk_id]
            assert chunk.text[one.start - chunk.start : one.end - chunk.start] == one.text
            assert one.doc == chunk.doc
        if pair.evidence:
            said = without_step_numbers(VOICE.marker.sub("", pair.answer))
            told = " ".join(
                f"{one.text} {by_id[one.chunk_id].heading} {by_id[one.chunk_id].title}" for one in pair.evidence
            )
            assert numbers(said) <= numbers(f"{told} {pair.question}"), pair


def test_what_has_no_answer_is_declined_whole(pairs: list[Pair]) -> None:
    declined = [pair for pair in pairs if pair.kind in UNANSWERABLE]
    assert {pair.answer for pair in declined} == {VOICE.decline}
    assert all(pair.doc for pair in declined if pair.kind is Kind.NEAR_MISS)
    assert not any(pair.doc for pair in declined if pair.kind is Kind.OUT_OF_SCOPE)


def test_the_same_seed_gives_the_same_pairs_and_another_one_others(pairs: list[Pair], chunks: list[Chunk]) -> None:
    assert list(synthesize(chunks, VOICE, settings=SETTINGS)) == pairs
    other = list(synthesize(chunks, VOICE, settings=SynthSettings(pairs=1000, seed=1)))
    assert {pair.id for pair in other} != {pair.id for pair in pairs}


def test_there_is_some_of_every_kind_and_every_style(pairs: list[Pair]) -> None:
    kinds = Counter(pair.kind for pair in pairs)
    assert set(kinds) == set(Kind) - {Kind.OWN}
    assert len({pair.id for pair in pairs}) == len(pairs) == SETTINGS.pairs
    assert 0.1 < sum(kinds[kind] for kind in UNANSWERABLE) / len(pairs) < 0.25
    styles = Counter(pair.style for pair in pairs if pair.kind is not Kind.GENERAL)
    assert min(styles.values()) > 0.15 * sum(styles.values())
    assert set(styles) == {style.value for style in STYLES}
    assert all(pair.history for pair in pairs if pair.kind is Kind.FOLLOW_UP)
    assert all(pair.planted for pair in pairs if pair.kind is Kind.PLANTED)
    assert all(len({one.chunk_id for one in pair.evidence}) == 2 for pair in pairs if pair.kind is Kind.TWO_PASSAGES)


def test_one_chunk_is_asked_many_questions_with_many_answers(pairs: list[Pair]) -> None:
    answers: dict[str, set[str]] = {}
    for pair in pairs:
        for one in pair.evidence:
            answers.setdefault(one.chunk_id, set()).add(pair.answer)
    assert sum(map(len, answers.values())) / len(answers) > 2.5


def test_what_is_asked_alike_and_answered_differently_says_what_it_is_about() -> None:
    texts = {"Car pool": "The booking ends after 30 minutes.", "Meeting rooms": "The booking ends after 10 minutes."}
    two = [Chunk(title, f"{title}.md", title, "", None, 0, len(text), text) for title, text in texts.items()]
    made = synthesize(two, VOICE, settings=SynthSettings(pairs=200))
    asked: dict[str, set[str]] = {}
    for pair in made:
        if pair.kind is Kind.FACT:
            asked.setdefault(pair.question, set()).add(pair.answer)
    assert asked
    assert all(len(answers) == 1 for answers in asked.values())


def test_labels_of_a_document_go_with_its_pairs(pairs: list[Pair]) -> None:
    assert {pair.access for pair in pairs if pair.doc} == {frozenset({"everyone", "it"})}


def test_a_near_miss_asks_for_what_no_document_names(pairs: list[Pair], chunks: list[Chunk]) -> None:
    known = Corpus.of(chunks).words
    asked = [pair.question for pair in pairs if pair.kind is Kind.NEAR_MISS]
    new = [question for question in asked if {word.casefold() for word in re.findall(r"[A-Z]\w{3,}", question)} - known]
    assert len(asked) > 60
    assert len(new) > len(asked) / 6


def test_nothing_is_taken_from_the_questions_that_measure() -> None:
    measured = {json.loads(line)["question"].casefold() for line in (DATA / "questions.jsonl").open()}
    ours = (FINETUNE / "out_of_scope.txt").read_text().splitlines()
    assert len(set(ours)) == len(ours) >= 60
    assert not measured & {line.casefold() for line in ours}
    replay = [json.loads(line) for line in (FINETUNE / "replay.jsonl").open()]
    assert len({row["question"] for row in replay}) == len(replay) >= 60
    assert all(row["answer"].strip() and not VOICE.marker.search(row["answer"]) for row in replay)


def test_documents_without_facts_give_what_needs_none() -> None:
    empty = [Chunk("c1", "a.md", "", "", None, 0, 5, "Hello")]
    kinds = {pair.kind for pair in synthesize(empty, VOICE, settings=SynthSettings(pairs=50))}
    assert kinds == {Kind.OUT_OF_SCOPE, Kind.GENERAL}
