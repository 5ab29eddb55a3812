import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import Office
from queue_kit import BEN, DORA, HUGO, SECRET, Floor, change

from app.accounts.accounts import Accounts, Change
from app.answering.answer import Finished
from app.answering.modes import Mode
from app.loop.correction_form import Form, drafted, filled, problems, renumbered, with_citations
from app.loop.correction_rows import included_rows
from app.loop.corrections import question_key
from app.people import Person, Role
from ingest.errors import DeskmateError
from ingest.records import EVERYONE

QUESTION = "When does the VPN session end?"
ANSWER = "The VPN session ends after 10 hours [1]."
BONUS = "When is the bonus of the managers paid?"


def form(floor: Floor, question: str, answer: str, reader: frozenset[str] = frozenset(), **more: object) -> Form:
    hits = floor.desk.searcher.search(question, groups=reader).hits
    return Form(question, answer, tuple(hit.chunk for hit in hits), **more)


def save(floor: Floor, form: Form, person: Person = DORA, replaces: int | None = None) -> int:
    draft = drafted(form, person, floor.staff.holdings, None)
    with floor.desk.database.writing() as connection:
        return floor.staff.corrections.save(connection, draft, person, replaces)


def said(floor: Floor, question: str, *groups: str, mode: Mode | None = None) -> tuple[str, int]:
    answer = floor.desk.answer(question, mode=mode, groups=frozenset(groups))
    return answer.answer, answer.corrected


def test_a_correction_is_given_at_once_to_the_same_question(floor: Floor) -> None:
    assert said(floor, QUESTION)[1] == 0
    number = save(floor, form(floor, QUESTION, ANSWER))

    assert said(floor, QUESTION) == (ANSWER, number)
    assert said(floor, "  when does the «vpn session»  end ?!") == (ANSWER, number)
    assert said(floor, "When does a VPN session end?")[1] == 0, "other words are another question"
    assert said(floor, QUESTION, mode=Mode.PROMPT_ONLY)[1] == 0, "it is for the modes that read documents"


def test_a_correction_comes_with_its_citations_and_without_a_model(floor: Floor) -> None:
    save(floor, form(floor, QUESTION, "It ends after 10 hours [1]. Connect again in Lockgate [1]."))

    events = list(floor.desk.answerer.stream(QUESTION))
    last = events[-1]
    assert isinstance(last, Finished)
    answer = last.answer
    assert len(events) == 2
    assert (answer.written, answer.confidence, answer.refused) == ("", 1.0, False)
    assert answer.generation
    assert [one.quote for one in answer.citations] == [
        "The VPN session ends after 10 hours.",
        "Connect again in the client Lockgate.",
    ]
    assert " ".join(one.text for one in answer.sentences) == answer.answer
    document = floor.desk.document("it/vpn.md", frozenset())
    assert document is not None
    assert all(document.text[one.start : one.end] == one.quote for one in answer.citations)


def test_evaluation_never_sees_corrections(floor: Floor) -> None:
    save(floor, form(floor, QUESTION, ANSWER))

    [batch] = floor.desk.answerer.answer_batch([QUESTION])
    assert batch.corrected == 0
    assert type(floor.desk)(floor.desk.settings).answer(QUESTION).corrected == 0, "nor does a desk of the command line"


def test_a_follow_up_question_is_not_mistaken_for_another_ones(floor: Floor) -> None:
    save(floor, form(floor, "And when is it deleted?", "Print jobs are deleted after 12 hours [1]."))
    conversation, _ = floor.ask(BEN, QUESTION)
    _, exchange = floor.ask(BEN, "And when is it deleted?", conversation)

    asked = floor.staff.judged.exchange(exchange)
    assert asked.answer != "Print jobs are deleted after 12 hours [1]."
    assert asked.whole == f"{QUESTION} And when is it deleted?"
    save(floor, form(floor, asked.whole, "Nothing is deleted [1]."))
    again, _ = floor.ask(BEN, QUESTION)
    _, exchange = floor.ask(BEN, "And when is it deleted?", again)
    assert floor.staff.judged.exchange(exchange).answer == "Nothing is deleted [1]."


def test_a_changed_document_suspends_a_correction_until_somebody_has_looked(floor: Floor, office: Office) -> None:
    number = save(floor, form(floor, QUESTION, ANSWER))
    change(office, "it/vpn.md", "# VPN\n\nThe VPN session ends after 8 hours.")

    assert said(floor, QUESTION)[1] == 0
    assert [one.id for one in floor.staff.corrections.suspended()] == [number]
    with pytest.raises(DeskmateError, match="changed since"):
        floor.staff.corrections.review(number, HUGO)

    anew = save(floor, form(floor, QUESTION, "It ends after 8 hours [1]."), replaces=number)
    assert said(floor, QUESTION) == ("It ends after 8 hours [1].", anew)
    assert floor.staff.corrections.suspended() == []
    assert floor.staff.corrections.find(number).state == "withdrawn"


