import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from office import Office, parse_here
from queue_kit import ANNA, BEN, DORA, HUGO, SECRET, Floor, change
from staff_kit import echo_desk, staff_client

from app.accounts.audit import entries
from app.loop.correction_form import Form, drafted
from app.loop.correction_rows import included_rows
from app.people import Person, Role
from app.settings import HandoverSettings
from app.staff.handover_post import letter

QUESTION = "When does the VPN session end?"
BONUS = "When is the bonus of the managers paid?"


def as_(floor: Floor, person: Person) -> TestClient:
    return staff_client(floor.desk, person)


def test_the_queue_shows_what_waits_and_filters_it(floor: Floor) -> None:
    client = as_(floor, DORA)
    assert "Nobody is waiting" in client.get("/staff/queue").text
    conversation, _ = floor.ask(BEN, QUESTION)
    number = floor.staff.handovers.begin(conversation, BEN, "I am <b>lost</b>").handover
    _, exchange = floor.ask(BEN, "When are print jobs deleted?")
    judgement = floor.judge(BEN, exchange, "outdated", "After 14 hours")

    page = client.get("/staff/queue").text
    assert f"/staff/queue/handover/{number}" in page
    assert f"/staff/queue/answer/{judgement}" in page
    assert "I am &lt;b&gt;lost&lt;/b&gt;" in page
    assert "It is outdated" in page
    assert client.get("/staff/counts").json() == {"queue": 2, "corrections": 0}
    only = client.get("/staff/queue?show=judged").text
    assert "/staff/queue/handover/" not in only
    assert "You have taken nothing" in client.get("/staff/queue?show=mine").text
    assert client.get("/staff/queue?show=<script>").status_code == 200


def test_a_hand_over_is_taken_answered_and_closed_by_forms(floor: Floor) -> None:
    conversation, _ = floor.ask(BEN, QUESTION)
    number = floor.staff.handovers.begin(conversation, BEN, "").handover
    dora, hugo = as_(floor, DORA), as_(floor, HUGO)
    base = f"/staff/queue/handover/{number}"

    assert 'name="text"' not in dora.get(base).text
    assert "You have taken it" in dora.post(f"{base}/take").text
    refused = hugo.post(f"{base}/take")
    assert refused.status_code == 422
    assert "Dora has taken this hand-over" in refused.text
    assert "Your reply is in the conversation" in dora.post(f"{base}/reply", data={"text": "Hello <i>Ben</i>"}).text
    assert "Hello &lt;i&gt;Ben&lt;/i&gt;" in dora.get(base).text
    assert "Take it over" in hugo.get(base).text
    hugo.post(f"{base}/take", data={"from": DORA.id})
    assert hugo.post(f"{base}/reply", data={"text": "Done.", "close": "1"}).url.path == "/staff/queue"

    assert [one.text for one in floor.staff.handovers.since(conversation)] == ["Hello <i>Ben</i>", "Done."]
    closed = dora.get("/staff/queue?show=closed").text
    assert base in closed
    whats = [one.what for one in entries(floor.desk.database)]
    assert whats == [
        "handover.closed",
        "handover.said",
        "handover.taken",
        "handover.said",
        "handover.taken",
        "handover.begun",
    ]
    assert "Hello" not in str(entries(floor.desk.database))


