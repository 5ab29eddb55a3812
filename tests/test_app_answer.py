"""The Answerer: what is searched, read, written, checked and declined, in every mode."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from adapters import bare
from office import POLICIES, Office

from app.answering.answer import Answer, Answerer, Finished, Retrieved, Token
from app.answering.confidence import Confidence
from app.answering.decision import AnswerLimits
from app.answering.modes import Mode
from app.answering.relevance import Relevance, RelevanceJudge
from app.answering.serving import Documents, Serving
from app.console import answer_json
from app.models.llm import Delta, EchoModel
from finetune.adapters.card import Adapter
from finetune.adapters.registry import Registry
from finetune.house_form import check
from finetune.template import Turn
from finetune.voice import load_voice
from ingest.errors import DeskmateError

VOICE = load_voice()
WEIGHTS = Confidence("echo", sentence=8.0, standing=0.5, held=1.0, bias=-4.0)
LIMITS = AnswerLimits(passages=3, passage_tokens=700, answer_tokens=160, confidence=0.2, weights=WEIGHTS)
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
    assert LIMITS.confidence < answer.confidence <= 1
    assert answer.usage.prompt_tokens > answer.usage.completion_tokens > 0
    assert 0 < answer.timing.retrieval_ms <= answer.timing.first_token_ms <= answer.timing.total_ms


def test_a_stream_is_what_was_found_then_the_tokens_then_the_answer(desk: Desk) -> None:
    events = list(desk.answerer().stream(QUESTION))
    assert isinstance(events[0], Retrieved)
    assert isinstance(events[-1], Finished)
    assert all(isinstance(event, Token) for event in events[1:-1])
    assert events[0].hits == events[-1].answer.hits
    assert "".join(event.text for event in events[1:-1]).strip() == "VPN Error 809 means that port 4500 is blocked. [1]"


def test_a_mode_without_passages_cites_nothing(desk: Desk) -> None:
    answer = desk.answerer(Says("Port 4500 is blocked [1]. Ask IT [2].")).answer(QUESTION, mode=Mode.PROMPT_ONLY)
    assert (answer.answer, answer.citations) == ("Port 4500 is blocked. Ask IT.", ())
    assert answer.written == "Port 4500 is blocked [1]. Ask IT [2]."


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
    assert answer.confidence < LIMITS.confidence
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
    answer = desk.answerer(model, confidence=0).answer(question)
    assert "4 percent" not in str(model.prompts) + str(answer.hits) + str(answer.citations) + answer.answer
    assert "managers" not in str(answer.relevance)
    allowed = desk.answerer(model, confidence=0).answer(question, groups=frozenset({"managers"}))
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


def test_relevance_tells_subjects_apart(desk: Desk) -> None:
    searcher = desk.office.searcher()
    judge_all = RelevanceJudge(searcher)

    def judge(*questions: str) -> list[Relevance]:
        return judge_all(questions, [searcher.search(question).hits for question in questions])

    about = judge(QUESTION, "days of annual leave", "badge paper printer")
    other = judge("Mount Everest height", "capital of Peru", "the of and")
    assert max(one.sentence for one in other) < min(one.sentence for one in about) <= 1
    assert max(one.standing for one in other) < min(one.standing for one in about)
    [alone] = judge(QUESTION)  # in a batch or alone
    assert (alone.sentence, alone.standing) == pytest.approx((about[0].sentence, about[0].standing))
    assert judge_all([QUESTION], [()]) == [Relevance()]
    assert judge_all([], []) == []


def test_the_nearest_sentence_comes_first_and_headings_and_questions_do_not_count(office: Office) -> None:
    heading, question = "# What the VPN errors mean", "What does error 809 mean?"
    text = f"{heading}\n\n{question}\n\nError 809 means that port 4500 is blocked. Ask the desk for help."
    office.write({"it/vpn.md": text})
    office.ingest()
    searcher = office.searcher()
    [found] = RelevanceJudge(searcher)([QUESTION], [searcher.search(QUESTION).hits])
    heard = [one.chunk.text[one.start : one.end] for one in found.nearest]
    assert heard == ["Error 809 means that port 4500 is blocked.", "Ask the desk for help."]


NONSENSE = "The moon is cheese."


def test_where_nothing_holds_that_the_model_wrote_the_documents_are_quoted(desk: Desk) -> None:
    answer = desk.ask(model=Says(NONSENSE))
    assert answer.quoted
    assert answer.written == NONSENSE
    assert answer.answer.startswith("Error 809 means that port 4500 is blocked [1].")
    assert check(answer.answer, VOICE, answer.sources) == ()
    texts = {hit.chunk.id: hit.chunk for hit in answer.hits[: answer.sources]}
    for citation in answer.citations:
        chunk = texts[citation.chunk_id]
        assert chunk.text[citation.start - chunk.start : citation.end - chunk.start] == citation.quote
        assert citation.chunk_id == answer.hits[citation.n - 1].chunk.id


def test_what_holds_in_part_is_not_quoted_away(desk: Desk) -> None:
    answer = desk.ask(model=Says("Port 4500 is blocked [1]. ", NONSENSE))
    assert not answer.quoted
    assert answer.answer == f"Port 4500 is blocked [1]. {NONSENSE}"


def test_an_answer_that_holds_is_surer_than_a_quotation(desk: Desk) -> None:
    held, quoted = desk.ask(), desk.ask(model=Says(NONSENSE))
    assert held.confidence > quoted.confidence


def test_what_is_too_unsure_to_quote_is_declined(desk: Desk) -> None:
    sure = desk.ask(model=Says(NONSENSE)).confidence
    answer = desk.answerer(Says(NONSENSE), confidence=sure + 0.01).answer(QUESTION)
    assert (answer.refused, answer.quoted, answer.answer) == (True, False, VOICE.decline)


def test_a_model_whose_refusals_mean_nothing_is_not_believed(desk: Desk) -> None:
    refusing = Says(VOICE.refusal.text)
    assert desk.ask(model=refusing).refused
    doubted = desk.answerer(refusing, weights=replace(WEIGHTS, believed=False)).answer(QUESTION)
    assert (doubted.refused, doubted.quoted) == (False, True)


@pytest.mark.parametrize(
    ("written", "stands"),
    [
        ("Error 809 means that port 4500 is blocked.", True),
        ("Switch to the other profile.", False),
        ("Blocked port, 4500: means error, 809.", False),
    ],
)
def test_what_a_model_that_is_not_believed_wrote_stands_only_where_it_keeps_to_the_nearest_sentence(
    desk: Desk, written: str, stands: bool
) -> None:
    believed = desk.ask(model=Says(written))
    assert (believed.held, believed.quoted) == (True, False)
    doubted = desk.answerer(Says(written), weights=replace(WEIGHTS, believed=False)).answer(QUESTION)
    assert (doubted.held, doubted.quoted) == (stands, not stands)


def test_between_two_thresholds_it_is_asked_back_which_subject_is_meant_and_no_model_is_asked(desk: Desk) -> None:
    model = Says("Port 4500.")
    sure = desk.ask(model=model).confidence
    answer = desk.answerer(model, ask_back=sure + 0.01).answer(QUESTION)
    assert (answer.clarified, answer.refused, answer.quoted, answer.written) == (True, False, False, "")
    first, *choices = answer.answer.split("\n")
    assert first == "I am not sure which of these you mean:"
    assert choices[0] == "1. VPN [1]."
    assert 2 <= len(choices) <= 3
    assert check(answer.answer, VOICE, answer.sources) == ()
    assert [citation.n for citation in answer.citations] == [1, 2, 3][: len(choices)]
    assert answer.citations[0].quote == "Error 809 means that port 4500 is blocked."
    assert len(model.prompts) == 1
    assert not desk.answerer(model, ask_back=sure).answer(QUESTION).clarified


def test_what_is_declined_is_not_asked_back(desk: Desk) -> None:
    answer = desk.answerer(Says("No."), confidence=1.0, ask_back=1.0).answer(QUESTION)
    assert (answer.refused, answer.clarified) == (True, False)


def test_where_there_is_nothing_to_choose_nothing_is_asked_back(office: Office) -> None:
    office.write({"it/vpn.md": "# VPN\n\nError 809 means that port 4500 is blocked.\n"})
    office.ingest()
    answer = Desk(office).answerer(Says("Port 4500."), ask_back=1.0).answer(QUESTION)
    assert not answer.clarified


def test_a_stopped_answer_stays_what_it_was(desk: Desk) -> None:
    cancel = threading.Event()
    events = desk.answerer(Says("The moon ", "is cheese.")).stream(QUESTION, cancel=cancel)
    last = None
    for event in events:
        if isinstance(event, Token):
            cancel.set()
        last = event
    assert isinstance(last, Finished)
    assert not last.answer.quoted
    assert not last.answer.refused
    assert last.answer.answer.startswith("The moon")


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


def test_a_quotation_may_be_of_a_passage_that_the_model_did_not_read(desk: Desk) -> None:
    """What it read stays what it read: thumbs become training rows with that very prompt."""
    unbelieved = replace(WEIGHTS, believed=False)
    answer = desk.answerer(Says("Nothing of it."), passages=1, weights=unbelieved).answer("badge paper leave port")
    assert answer.quoted
    assert answer.passages == 1
    assert answer.sources == max(one.n for one in answer.citations)
    assert answer.sources > 1
