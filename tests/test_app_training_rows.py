"""What people said becomes training rows: masked, traceable, and nothing that may not be tuned on."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from office import POLICIES, Office
from staff_kit import echo_desk

from app.accounts.holdings import Holdings
from app.chat.archive import Archive, Judgement, Outcome, Remembered
from app.chat.judgements import Judgements
from app.desk import Desk
from app.loop.corrections import Cited, Corrections, Draft
from app.loop.row_trace import trace
from app.loop.training_rows import ReadinessCache, keep_rows, readiness, training_rows
from app.people import Person, Role
from finetune.curation.feedback import read_feedback
from ingest.errors import DeskmateError

ANN = Person("user-1", "Ann")
WRITTEN = "That is so on working days [1]."
MANAGER = Person("user-1", "Ann", frozenset({"managers"}))
DESK = Person("user-9", "Dan", frozenset(), Role.DESK)


@pytest.fixture
def desk(office: Office, database_url: str) -> Iterator[Desk]:
    office.write({**POLICIES, "hr/managers/.access": "managers\n"})
    office.ingest()
    desk = echo_desk(office.workspace, database={"url": database_url})
    yield desk
    desk.database.close()


class Talk:
    """Somebody who asks and judges, and a help desk that corrects."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.archive = Archive(desk.database, desk)
        self.judgements = Judgements(desk.database)
        self.corrections = Corrections(desk.database, Holdings(desk.searcher.open))

    def ask(
        self, question: str, conversation: str | None = None, stopped: bool = False, who: Person = ANN
    ) -> tuple[str, int]:
        answer = replace(self.desk.answer(question, groups=who.groups), written=WRITTEN)  # an echo has no house form
        return self.archive.keep(who, conversation, Outcome(answer, Remembered(), stopped))

    def judge(self, exchange: int, verdict: str, *words: str) -> None:
        assert self.judgements.judge(ANN, exchange, Judgement(verdict, *words))

    def correct(self, exchange: int | None, answer: str, doc: str, review: bool = True) -> int:
        """A correction that cites the first chunk of a document as its number 1."""
        [chunk, *_] = self.desk.searcher.open().table.chunks_of(doc, frozenset({"everyone", "managers"}))
        place = (chunk.page, chunk.id, chunk.start, chunk.end, chunk.text)
        cited = Cited(1, doc, chunk.title, chunk.heading, *place)
        rests = Holdings(self.desk.searcher.open).rests([doc])
        with self.desk.database.writing() as connection:
            made = self.corrections.save(connection, Draft("?", answer, (cited,), rests, exchange), DESK)
        if review:
            self.corrections.review(made, DESK)
        return made


def chunk_of(desk: Desk, doc: str) -> str:
    return desk.searcher.open().table.chunks_of(doc, frozenset({"everyone"}))[0].id


@pytest.fixture
def talk(desk: Desk) -> Talk:
    return Talk(desk)


def test_thumbs_and_reviewed_corrections_become_rows(talk: Talk, tmp_path: Path) -> None:
    conversation, first = talk.ask("What does error 809 mean?")
    _, second = talk.ask("How many days of leave? My name is Karen Hill, karen.hill@example.org", conversation)
    _, third = talk.ask("Which printer paper is there on floor two?")
    talk.judge(first, "up")
    talk.judge(second, "down", "wrong", "an asker's own words")
    talk.correct(second, "You have 25 days of leave [1].", "hr/leave.md")
    talk.correct(third, "Take badge paper [1].", "it/printers.md")  # nobody had judged it
    rows = training_rows(talk.desk)
    assert [line["id"] for line in rows.lines] == ["j1", "j2", "c2"]
    assert [line["verdict"] for line in rows.lines] == ["up", "down", "down"]
    assert rows.lines[1]["question"] == "How many days of leave? My name is <name>, <mail>"
    assert rows.masked == {"name": 1, "mail": 1}
    assert "asker's own words" not in rows.data().decode()
    place = rows.lines[1]["passages"].index(chunk_of(talk.desk, "hr/leave.md")) + 1
    assert rows.lines[1]["correction"] == f"You have 25 days of leave [{place}]."
    assert rows.lines[0]["conversation"] == rows.lines[1]["conversation"] != rows.lines[2]["conversation"]
    file = keep_rows(rows, tmp_path)
    assert [label.id for label in read_feedback(file)] == ["j1", "j2", "c2"]
    assert json.loads(file.read_text().splitlines()[0])["docs"]


