"""A help desk with kept conversations around documents of several groups: what tests of the queue share."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest
from office import Office, parse_here
from staff_kit import echo_desk

from app.chat.archive import Archive, Judgement, Outcome
from app.chat.judgements import Judgements
from app.desk import Desk
from app.people import Person, Role
from app.staff.workplace import Staff, workplace

ANNA = Person("user-11", "Anna Berg", frozenset({"hr"}))
BEN = Person("user-12", "Ben", frozenset())
DORA = Person("user-21", "Dora", frozenset(), Role.DESK)
HUGO = Person("user-22", "Hugo", frozenset({"hr"}), Role.DESK)

SECRET = "Nightfall"

DOCS = {
    "it/vpn.md": "# VPN\n\nThe VPN session ends after 10 hours. Connect again in the client Lockgate.",
    "it/print.md": "# Printing\n\nPrint jobs are deleted after 12 hours. The queue is called BW-Follow.",
    "hr/.access": "hr\n",
    "hr/bonus.md": f"# Bonus\n\nThe bonus of the managers is paid in March, under the name {SECRET}.",
}


def make_floor(request: pytest.FixtureRequest, tmp_path: Path, database_url: str = "") -> "Floor":
    """A help desk over `DOCS`. A test that asks for the office may change them; the others share what was ingested."""
    database: dict[str, object] = {"url": database_url}
    if "office" in request.fixturenames:
        office = request.getfixturevalue("office")
        office.write(dict(DOCS))
        office.ingest()
        return Floor(echo_desk(office.workspace, database=database))
    shutil.copytree(_ingested(), tmp_path / "home")
    return Floor(echo_desk(tmp_path / "home", database=database))


@cache
def _ingested() -> Path:
    """A workspace with the documents in its index, made once."""
    folder = Path(tempfile.mkdtemp(prefix="deskmate-queue-"))
    atexit.register(shutil.rmtree, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrieval.build.parse_files", parse_here)
        office = Office(folder)
        office.write(dict(DOCS))
        office.ingest()
    return office.workspace.root


class Floor:
    """The help desk and its askers."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.staff: Staff = workplace(desk)
        self.archive = Archive(desk.database, desk)
        self.judgements = Judgements(desk.database)

    def ask(self, person: Person, question: str, conversation: str | None = None) -> tuple[str, int]:
        """Ask, and keep it; the conversation's id and the exchange's."""
        remembered = self.archive.remember(person, conversation)
        answer = self.desk.answerer.answer(question, groups=person.groups, history=remembered.turns)
        return self.archive.keep(person, conversation, Outcome(answer, remembered))

    def judge(self, person: Person, exchange: int, reason: str = "wrong", proposal: str = "") -> int:
        """Judge an answer bad; the judgement's number."""
        self.judgements.judge(person, exchange, Judgement("down", reason, proposal))
        return next(one.id for one in self.staff.judged.open() if one.asked.id == exchange)


def change(office: Office, doc: str, text: str) -> None:
    """Write a document anew and ingest."""
    Path(office.docs, doc).write_text(text)
    office.ingest()