def test_a_judged_answer_is_corrected_and_settled(floor: Floor) -> None:
    _, exchange = floor.ask(BEN, QUESTION)
    judgement = floor.judge(BEN, exchange, "wrong", "It ends after 10 hours.")
    client = as_(floor, DORA)
    form = client.get(f"/staff/corrections/new?judgement={judgement}").text
    passages = re.findall(r'name="passage" value="([^"]+)"', form)
    assert "It ends after 10 hours." in form
    assert passages
    data = {"question": QUESTION, "answer": "It ends after 10 hours.", "judgement": str(judgement), "passage": passages}

    cited = client.post("/staff/corrections/new", data={**data, "do": "cite"}).text
    written = re.search(r'<textarea id="ds-answer"[^>]*>([^<]*)<', cited)
    assert written
    assert re.fullmatch(r"It ends after 10 hours \[\d\]\.", written[1])
    assert "The answer is in the house form" in cited
    assert "What the asker says would be right" in cited, "what was said before is still beside it"
    done = client.post("/staff/corrections/new", data={**data, "answer": written[1], "do": "save"})

    assert "Your answer is given from now on" in done.text
    assert floor.desk.answer(QUESTION).answer == "It ends after 10 hours [1]."
    assert client.get("/staff/counts").json() == {"queue": 0, "corrections": 1}
    again = client.post("/staff/corrections/new", data={**data, "answer": written[1], "do": "save"})
    assert "settled this already" in again.text
    assert len(floor.staff.corrections.all()) == 1, "nothing was kept of the second one"
    base = done.url.path
    assert "it becomes a training row" in as_(floor, HUGO).post(f"{base}/review").text
    assert "The documents answer again" in client.post(f"{base}/withdraw").text
    assert floor.desk.answer(QUESTION).corrected == 0


def test_broken_rules_of_the_house_form_are_shown_before_it_is_kept_as_it_is(floor: Floor) -> None:
    client = as_(floor, DORA)
    passages = re.findall(r'value="([^"]+)"', client.get(f"/staff/corrections/new?question={QUESTION}").text)
    [first] = [one for one in passages if one in floor.desk.passages([one], frozenset())][:1]
    data = {"question": QUESTION, "answer": "**Ten** hours [1]", "passage": [first]}

    shown = client.post("/staff/corrections/new", data={**data, "do": "save"}).text
    assert "is not in the house form" in shown
    assert "<b>Layout</b>" in shown
    assert "Save it as it is" in shown
    assert client.post("/staff/corrections/new", data={**data, "do": "keep"}).url.path == "/staff/corrections/1"


def test_more_passages_keep_the_numbers_of_those_that_are_there(floor: Floor) -> None:
    client = as_(floor, DORA)
    [vpn] = [chunk.id for chunk in floor.desk.searcher.open().table.all_chunks() if chunk.doc == "it/vpn.md"]
    data = {"question": "q", "answer": "a", "passage": [vpn], "find": "print jobs deleted", "do": "find"}

    page = client.post("/staff/corrections/new", data=data).text
    assert re.findall(r'name="passage" value="([^"]+)"', page)[0] == vpn
    assert "BW-Follow" in page


def test_a_thumb_without_a_fault_is_dismissed_once(floor: Floor) -> None:
    _, exchange = floor.ask(BEN, QUESTION)
    judgement = floor.judge(BEN, exchange)
    client = as_(floor, DORA)

    assert "Settled without a correction" in client.post(f"/staff/queue/answer/{judgement}/dismiss").text
    assert client.post(f"/staff/queue/answer/{judgement}/dismiss").status_code == 422
    assert "This is settled" in client.get(f"/staff/queue/answer/{judgement}").text


def test_a_correction_whose_document_changed_comes_back_into_the_queue(floor: Floor, office: Office) -> None:
    hits = floor.desk.searcher.search(QUESTION).hits
    draft = drafted(Form(QUESTION, "After 10 hours [1].", (hits[0].chunk,)), DORA, floor.staff.holdings, None)
    with floor.desk.database.writing() as connection:
        number = floor.staff.corrections.save(connection, draft, DORA)
    client = as_(floor, DORA)
    assert client.get("/staff/counts").json() == {"queue": 0, "corrections": 1}
    change(office, "it/vpn.md", "# VPN\n\nThe VPN session ends after 8 hours.")

    assert client.get("/staff/counts").json() == {"queue": 1, "corrections": 0}
    assert f"/staff/corrections/{number}" in client.get("/staff/queue?show=again").text
    page = client.get(f"/staff/corrections/{number}").text
    assert "not given: a document changed" in page
    form = client.get(f"/staff/corrections/new?again={number}").text
    assert f'name="replaces" value="{number}"' in form
    assert "8 hours" in form


