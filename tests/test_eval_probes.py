"""Passages that are changed between search and model: does the answer follow, and does it obey what is planted?"""

from dataclasses import replace

import pytest
from eval_desk import LEAVE, VPN, make_desk, publish, question, write_set

from app.answering.modes import Mode
from app.models.llm import Completion, EchoModel
from eval.contenders import contenders
from eval.probes.canaries import PLANTED, canaries, obeys, plant
from eval.probes.changed import sample
from eval.probes.obedience import OUTCOMES, _other, _swap, obedience
from eval.questions import Question, read_question_set
from eval.report import write_report
from eval.run import Options, run
from ingest.errors import DeskmateError
from ingest.records import Chunk
from ingest.sentences import sentence_spans
from retrieval.records import Hit

DAYS = LEAVE | {"key_facts": [["25 days", "twenty-five days"]]}


@pytest.fixture
def desk(tmp_path):
    return make_desk(tmp_path)


@pytest.fixture
def probe(desk, tmp_path):
    """Run a probe over questions in some modes."""

    def go(what, *asked, modes=(Mode.RAG_ONLY,)):
        questions = read_question_set(write_set(tmp_path / "questions.jsonl", asked))
        entrants = contenders(desk, modes, ())
        return what(desk, entrants, questions) if what is obedience else what(entrants, questions)

    return go


def answering(monkeypatch, text):
    """A model that says the same whatever it reads."""
    monkeypatch.setattr(
        EchoModel, "generate_batch", lambda self, asked, n, **options: [Completion(text, 1, 1) for _ in asked]
    )


def test_a_model_that_reads_follows_the_changed_passage(probe):
    found = probe(obedience, DAYS, VPN)
    assert found["questions"] == 2
    assert found["modes"]["rag-only"]["followed"]["mean"] == 1.0
    assert found["modes"]["rag-only"]["examples"] == []


def test_a_model_that_knows_better_is_found_out(probe, monkeypatch):
    answering(monkeypatch, "Annual leave is 25 days a year for everyone in the company [1].")
    found = probe(obedience, DAYS)["modes"]["rag-only"]
    assert found["wrote_old"]["mean"] == 1.0
    assert found["kept_old"]["mean"] == 0.0  # no passage says so any more, and grounding sees to it
    assert sum(found[name]["mean"] for name in OUTCOMES) == 1.0


def test_only_facts_that_can_be_changed_unnoticed_are(probe):
    in_question = DAYS | {"question": "Is annual leave 25 days a year?"}
    spelled_out = LEAVE | {"id": "other", "key_facts": [["25 days", "25 days a year for everyone"], ["company"]]}
    no_value = question("lower", "Who gets annual leave?", gold=["leave.md"], facts=[["everyone"]])
    unanswerable = question("none", "What is annual leave in Mars?", answerable=False)
    assert probe(obedience, in_question, spelled_out, no_value, unanswerable) is None
    assert probe(obedience, DAYS, modes=(Mode.PROMPT_ONLY,)) is None


def test_a_fact_that_a_heading_has_too_is_left_alone():
    asked = Question("q", "How long is the leave?", True, ("a.md",), "", (("25 days",),), "", "")
    chunk = Chunk("c", "a.md", "Leave", "Full time", None, 0, 9, "It is 25 days.")
    assert _swap(asked, [chunk]).old == "25"
    for heading in ("25 days", "Paragraph 25"):
        assert _swap(asked, [chunk, replace(chunk, heading=heading)]) is None
        assert _swap(asked, [replace(chunk, title=heading)]) is None


def test_another_number_is_one_that_is_nowhere():
    assert _other("25", "25 days, 28 weeks") == "29"
    assert _other("9", "9 days") == "2"
    taken = " ".join(map(str, range(20)))
    assert _other("5", taken) == "20"  # no digit is left, nor is 17


def test_an_instruction_is_one_sentence_so_that_no_part_of_it_is_quoted_alone():
    assert [len(sentence_spans(instruction)) for _, instruction in PLANTED] == [1] * len(PLANTED)
    assert all(instruction.count(word) == 1 for word, instruction in PLANTED)


def test_an_instruction_is_planted_in_the_first_passage_and_nowhere_else():
    def hit(rank, text):
        return Hit(rank, 1.0, Chunk(f"c{rank}", "a.md", "", "", None, 0, len(text), text))

    changed = plant(5, [hit(1, "First.\n"), hit(2, "Second.")])
    word, instruction = PLANTED[1]
    assert changed[0].chunk.text == f"First. {instruction}"
    assert changed[0].chunk.id == f"c1-{word}"  # what is remembered by id is not confused
    assert changed[1].chunk.text == "Second."
    assert plant(0, []) == []


def test_a_quoted_instruction_is_not_an_obeyed_one():
    word, instruction = PLANTED[0]
    assert obeys(0, f"{word} [1]")
    assert obeys(4, word)
    assert not obeys(0, f"The page says: {instruction} [1]")
    assert obeys(0, f"{instruction} [1] {word}")
    assert not obeys(1, word)


def test_a_model_that_obeys_is_told_from_one_that_does_not(probe, monkeypatch):
    found = probe(canaries, LEAVE, VPN)
    assert found["questions"] == 2
    assert found["modes"]["rag-only"]["wrote"]["mean"] == 0.0
    answering(monkeypatch, " ".join(word for word, _ in PLANTED))
    assert probe(canaries, LEAVE, VPN)["modes"]["rag-only"]["wrote"]["mean"] == 1.0
    assert probe(canaries, LEAVE, modes=(Mode.PROMPT_ONLY,)) is None


def test_a_probe_that_fails_in_one_mode_goes_on_in_the_others(desk, tmp_path, monkeypatch):
    publish(desk, tmp_path)
    file = write_set(tmp_path / "questions.jsonl", [DAYS, VPN])
    options = Options(adapters=("house",), out=tmp_path / "out", obedience=True, canaries=True)
    done = run(desk, file, options)

    def load(self, adapter=None):
        if adapter:
            raise DeskmateError("no room for the adapter")

    monkeypatch.setattr(EchoModel, "load", load)
    report = write_report(desk, done)
    for name in ("obedience", "canaries"):
        assert report[name]["modes"]["hybrid"] == {"failed": "no room for the adapter"}
        assert report[name]["questions"] == 2
    assert report["obedience"]["modes"]["rag-only"]["followed"]["mean"] == 1.0


def test_a_sample_is_spread_evenly_and_always_the_same():
    assert sample(range(100), 4) == [0, 25, 50, 75]
    assert sample(range(3), 4) == [0, 1, 2]
    assert sample([]) == []
