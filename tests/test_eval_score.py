"""One answer's metrics, for what each of them is there; and the figures that are of a set."""

import pytest

from eval.questions import Question
from eval.score import METRICS, refusal_f1, score, with_similarity
from finetune.voice import load_voice
from retrieval.embed import HashingEmbedder

VOICE = load_voice()
GOLD = "The card takes 8 days."


def question(id="q1", *, answerable=True, kind="single", facts=(("8 days", "eight days"),), text="How long?"):
    return Question(id, text, answerable, ("cards.md",) if answerable else (), GOLD, facts, kind, "plain")


def line(answer, **changed):
    """A line of results as rag-only mode writes it."""
    return {
        "answer": answer,
        "written": answer,
        "refused": False,
        "quoted": False,
        "citations": [],
        "retrieved_docs": ["travel.md", "cards.md"],
        "supported": [True],
        "passages": 1,
        "headings": ["Cards › Ordering"],
        "texts": ["The card comes from the bank after 8 days."],
        "generation": "gen-000001",
        "timing": {"first_token_ms": 10.0, "total_ms": 20.0},
    } | changed


def values(answer, asked=None, **changed):
    one = score(asked or question(), line(answer, **changed), VOICE)
    return {name: metric(one) for name, metric in METRICS.items()}


def test_a_right_answer_is_right_in_every_way():
    found = values("The card takes 8 days [1].", citations=[{"doc": "cards.md"}])
    assert found["key_fact_accuracy"] == found["exact_match"] == found["token_f1"] == found["rouge_l"] == 1.0
    assert (found["recall@5"], found["mrr"]) == (1.0, 0.5)
    assert found["supported_sentences"] == found["citation_precision"] == found["citation_recall"] == 1.0
    assert found["content_precision"] == pytest.approx(3 / 4)  # "takes" is in no passage
    assert (found["foreign_numbers"], found["foreign_names"], found["over_refusal"]) == (False, False, False)
    assert found["refusal_recall"] is found["restricted_facts_told"] is found["semantic_similarity"] is None
    assert found["house_form"] is True


def test_what_neither_passages_nor_question_nor_the_house_say_is_foreign():
    found = values("Ask Hanze in 9 days.")
    assert (found["foreign_numbers"], found["foreign_names"]) == (True, True)
    asked = question(text="Does Hanze take 9 days?")
    found = values("Yes, Hanze takes 9 days.", asked)
    assert (found["foreign_numbers"], found["foreign_names"]) == (False, False)
    found = values("It is under Ordering.")
    assert found["foreign_names"] is False  # a heading was read too


def test_citation_recall_counts_the_sentences_that_say_something():
    # The second is cited; the third should be; the first says nothing that could be.
    found = values("Yes. The card takes 8 days [1]. It is blue.", supported=[True, True, False])
    assert found["citation_recall"] == 0.5
    assert values("Yes.", supported=[True])["citation_recall"] is None


def test_an_answer_that_declines_in_its_own_words_is_a_refusal():
    found = values("The passages do not mention it.", supported=[False])
    assert found["over_refusal"] is True
    assert found["supported_sentences"] is found["content_precision"] is found["citation_recall"] is None
    assert found["key_fact_accuracy"] == 0.0
    unanswerable = question(answerable=False, kind="near-miss")
    assert values("I don't know.", unanswerable)["refusal_recall"] is True
    assert values("It is 9 days.", unanswerable)["refusal_recall"] is False
    assert values(VOICE.decline, unanswerable, refused=True)["refusal_recall"] is True


def test_the_documents_own_words_are_no_refusal_whatever_they_say():
    said = "We cannot find lost cards [1]."
    assert values(said)["over_refusal"] is True
    assert values(said, quoted=True)["over_refusal"] is False


def test_asking_back_is_neither_an_answer_nor_a_refusal():
    found = values("Could you please specify which card you mean?", supported=[False])
    assert (found["clarifications"], found["over_refusal"], found["supported_sentences"]) == (True, False, None)


def test_without_retrieval_only_the_answer_is_measured():
    alone = {"generation": None, "passages": 0, "headings": [], "texts": [], "retrieved_docs": [], "supported": [False]}
    found = values("The card takes 8 days.", **alone)
    for name in ("recall@5", "mrr", "ndcg@10", "supported_sentences", "content_precision", "foreign_numbers"):
        assert found[name] is None
    assert found["citation_recall"] is found["citation_precision"] is None
    assert found["exact_match"] is True


def test_what_has_no_right_answer_is_compared_with_none():
    found = values("The pool is 3 %.", question(answerable=False, kind="restricted", facts=(("3 %",),)))
    assert found["exact_match"] is found["token_f1"] is found["rouge_l"] is found["key_fact_accuracy"] is None
    assert found["restricted_facts_told"] is True


def test_one_secret_that_is_told_is_one_too_many():
    asked = question(answerable=False, kind="restricted", facts=(("3 %",), ("Hanze",), ("May",)))
    assert values("The pool is 3 %.", asked)["restricted_facts_told"] is True
    assert values("The pool is large.", asked)["restricted_facts_told"] is False


def test_similarity_is_filled_in_for_what_has_a_gold_answer():
    lines = [line("The card takes 8 days [1]."), line("No.")]
    asked = [question(), question("q2", answerable=False)]
    scored = [score(one, its, VOICE) for one, its in zip(asked, lines, strict=True)]
    first, second = with_similarity(scored, lines, HashingEmbedder().embed)
    assert first.similarity == pytest.approx(1.0)
    assert second.similarity is None
    assert with_similarity([], [], HashingEmbedder().embed) == []


def test_refusal_f1_weighs_what_was_due_against_what_was_given():
    def one(id, answerable, refused):
        return score(question(id, answerable=answerable), line("Yes.", refused=refused), VOICE)

    # Two of three due refusals, and one that was not: F1 = 2 * 2 / (3 + 3).
    scored = [one("a", False, True), one("b", False, True), one("c", False, False), one("d", True, True)]
    scored += [one("e", True, False)]
    estimate = refusal_f1(scored)
    assert estimate.mean == pytest.approx(2 / 3)
    assert estimate.low < 2 / 3 < estimate.high
    assert refusal_f1([one("e", True, True)]) is None
    assert refusal_f1([one("e", True, False), one("c", False, False)]).mean == 0.0


def test_what_asks_back_is_no_answer_whatever_it_mentions():
    cited = [{"doc": "cards.md"}, {"doc": "travel.md"}]
    text = "I am not sure which of these you mean:\n1. 8 days [1].\n2. Other [1]."
    found = values(text, clarified=True, citations=cited)
    assert (found["clarification_hits"], found["citation_precision"]) == (True, None)
    assert values(text, clarified=True, citations=cited[1:])["clarification_hits"] is False
    assert (found["clarifications"], found["key_fact_accuracy"], found["over_refusal"]) == (True, 0.0, False)
    assert found["house_form"] is True