def test_who_may_not_read_a_document_sees_that_there_is_an_answer_and_not_what_it_says(floor: Floor) -> None:
    conversation, exchange = floor.ask(ANNA, BONUS)
    judgement = floor.judge(ANNA, exchange, "wrong", f"It is {SECRET}!")
    number = floor.staff.handovers.begin(conversation, ANNA, "").handover
    pages = (
        "/staff/queue",
        f"/staff/queue/answer/{judgement}",
        f"/staff/queue/handover/{number}",
        f"/staff/corrections/new?judgement={judgement}",
    )

    for page in pages:
        assert SECRET in as_(floor, HUGO).get(page).text, page
        hidden = as_(floor, DORA).get(page).text
        assert SECRET not in hidden, page
        assert BONUS in hidden, "that somebody asked is no secret"
    assert "documents that you may not read" in as_(floor, DORA).get(pages[1]).text


def test_an_answer_for_some_groups_that_rests_on_no_document_stays_theirs(floor: Floor) -> None:
    question = "Who waters the plants?"
    written = Form(question, f"{SECRET} does.", (), documents=False, groups=("hr",))
    draft = drafted(written, HUGO, floor.staff.holdings, None)
    with floor.desk.database.writing() as connection:
        number = floor.staff.corrections.save(connection, draft, HUGO)
    conversation, exchange = floor.ask(ANNA, question)
    judgement = floor.judge(ANNA, exchange)
    handover = floor.staff.handovers.begin(conversation, ANNA, "").handover

    for page in (
        "/staff/queue",
        f"/staff/queue/answer/{judgement}",
        f"/staff/queue/handover/{handover}",
        f"/staff/corrections/{number}",
        f"/staff/corrections/new?judgement={judgement}",
    ):
        assert SECRET in as_(floor, HUGO).get(page).text, page
        assert SECRET not in as_(floor, DORA).get(page).text, page


def test_askers_are_turned_away_and_what_is_not_there_is_said(floor: Floor) -> None:
    for address in ("/staff/queue", "/staff/corrections", "/staff/gaps", "/staff/counts"):
        assert as_(floor, ANNA).get(address).status_code == 403
    client = as_(floor, DORA)
    for address in ("handover/7", "answer/7"):
        assert client.get(f"/staff/queue/{address}").status_code == 422
    assert "no such correction" in client.get("/staff/corrections/7").text
    assert client.post("/staff/corrections/new", data={"passage": "gone"}).status_code == 409
    assert client.post("/staff/corrections/new", content=b"a" * 300_000).status_code == 413
    assert client.get("/staff/nothing").status_code == 404


def test_the_pages_run_nothing_inline_and_load_nothing_from_elsewhere(floor: Floor) -> None:
    _, exchange = floor.ask(BEN, QUESTION)
    judgement = floor.judge(BEN, exchange)
    client = as_(floor, DORA)
    for page in ("/staff/queue", f"/staff/queue/answer/{judgement}", "/staff/gaps", "/staff/corrections/new"):
        answer = client.get(page)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not re.search(r"\son\w+=|style=|<script>|https?://", answer.text), page
        assert answer.text.count("<h1>") == 1


# Nobody ever sees text of a document that they may not read, whatever happens.

GROUPS = ("hr", "it", "board")
CANARIES = [f"Canary{word}" for word in ("Alpha", "Bravo", "Charlie", "Delta")]