def test_a_document_that_is_back_as_it_was_brings_its_correction_back(floor: Floor, office: Office) -> None:
    number = save(floor, form(floor, QUESTION, ANSWER))
    before = Path(office.docs, "it/vpn.md").read_text()
    change(office, "it/vpn.md", "# VPN\n\nClosed.")
    change(office, "it/vpn.md", before)

    assert said(floor, QUESTION) == (ANSWER, number)


def test_a_correction_is_given_to_those_who_may_read_what_it_rests_on(floor: Floor, office: Office) -> None:
    number = save(floor, form(floor, BONUS, f"In March, by {SECRET} [1].", HUGO.groups), HUGO)

    assert said(floor, BONUS, "hr") == (f"In March, by {SECRET} [1].", number)
    assert said(floor, BONUS)[1] == 0
    assert SECRET not in said(floor, BONUS)[0]
    Path(office.docs, "hr/.access").write_text("board\n")
    office.ingest()
    assert said(floor, BONUS, "hr")[1] == 0, "what counts is who may read it now"
    assert said(floor, BONUS, "board")[1] == number


def test_who_may_not_read_it_can_withdraw_but_not_review_it(floor: Floor) -> None:
    number = save(floor, form(floor, BONUS, "In March [1].", HUGO.groups), HUGO)

    with pytest.raises(DeskmateError, match="may not read"):
        floor.staff.corrections.review(number, DORA)
    floor.staff.corrections.withdraw(number, DORA)
    assert said(floor, BONUS, "hr")[1] == 0
    with pytest.raises(DeskmateError, match="no such correction"):
        floor.staff.corrections.withdraw(number, DORA)


def test_an_answer_without_documents_is_for_the_groups_it_names(floor: Floor) -> None:
    for_hr = form(floor, "Who waters the plants?", "Ask Rosa.", documents=False, groups=("hr",))
    number = save(floor, for_hr, HUGO)

    assert said(floor, "Who waters the plants?", "hr") == ("Ask Rosa.", number)
    assert said(floor, "Who waters the plants?")[1] == 0
    with pytest.raises(DeskmateError, match="not in the group 'hr'"):
        save(floor, for_hr, DORA)
    everybody = save(floor, form(floor, "Who waters the plants?", "Ask Jo.", documents=False, groups=(EVERYONE,)))
    assert said(floor, "Who waters the plants?") == ("Ask Jo.", everybody)


def test_two_who_change_one_correction_do_not_overwrite_each_other(floor: Floor) -> None:
    first = save(floor, form(floor, QUESTION, ANSWER))
    save(floor, form(floor, QUESTION, "After 10 hours [1]."), replaces=first)

    with pytest.raises(DeskmateError, match="meanwhile"):
        save(floor, form(floor, QUESTION, "After ten hours [1]."), replaces=first)


def test_a_second_person_reviews_where_there_is_one(floor: Floor) -> None:
    alone = Person("guest-1", "", frozenset(), Role.ADMIN)
    number = save(floor, form(floor, QUESTION, ANSWER), alone)
    floor.staff.corrections.review(number, alone)
    assert floor.staff.corrections.find(number).state == "reviewed"

    accounts = Accounts(floor.desk.database)
    authors = [accounts.add(name, "test", Change(role=Role.DESK)) for name in ("dora", "hugo")]
    author, other = (Person(f"user-{one.id}", one.name, frozenset(), Role.DESK) for one in authors)
    number = save(floor, form(floor, "When are print jobs deleted?", "After 12 hours [1]."), author)
    with pytest.raises(DeskmateError, match="somebody else"):
        floor.staff.corrections.review(number, author)
    floor.staff.corrections.review(number, other)
    with pytest.raises(DeskmateError, match="reviewed or withdrawn meanwhile"):
        floor.staff.corrections.review(number, other)