def test_what_may_not_be_tuned_on_is_left_out_and_counted(talk: Talk, office: Office) -> None:
    _, closed = talk.ask("How large is the bonus pool of salaries?", who=MANAGER)
    _, stopped = talk.ask("Annual leave?", stopped=True)
    _, praised = talk.ask("What does error 809 mean?")
    _, other = talk.ask("printer floor two paper")
    for exchange, verdict in ((closed, "up"), (stopped, "down"), (praised, "up"), (other, "down")):
        talk.judge(exchange, verdict)
    talk.correct(praised, "Port 4500 is blocked [1].", "it/vpn.md")
    talk.correct(None, "Nobody asked this here [1].", "it/vpn.md")
    talk.correct(other, "Waits for review [1].", "it/printers.md", review=False)
    rows = training_rows(talk.desk)
    assert rows.left_out == {"closed": 1, "not-asked": 1, "overruled": 1, "no-exchange": 1}
    assert [(line["id"], line["correction"]) for line in rows.lines] == [
        ("j4", ""),
        ("c1", rows.lines[1]["correction"]),
    ]
    assert rows.read == 6
    office.write({"it/printers.md": "# Printers\n\nOther paper now.\n"})
    office.ingest()
    assert training_rows(talk.desk).left_out["stale"] >= 1


def test_a_correction_that_rests_on_what_the_model_had_not_read_is_no_target(talk: Talk) -> None:
    for number in range(8):  # so that not everything is read for every question
        path = Path(talk.desk.sources.file.parent.parent / "docs" / f"it/switch-{number}.md")
        path.write_text(
            f"# Switch {number}\n\nThe switch number {number} has a port 4500 for error 809 on profile {number}.\n"
        )
    office = Office(talk.desk.workspace.root.parent)
    office.ingest()
    _, exchange = talk.ask("Does the switch number 3 have a port 4500 for error 809 on the profile?")
    talk.judge(exchange, "down")
    talk.correct(exchange, "You have 25 days [1].", "hr/leave.md")
    rows = training_rows(talk.desk)
    assert rows.left_out == {"not-shown": 1}
    assert [(line["id"], line["correction"]) for line in rows.lines] == [("j1", "")]


def test_readiness_says_what_is_missing_and_is_computed_once(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    _, exchange = talk.ask("What does error 809 mean?")
    cache = ReadinessCache(talk.desk)
    assert cache.get().rows == 0
    talk.judge(exchange, "up")
    ready = cache.get()
    assert (ready.rows, ready.up, ready.method) == (1, 1, None)
    assert ready.missing["dpo"][0] == "40 corrected answers and there are 0"
    assert ready == readiness(talk.desk)
    monkeypatch.setattr("app.loop.training_rows.readiness", lambda desk: pytest.fail("nothing has changed"))
    assert cache.get() is ready


def test_a_row_leads_back_to_its_exchange_and_documents(talk: Talk, office: Office) -> None:
    _, exchange = talk.ask("What does error 809 mean? I am Karen Hill.")
    talk.judge(exchange, "down", "wrong")
    number = talk.correct(exchange, "Port 4500 is blocked [1].", "it/vpn.md")
    found = trace(talk.desk, "j1")
    assert found["question"] == "What does error 809 mean? I am <name>."
    assert (found["verdict"], found["reason"], found["correction"]["id"]) == ("down", "wrong", number)
    assert {one["today"] for one in found["documents"]} == {"unchanged"}
    assert trace(talk.desk, f"c{number}")["exchange"] == exchange
    office.write({"it/vpn.md": "# VPN\n\nOther.\n"})
    (office.docs / "it/printers.md").unlink()
    office.ingest()
    today = {one["doc"]: one["today"] for one in trace(talk.desk, "j1")["documents"]}
    assert today["it/vpn.md"] == "changed"
    assert today.get("it/printers.md", "gone") == "gone"


def test_a_trace_shows_no_text_of_closed_documents_and_no_row_that_is_gone(talk: Talk) -> None:
    conversation, exchange = talk.ask("How large is the bonus pool of salaries?", who=MANAGER)
    talk.judge(exchange, "up")
    found = trace(talk.desk, "j1")
    assert (found["question"], found["answer"]) == (None, None)
    assert "4 percent" not in json.dumps(found)
    talk.archive.erase(ANN, conversation)
    for row in ("j1", "c1", "x1", "j", "j99999999999999999999"):
        with pytest.raises(DeskmateError, match="there is no row"):
            trace(talk.desk, row)


def test_nothing_to_tune_on_is_said(talk: Talk, tmp_path: Path) -> None:
    with pytest.raises(DeskmateError, match="there is nothing to tune on yet"):
        keep_rows(training_rows(talk.desk), tmp_path)