class World(Floor):
    """Four documents, each with its own word and its own readers."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.label([{"everyone"}] * len(CANARIES))
        super().__init__(echo_desk(office.workspace))

    def label(self, access: list[set[str]]) -> None:
        """Say who may read which."""
        self.access = access
        for place, (canary, groups) in enumerate(zip(CANARIES, access, strict=True)):
            topic = f"topic{place}"
            self.office.write(
                {
                    f"{topic}/doc.md": f"# About {topic}\n\nThe code of {topic} is {canary}. It is kept by {topic}.",
                    f"{topic}/.access": "\n".join(sorted({*groups, "nobody"})),  # else ingest asks whether it is meant
                }
            )
        self.office.ingest()

    def forbidden(self, groups: frozenset[str]) -> list[str]:
        """The words that somebody may not see."""
        reader = groups | {"everyone"}
        return [canary for canary, access in zip(CANARIES, self.access, strict=True) if not reader & access]

    def clear(self) -> None:
        """Forget everything that was asked and written."""
        for person in {one.owner for one in self.staff.handovers.open()}:
            self.archive.erase(Person(person, ""))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("world"))  # no deskmate.toml there
        patch.setattr("retrieval.build.parse_files", parse_here)
        yield World(Office(folder))


def readers() -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(GROUPS))


def labels() -> st.SearchStrategy[list[set[str]]]:
    one = st.sets(st.sampled_from((*GROUPS, "everyone")), min_size=1, max_size=2)
    return st.lists(one, min_size=len(CANARIES), max_size=len(CANARIES))


CASES = given(
    before=labels(),
    after=labels(),
    askers=st.lists(st.tuples(readers(), st.lists(st.integers(0, 3), min_size=1, max_size=3)), min_size=1, max_size=3),
    author=readers(),
    viewers=st.lists(readers(), min_size=2, max_size=3),
)
CHECKS = settings(phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(CHECKS, max_examples=2)
@CASES
def test_nobody_sees_text_of_a_document_that_they_may_not_read(world: World, **case: Any) -> None:
    check_case(world, **case)


@pytest.mark.slow
@settings(CHECKS, max_examples=60)
@CASES
def test_nobody_sees_forbidden_text_in_many_more_cases(world: World, **case: Any) -> None:
    check_case(world, **case)


def check_case(
    world: World,
    before: list[set[str]],
    after: list[set[str]],
    askers: list[tuple[frozenset[str], list[int]]],
    author: frozenset[str],
    viewers: list[frozenset[str]],
) -> None:
    world.label(before)
    conversations = []
    for number, (groups, topics) in enumerate(askers):
        person = Person(f"guest-{number}", "", groups)
        conversation = None
        for topic in topics:
            conversation, exchange = world.ask(person, f"What is the code of topic{topic}?", conversation)
            answer = world.staff.judged.exchange(exchange).answer
            world.judge(person, exchange, "not-found", answer)
        conversations.append(world.staff.handovers.begin(str(conversation), person, "").handover)
    written = Person("user-5", "Author", author, Role.DESK)
    questions = [f"What is the code of topic{topic}?" for topic in range(4)]
    for question in questions:
        chunks = tuple(hit.chunk for hit in world.desk.searcher.search(question, groups=author).hits)[:1]
        if chunks:
            draft = drafted(Form(question, f"{chunks[0].text} [1]", chunks), written, world.staff.holdings, None)
            with world.desk.database.writing() as connection:
                number = world.staff.corrections.save(connection, draft, written)
            world.staff.corrections.review(number, written)
    world.label(after)
    addresses = ["/staff/queue", "/staff/gaps", *(f"/staff/corrections?show={one}" for one in ("active", "again"))]
    addresses += [f"/staff/queue/handover/{number}" for number in conversations]
    for one in world.staff.judged.open():
        addresses += [f"/staff/queue/answer/{one.id}", f"/staff/corrections/new?judgement={one.id}"]
    for correction in world.staff.corrections.all():
        addresses += [f"/staff/corrections/{correction.id}", f"/staff/corrections/new?again={correction.id}"]
    for groups in viewers:
        client = as_(world, Person("user-9", "Viewer", groups, Role.DESK))
        seen = "".join(client.get(address).text for address in addresses)
        seen += "".join(world.desk.answer(question, groups=groups).answer for question in questions)
        for number in conversations:
            posted = HandoverSettings(groups=tuple(groups))
            seen += str(letter(world.staff.handovers.find(number), posted, world.staff.holdings.may_read))
        assert [canary for canary in world.forbidden(groups) if canary in seen] == []
    exported = str(list(included_rows(world.staff.corrections)))
    assert [canary for canary in world.forbidden(frozenset()) if canary in exported] == []
    world.clear()
    for correction in world.staff.corrections.all():
        world.staff.corrections.withdraw(correction.id, written)