def test_reviewed_corrections_for_everyone_become_rows_without_citations(floor: Floor, office: Office) -> None:
    one = save(floor, form(floor, QUESTION, ANSWER))
    two = save(floor, form(floor, BONUS, "In March [1].", HUGO.groups), HUGO)
    save(floor, form(floor, "When are print jobs deleted?", "After 12 hours [1]."))
    for number in (one, two):
        floor.staff.corrections.review(number, HUGO)

    [row] = included_rows(floor.staff.corrections)
    assert row["id"] == f"correction-{one}"
    assert (row["question"], row["answer"]) == (QUESTION, "The VPN session ends after 10 hours.")
    assert row["docs"].keys() == {"it/vpn.md"}
    assert json.dumps(row)
    change(office, "it/vpn.md", "# VPN\n\nClosed.")
    assert list(included_rows(floor.staff.corrections)) == []


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", "empty"),
        ("After 10 hours.", "cites no passage"),
        ("After 10 hours [99].", "no passage 99"),
        ("x" * 4001 + " [1]", "shorten"),
    ],
)
def test_what_cannot_be_kept_is_said(floor: Floor, answer: str, problem: str) -> None:
    with pytest.raises(DeskmateError, match=problem):
        drafted(form(floor, QUESTION, answer), DORA, floor.staff.holdings, None)


def test_a_question_has_a_word_and_an_answer_without_documents_no_citation(floor: Floor) -> None:
    with pytest.raises(DeskmateError, match="no word"):
        drafted(form(floor, "??", ANSWER), DORA, floor.staff.holdings, None)
    with pytest.raises(DeskmateError, match="rests on no document"):
        drafted(form(floor, QUESTION, ANSWER, documents=False), DORA, floor.staff.holdings, None)


def test_the_numbers_of_the_passages_that_are_cited_close_up(floor: Floor) -> None:
    found = form(floor, "When does the VPN session end, and when are print jobs deleted?", "")
    places = {chunk.doc: n for n, chunk in enumerate(found.passages, start=1)}
    vpn, printing = places["it/vpn.md"], places["it/print.md"]
    text = f"The session ends after 10 hours [{vpn}]. Jobs go after 12 hours. [{printing}]"

    draft = drafted(Form(QUESTION, text, found.passages), DORA, floor.staff.holdings, None)

    first, second = sorted((vpn, printing))
    assert f"10 hours [{1 if vpn == first else 2}]." in draft.answer
    assert f"12 hours [{1 if printing == first else 2}]." in draft.answer
    assert {one.n for one in draft.cited} == {1, 2}
    assert (first, second) == (1, 2) or len(found.passages) > 2


def test_an_old_answer_fills_the_form_and_gone_passages_lose_their_numbers(floor: Floor) -> None:
    [chunk, *_] = form(floor, QUESTION, "").passages
    one = filled(QUESTION, "Ten hours [3]. Ask Jo [4]. Or both [3, 4].", {3: chunk})

    assert one.answer == "Ten hours [1]. Ask Jo. Or both [1]."
    assert one.passages == (chunk,)
    assert one.with_more([chunk, chunk]).passages == (chunk,)


def test_citations_are_found_for_sentences_that_a_passage_bears_out(floor: Floor) -> None:
    written = form(floor, QUESTION, "The VPN session ends after 10 hours.")

    assert with_citations(written, floor.desk.voice).answer == ANSWER
    assert [one.rule for one in problems(written, floor.desk.voice)] == ["citation"]


def test_personal_data_in_an_answer_is_pointed_out(floor: Floor) -> None:
    written = form(floor, QUESTION, "Call +31 10 555 0142 [1].")
    assert [one.rule for one in problems(written, floor.desk.voice)] == ["personal"]


WORDS = st.lists(
    st.sampled_from(["VPN", "café", "C#", "1.5", "don't", "Straße", "10%", "f(x)"]), min_size=1, max_size=6
)


@given(WORDS, st.sampled_from(["", "?", " ?!", "…"]), st.sampled_from([" ", "  ", "\n", "\u00a0"]))
def test_spelling_does_not_change_a_questions_key(words: list[str], end: str, space: str) -> None:
    plain = " ".join(words)
    assert question_key(space.join(words).upper() + end) == question_key(plain)
    assert question_key(f"“{plain}”") == question_key(plain)


@given(WORDS, WORDS)
def test_other_words_have_another_key(one: list[str], two: list[str]) -> None:
    assert (question_key(" ".join(one)) == question_key(" ".join(two))) == (one == two)


def test_questions_of_the_sample_have_a_key_each() -> None:
    file = Path(__file__).parent.parent / "data" / "questions.jsonl"
    questions = {json.loads(line)["question"] for line in file.read_text().splitlines()}
    assert len({question_key(one) for one in questions}) == len(questions)


@given(st.text("ab []123,", max_size=40), st.dictionaries(st.integers(1, 123), st.integers(1, 9)))
def test_renumbering_leaves_no_number_that_is_not_given(text: str, numbers: dict[int, int]) -> None:
    found = renumbered(text, numbers)
    assert {int(n) for n in re.findall(r"\[(\d+)\]", found)} <= set(numbers.values())
