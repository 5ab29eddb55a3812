"""The Answerer: what is searched, read, written, checked and declined, in every mode."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from adapters import bare
from office import POLICIES, Office

from app.answer import Answer, Answerer, AnswerLimits, Finished, Retrieved, Token
from app.console import answer_json
from app.llm import Delta, EchoModel
from app.modes import Mode
from app.relevance import Relevance
from app.serving import Documents, Serving
from finetune.adapter_card import Adapter
from finetune.registry import Registry
from finetune.template import Turn
from finetune.voice import load_voice
from ingest.errors import DeskmateError

VOICE = load_voice()
LIMITS = AnswerLimits(passages=3, passage_tokens=700, answer_tokens=160, relevance=0.2)  # hashed cosines are low
QUESTION = "Which port is blocked when I get error 809?"


class Says:
    """A model that says what it is told to, and remembers what it was asked."""

    name = "says"

    def __init__(self, *pieces: str) -> None:
        self._pieces = pieces
        self.prompts: list[list[Turn]] = []
        self.adapters: list[Adapter | None] = []
        self.stopped = False

    def load(self, adapter: Adapter | None = None) -> None:
        """Nothing to load."""

    def stream(
        self,
        messages: Sequence[Turn],
        max_tokens: int,
        cancel: threading.Event | None = None,
        adapter: Adapter | None = None,
    ) -> Iterator[Delta]:
        self.adapters.append(adapter)
        self.prompts.append(list(messages))
        for n, piece in enumerate(self._pieces, start=1):
            if cancel and cancel.is_set():
                self.stopped = True
                return
            yield Delta(piece, 100, n)


class Desk:
    """An office whose questions are answered."""

    def __init__(self, office: Office) -> None:
        self.office = office

    def answerer(self, model: object = None, **limits: float) -> Answerer:
        values = {name: getattr(LIMITS, name) for name in LIMITS.__slots__} | limits
        count = lambda text: len(self.office.embedder.offsets(text))  # noqa: E731
        return Answerer(model or EchoModel(), self.office.searcher(), VOICE, AnswerLimits(**values), count)

    def ask(self, question: str = QUESTION, model: object = None, **options: object) -> Answer:
        return self.answerer(model).answer(question, **options)


@pytest.fixture
def desk(office: Office) -> Desk:
    office.write({**POLICIES, "hr/managers/.access": "managers\n"})
    office.ingest()
    return Desk(office)


def test_an_answer_is_cited_and_its_quote_is_the_documents_text(desk: Desk) -> None:
    answer = desk.ask()
    assert answer.answer == "VPN Error 809 means that port 4500 is blocked [1]."
    (citation,) = answer.citations
    text = desk.office.searcher().document(citation.doc).text
    assert (citation.n, citation.doc) == (1, "it/vpn.md")
    assert text[citation.start : citation.end] == citation.quote == "Error 809 means that port 4500 is blocked."
    assert (answer.mode, answer.model, answer.adapter, answer.refused) == (Mode.RAG_ONLY, "echo", None, False)
    assert answer.generation == desk.office.store.current_name()
    assert citation.chunk_id == answer.hits[0].chunk.id
    assert LIMITS.relevance < answer.confidence <= 1
    assert answer.usage.prompt_tokens > answer.usage.completion_tokens > 0
    assert 0 < answer.timing.retrieval_ms <= answer.timing.first_token_ms <= answer.timing.total_ms


def test_a_stream_is_what_was_found_then_the_tokens_then_the_answer(desk: Desk) -> None:
    events = list(desk.answerer().stream(QUESTION))
    assert isinstance(events[0], Retrieved)
    assert isinstance(events[-1], Finished)
    assert all(isinstance(event, Token) for event in events[1:-1])
    assert events[0].hits == events[-1].answer.hits
    assert "".join(event.text for event in events[1:-1]).strip() == "VPN Error 809 means that port 4500 is blocked. [1]"


def test_a_forged_citation_reaches_nobody(desk: Desk) -> None:
    answer = desk.ask(model=Says("Port 4500 is blocked [9]. ", "The moon is cheese [1] [4]."))
    assert answer.answer == "Port 4500 is blocked [1]. The moon is cheese."
    assert [(one.text, one.supported) for one in answer.sentences] == [
        ("Port 4500 is blocked [1].", True),
        ("The moon is cheese.", False),
    ]
    assert {citation.chunk_id for citation in answer.citations} <= {hit.chunk.id for hit in answer.hits}


def test_nothing_relevant_is_declined_without_asking_the_model_and_the_nearest_are_shown(desk: Desk) -> None:
    model = Says("Certainly!")
    answer = desk.ask("How tall is Mount Everest in furlongs?", model)
    assert answer.refused
    assert answer.answer == VOICE.decline
    assert model.prompts == []
    assert answer.hits
    assert (answer.citations, answer.usage.completion_tokens) == ((), 0)
    assert all(sentence.supported for sentence in answer.sentences)
    assert answer.confidence < LIMITS.relevance
    assert answer_json(answer)["retrieved"] == [hit.chunk.id for hit in answer.hits]


def test_an_empty_index_is_declined(office: Office) -> None:
    office.ingest()
    answer = Desk(office).ask()
    assert (answer.refused, answer.hits, answer.confidence) == (True, (), 0.0)


@pytest.mark.parametrize("rest", ["", " Please ask a colleague.", " But port 4500 is blocked [1]."])
def test_a_refusal_of_the_models_own_becomes_the_houses_without_citations(desk: Desk, rest: str) -> None:
    answer = desk.ask(model=Says(VOICE.refusal.text.replace(" ", "  "), rest))
    assert answer.refused
    assert answer.answer == VOICE.decline
    assert answer.citations == ()
    assert all(sentence.supported for sentence in answer.sentences)


def test_without_retrieval_nothing_is_searched_shown_or_supported(desk: Desk, monkeypatch) -> None:
    monkeypatch.setattr(desk.office.store.__class__, "open", lambda self: pytest.fail("the index was opened"))
    model = Says("Port 4500 is blocked [1].")
    events = list(desk.answerer(model).stream(QUESTION, mode=Mode.PROMPT_ONLY))
    answer = events[-1].answer
    assert events[0] == Retrieved((), 0.0)
    assert (answer.hits, answer.citations, answer.generation, answer.confidence) == ((), (), None, 0.0)
    assert not any(sentence.supported for sentence in answer.sentences)
    assert "Passage" not in model.prompts[0][-1]["content"]


def test_cancelling_stops_the_model_and_keeps_what_was_written(desk: Desk) -> None:
    model, cancel = Says("Error 809 means that ", "port 4500 is blocked.", " And", " so", " on."), threading.Event()
    seen = []
    for event in desk.answerer(model).stream(QUESTION, cancel=cancel):
        seen.append(event)
        if isinstance(event, Token) and "blocked" in event.text:
            cancel.set()
    assert model.stopped
    assert isinstance(seen[-1], Finished)
    assert seen[-1].answer.answer == "Error 809 means that port 4500 is blocked [1]."


def test_cancelling_before_the_first_token_gives_an_empty_answer(desk: Desk) -> None:
    cancel = threading.Event()
    cancel.set()
    *_, last = desk.answerer(Says("Never")).stream(QUESTION, cancel=cancel)
    assert (last.answer.answer, last.answer.citations, last.answer.refused) == ("", (), False)


def passages_read(model: Says) -> list[str]:
    return re.findall(r"<<<\n(.*?)\n>>>", model.prompts[0][-1]["content"], re.DOTALL)


@pytest.mark.parametrize(("limits", "count"), [({"passages": 2}, 2), ({"passages": 1}, 1), ({"passages": 20}, 3)])
def test_the_model_reads_no_more_passages_than_the_settings_say(desk: Desk, limits: dict, count: int) -> None:
    model = Says("Yes.")
    desk.answerer(model, **limits).answer(QUESTION)
    assert len(passages_read(model)) == count


def test_the_model_reads_no_more_tokens_than_the_settings_say_but_one_passage_at_least(desk: Desk) -> None:
    tokens = [len(desk.office.embedder.offsets(hit.chunk.embedded_text)) for hit in desk.ask().hits]
    for budget, count in ((1, 1), (sum(tokens[:2]) - 1, 1), (sum(tokens[:2]), 2), (sum(tokens), 3)):
        model = Says("Yes.")
        desk.answerer(model, passage_tokens=budget).answer(QUESTION)
        assert len(passages_read(model)) == count


def test_the_model_reads_the_best_passages_in_order_and_cites_by_their_numbers(desk: Desk) -> None:
    model = Says("Yes.")
    answer = desk.ask(model=model)
    assert passages_read(model) == [hit.chunk.text for hit in answer.hits[:3]]


def test_what_the_asker_may_not_read_reaches_no_prompt_answer_or_hit(desk: Desk) -> None:
    question = "How large is the bonus pool of salaries?"
    model = Says("The bonus pool is 4 percent of salaries [1].")
    answer = desk.answerer(model, relevance=0).answer(question)
    assert not answer.citations
    assert not answer.sentences[0].supported
    assert "4 percent" not in str(model.prompts) + str(answer.hits)
    allowed = desk.answerer(model, relevance=0).answer(question, groups=frozenset({"managers"}))
    assert [one.doc for one in allowed.citations] == ["hr/managers/bonus.md"]


def test_a_follow_up_searches_with_the_question_before_it_and_keeps_the_conversation(desk: Desk) -> None:
    history = [Turn(role="user", content=QUESTION), Turn(role="assistant", content="Port 4500.")]
    model = Says("Switch to the other profile.")
    answer = desk.ask("And then?", model, history=history)
    assert answer.hits[0].chunk.doc == "it/vpn.md"
    assert answer.question == "And then?"
    assert model.prompts[0][:2] == history
    assert model.prompts[0][-1]["content"].endswith(" And then?")


@pytest.mark.parametrize("question", ["", " \n", "x" * 100_000])
@pytest.mark.parametrize("mode", [Mode.RAG_ONLY, Mode.PROMPT_ONLY])
def test_what_is_no_question_is_refused_in_every_mode(desk: Desk, question: str, mode: Mode) -> None:
    model = Says("Yes.")
    with pytest.raises(DeskmateError, match="the question"):
        desk.ask(question, model, mode=mode)
    assert model.prompts == []


def test_relevance_is_a_number_between_0_and_1_that_tells_subjects_apart(desk: Desk) -> None:
    searcher = desk.office.searcher()
    relevance = Relevance(searcher.embed)

    def judge(*questions: str) -> list[float]:
        return relevance(questions, [searcher.search(question).hits for question in questions])

    about = judge(QUESTION, "days of annual leave", "badge paper printer")
    other = judge("Mount Everest height", "capital of Peru", "the of and")
    assert 0 <= max(other) < min(about) <= 1
    assert judge(QUESTION) == pytest.approx(about[:1])  # in a batch or alone
    assert relevance([QUESTION], [()]) == [0.0]
    assert relevance([], []) == []


# Adapters


@pytest.fixture
def tuned(desk: Desk, tmp_path) -> Callable[..., Answerer]:
    """An answerer with an adapter that only managers may use."""
    registry = Registry(tmp_path / "adapters")
    registry.promote(bare(tmp_path / "adapters", access=(("everyone",), ("managers",))))
    serving = Serving(registry, lambda: Documents("gen-000001", {}), "", "serve")

    def make(model: Says) -> Answerer:
        count = lambda text: len(desk.office.embedder.offsets(text))  # noqa: E731
        return Answerer(model, desk.office.searcher(), VOICE, LIMITS, count, serving.decide)

    return make


MANAGER = frozenset({"managers"})


def test_the_default_is_hybrid_for_those_cleared_and_rag_only_for_others(tuned) -> None:
    model = Says("Port 4500 is blocked.")
    cleared, other = tuned(model).answer(QUESTION, groups=MANAGER), tuned(model).answer(QUESTION)
    assert (cleared.mode, cleared.adapter) == (Mode.HYBRID, "house/v1")
    assert (other.mode, other.adapter) == (Mode.RAG_ONLY, None)
    assert [one and one.id for one in model.adapters] == ["house/v1", None]
    assert all(one.citations for one in (cleared, other))


@pytest.mark.parametrize("mode", [Mode.TUNE_ONLY, Mode.HYBRID])
def test_a_tuned_mode_is_refused_to_those_who_are_not_cleared(tuned, mode: Mode) -> None:
    model = Says("Port 4500 is blocked.")
    with pytest.raises(DeskmateError, match=f"the mode {mode} needs a tuned adapter: house/v1 was tuned on documents"):
        tuned(model).answer(QUESTION, mode=mode)
    assert model.prompts == []
    assert tuned(model).answer(QUESTION, mode=mode, groups=MANAGER).adapter == "house/v1"


def test_the_four_modes_are_two_switches(tuned) -> None:
    model = Says("Port 4500 is blocked.")
    answers = {mode: tuned(model).answer(QUESTION, mode=mode, groups=MANAGER) for mode in Mode}
    assert {mode for mode, one in answers.items() if one.adapter} == {Mode.TUNE_ONLY, Mode.HYBRID}
    assert {mode for mode, one in answers.items() if one.hits} == {Mode.RAG_ONLY, Mode.HYBRID}
    read = dict(zip(answers, ("Passage 1" in prompt[-1]["content"] for prompt in model.prompts), strict=True))
    assert {mode for mode, passages in read.items() if passages} == {Mode.RAG_ONLY, Mode.HYBRID}


def test_without_an_adapter_the_tuned_modes_say_what_to_do(desk: Desk) -> None:
    with pytest.raises(DeskmateError, match="none is served; run deskmate tune, then deskmate adapters promote NAME"):
        desk.ask(mode=Mode.HYBRID)
