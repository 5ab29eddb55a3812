"""One question in four modes: for the groups of whoever asks, one at a time, and nothing of an answer is markup."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from adapters import bare
from fastapi.testclient import TestClient
from office import POLICIES, Office
from staff_kit import echo_desk, staff_client

from app.answering.modes import ALL
from app.desk import Desk
from app.people import Person, Role
from ingest.errors import DeskmateError

DAN = Person("user-2", "Dan", frozenset(), Role.DESK)
MANAGER = Person("user-3", "Max", frozenset({"managers"}), Role.DESK)


@pytest.fixture
def desk(office: Office) -> Desk:
    office.write({**POLICIES, "hr/managers/.access": "managers\n"})
    office.ingest()
    return echo_desk(office.workspace)


def column(client: TestClient, question: str, mode: str) -> str:
    return client.post("/staff/compare/answer", data={"question": question, "mode": mode}).text


def test_all_modes_answer_where_an_adapter_serves(desk: Desk) -> None:
    client = staff_client(desk, DAN)
    assert client.get("/staff/compare").text.count("data-mode=") == 4
    assert "No adapter serves you: none is served" in column(client, "error 809?", "hybrid")
    desk.registry.promote(bare(desk.workspace.adapters))
    page = client.post("/staff/compare", data={"question": "What does error 809 mean?"}).text
    assert page.count('class="dl-figures"') == len(ALL)
    assert page.count("port 4500 is blocked") >= 2
    assert "echo with house/v1" in page
    assert ">What does error 809 mean?</textarea>" in page


def test_the_groups_of_whoever_asks_decide(desk: Desk) -> None:
    question = "How large is the bonus pool of salaries?"
    assert "4 percent" not in column(staff_client(desk, DAN), question, "rag-only")
    assert "4 percent" in column(staff_client(desk, MANAGER), question, "rag-only")
    desk.registry.promote(bare(desk.workspace.adapters, access=(("managers",),)))
    assert "may not read" in column(staff_client(desk, DAN), question, "tune-only")
    assert "with house/v1" in column(staff_client(desk, MANAGER), question, "tune-only")


def test_an_answer_is_text_and_a_bad_question_is_refused(desk: Desk, office: Office) -> None:
    client = staff_client(desk, DAN)
    assert "<script>" not in column(client, "<script>alert(1)</script>", "prompt-only")
    for fields in (
        {"question": "", "mode": "hybrid"},
        {"question": "x" * 9000, "mode": "hybrid"},
        {"question": "x", "mode": "y"},
    ):
        assert client.post("/staff/compare/answer", data=fields).status_code == 422
    asker = staff_client(desk, Person("user-4", "Ann"))
    assert asker.get("/staff/compare").status_code == 403
    assert asker.post("/staff/compare/answer", data={"question": "x", "mode": "rag-only"}).status_code == 403


def test_what_goes_wrong_is_a_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **kwargs: object) -> Iterator[object]:
        raise error
        yield

    monkeypatch.setattr(desk, "stream", fails)
    client = staff_client(desk, DAN)
    error: Exception = DeskmateError("the server is away; start it")
    assert "The server is away; start it." in column(client, "x", "rag-only")
    error = RuntimeError("a secret")
    said = column(client, "x", "rag-only")
    assert "Something went wrong on our side" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("waiting", "each", "said"),
    [(1, 9, "Others are comparing just now"), (9, 2, "You are comparing other questions just now")],
)
def test_comparisons_take_one_place_and_a_full_line_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, waiting: int, each: int, said: str
) -> None:
    running, most, gate = 0, 0, threading.Event()
    whole = desk.stream

    def slow(*args: object, **kwargs: object) -> Iterator[object]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        gate.wait(5)
        yield from whole(*args, **kwargs)
        running -= 1

    monkeypatch.setattr(desk, "stream", slow)
    monkeypatch.setattr("app.staff.compare.WAITING", waiting)
    monkeypatch.setattr("app.staff.compare.EACH", each)
    client = staff_client(desk, DAN)
    from httpx import ASGITransport, AsyncClient

    async def several() -> list[str]:
        async with AsyncClient(transport=ASGITransport(client.app), base_url="http://desk.example") as browser:

            async def one() -> str:
                data = {"question": "error 809", "mode": "rag-only"}
                return (await browser.post("/staff/compare/answer", data=data)).text

            tasks = [asyncio.create_task(one()) for _ in range(4)]
            await asyncio.sleep(0.3)
            gate.set()
            return await asyncio.gather(*tasks)

    answers = asyncio.run(several())
    assert most == 1
    assert sum(said in one for one in answers) == 2
    assert sum("dl-figures" in one for one in answers) == 2
