"""Overlap: duplicates after normalisation, near-duplicates found exactly, and the audit against evaluation sets."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.curation.overlap import Asked, NearIndex, QuestionSet, audit, normal, read_questions, shingles
from finetune.curation.pairs import Kind, Pair
from ingest.errors import DeskmateError

PAIR = Pair(
    "p1", Kind.FACT, "plain", "How long does a VPN session last?", "A session ends after 10 hours [1].", "vpn.md"
)


def test_texts_are_the_same_whatever_their_case_punctuation_and_width() -> None:
    assert normal("How  long, does a ＶＰＮ session last?") == normal("how long does a vpn session last")
    assert normal("VPN 1") != normal("VPN 2")
    assert normal("?!") == "?!"


TEXTS = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=7).map(" ".join), max_size=12)


@given(TEXTS, st.lists(st.sampled_from("abcdefg"), max_size=7).map(" ".join), st.floats(0.05, 1))
def test_the_index_finds_what_comparing_with_every_text_finds(texts: list[str], text: str, threshold: float) -> None:
    own = shingles(text)
    best = max((len(own & one) / len(own | one) if own | one else 0.0 for one in map(shingles, texts)), default=0.0)
    match = NearIndex(texts, threshold).find(text)
    if best < threshold:
        assert match is None
    elif own:
        assert match
        assert match.similarity == best


def test_thousands_of_questions_take_no_time() -> None:
    texts = [
        f"how do i {verb}{n % 977} the {n % 353} thing{n} in hall {n % 89}" for n in range(12_000) for verb in ("mend",)
    ]
    began = time.perf_counter()
    index = NearIndex(texts[:4_000], 0.7)
    found = sum(index.find(text) is not None for text in texts[2_000:])
    assert found >= 2_000
    assert time.perf_counter() - began < 5


def question_set(*asked: tuple[str, str]) -> QuestionSet:
    return QuestionSet("q.jsonl", tuple(Asked(f"q{n}", *one) for n, one in enumerate(asked)))


@pytest.mark.parametrize(
    ("question", "answer", "how"),
    [
        ("how long does a vpn session last", "", "exact"),
        ("How long does a VPN session last here?", "", "near"),
        ("Please tell me: how long does a VPN session really last?", "a session ends after 10 hours", None),
        ("What ends?", "Mind: a session always ends after 10 hours, whatever you do.", "shared"),
        ("So they say that one can ask how long does a long VPN session last in all", "", "shared"),
        ("What is the limit?", "", None),
    ],
)
def test_the_audit_names_how_a_pair_gives_a_question_away(question: str, answer: str, how: str | None) -> None:
    pair = replace(
        PAIR,
        question="How long does a VPN session last?"
        if how != "shared"
        else "And how long does a long VPN session last in all of Spain?",
        answer="A session always ends after 10 hours, whatever you do [1].",
    )
    found, (leakage,) = audit([pair], [question_set((question, answer))], 0.7, 8)
    assert ([one.how for one in found.values()] or [None]) == [how]
    assert leakage.pairs == (how is not None)
    assert (leakage.exact, leakage.near, leakage.shared) == (how == "exact", how == "near", how == "shared")
    assert len(leakage.examples) == leakage.pairs


def test_refusals_are_all_alike_and_give_nothing_away() -> None:
    refusal = "I could not find this in our documents, so I would rather not guess."
    declined = replace(PAIR, kind=Kind.NEAR_MISS, question="Who painted the hall?", answer=refusal)
    assert audit([declined], [question_set(("Is there a gym?", refusal))], 0.7, 8)[0] == {}


def test_each_set_has_its_own_findings_and_a_pair_counts_in_all_of_them() -> None:
    sets = [question_set((PAIR.question, "")), question_set(("Nothing alike?", "")), question_set((PAIR.question, ""))]
    found, findings = audit([PAIR, replace(PAIR, id="p2", question="Who is it?", answer="It is Eve.")], sets, 0.7, 8)
    assert list(found) == [0]
    assert [one.pairs for one in findings] == [1, 0, 1]
    assert findings[0].examples[0].asked_id == "q0"


def test_evaluation_questions_are_read_and_what_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(
        '\ufeff{"id": "a", "question": "Why?", "answer": "So.", "kind": "x"}\r\n\r\n{"question": "Who?"}\r\n'
    )
    assert read_questions(path) == QuestionSet(
        f"{tmp_path.name}/q.jsonl", (Asked("a", "Why?", "So."), Asked("3", "Who?", ""))
    )
    path.write_text('{"id": "a", "question": "Why?"}\n{"id": "b", "question": " "}\n')
    with pytest.raises(DeskmateError, match=r"q\.jsonl:2: no evaluation question"):
        read_questions(path)
    path.write_text("[" * 200_000)
    with pytest.raises(DeskmateError, match=r"q\.jsonl:1: no JSON"):
        read_questions(path)
