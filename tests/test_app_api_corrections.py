"""The help desk's corrections over HTTP: given at once, whole and streamed, and only to keys that may read what they
rest on."""

import json
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
from api_kit import chat, in_process, key_for
from fastapi.testclient import TestClient
from office import Office
from staff_kit import echo_desk

from app.desk import Desk
from app.loop.correction_form import Form, drafted
from app.people import Person, Role
from app.staff.workplace import Staff, workplace

QUESTION = "When is the office closed?"
SAID = "The office is closed on the day of the canary"
DOCS = {
    "all.md": "# Opening\n\nThe office is closed on Sundays.",
    "hr/.access": "hr\n",
    "hr/closing.md": "# Closing\n\nThe office is closed for the summer party in hr.",
    "board/.access": "board\n",
    "board/closing.md": "# Closing\n\nThe office is closed for the meeting of the board.",
}
READERS = {"all.md": "everyone", "hr/closing.md": "hr", "board/closing.md": "board"}
CHIEF = Person("user-1", "Chief", frozenset({"hr", "board"}), Role.DESK)


@pytest.fixture
def desk(office: Office) -> Desk:
    office.write(dict(DOCS))
    office.ingest()
    return echo_desk(office.workspace, api={"requests_per_minute": 100_000})


@pytest.fixture
def staff(desk: Desk) -> Staff:
    return workplace(desk)


@pytest.fixture
def client(desk: Desk, staff: Staff) -> Iterator[TestClient]:
    with in_process(desk) as client:
        yield client


def correct(desk: Desk, staff: Staff, *docs: str, question: str = QUESTION) -> str:
    """Keep a correction that cites some documents; gives its words without the markers."""
    hits = desk.searcher.search(question, groups=CHIEF.groups).hits
    passages = tuple(next(hit.chunk for hit in hits if hit.chunk.doc == doc) for doc in docs)
    text = f"{SAID} {'+'.join(docs)} " + "".join(f"[{n}]" for n in range(1, len(docs) + 1)) + "."
    draft = drafted(Form(question, text, passages), CHIEF, staff.holdings, None)
    with desk.database.writing() as connection:
        staff.corrections.save(connection, draft, CHIEF)
    return text


def whole(client: TestClient, key: dict[str, str], question: str = QUESTION, **more: Any) -> dict[str, Any]:
    response = client.post("/v1/chat/completions", json=chat(question, **more), headers=key)
    assert response.status_code == 200
    return response.json()


def streamed(client: TestClient, key: dict[str, str], question: str = QUESTION) -> tuple[str, dict[str, Any], str]:
    """The words of a stream, what its last chunk says beside them, and all that came."""
    response = client.post("/v1/chat/completions", json=chat(question, stream=True), headers=key)
    *events, done = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert done == "[DONE]"
    chunks = [json.loads(event) for event in events]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    return text, chunks[-1]["deskmate"], response.text


def test_a_correction_is_given_whole_with_its_citations(desk: Desk, staff: Staff, client: TestClient) -> None:
    key = key_for(desk)
    assert not whole(client, key)["deskmate"]["corrected"]
    text = correct(desk, staff, "all.md")

    told = whole(client, key)
    message = told["choices"][0]["message"]
    assert message["content"] == text
    assert [(one["n"], one["doc"]) for one in message["citations"]] == [(1, "all.md")]
    assert (told["deskmate"]["corrected"], told["deskmate"]["confidence"]) == (True, 1.0)
    assert told["usage"]["total_tokens"] == 0, "no model was asked"
    assert not whole(client, key, "When is the canteen closed?")["deskmate"]["corrected"]


@pytest.mark.parametrize("stream", ["checked", "as-written"])
def test_a_correction_is_streamed_like_any_answer(office: Office, stream: str) -> None:
    office.write(dict(DOCS))
    office.ingest()
    desk = echo_desk(office.workspace, api={"stream": stream})
    text = correct(desk, workplace(desk), "all.md")
    with in_process(desk) as client:
        words, ours, _ = streamed(client, key_for(desk))
    assert words == ours["answer"] == text
    assert ours["corrected"]
    assert [one["doc"] for one in ours["citations"]] == ["all.md"]


def test_only_modes_that_read_documents_give_it_and_a_search_never(
    desk: Desk, staff: Staff, client: TestClient
) -> None:
    correct(desk, staff, "all.md")
    key = key_for(desk)
    assert whole(client, key, model="deskmate/rag-only")["deskmate"]["corrected"]
    told = whole(client, key, model="deskmate/prompt-only")
    assert not told["deskmate"]["corrected"]
    assert SAID not in json.dumps(told)
    assert SAID not in client.post("/v1/search", json={"query": QUESTION}, headers=key).text


def test_every_key_gets_what_rests_on_documents_that_it_may_all_read(
    desk: Desk, staff: Staff, client: TestClient
) -> None:
    keys = [(groups, key_for(desk, *groups)) for groups in ((), ("hr",), ("board",), ("board", "hr"), ("it",))]
    given = 0
    for n, docs in enumerate(chain.from_iterable(combinations(READERS, size) for size in (1, 2, 3))):
        question = f"{QUESTION} Case {n}"
        text = correct(desk, staff, *docs, question=question)
        for groups, key in keys:
            may = {READERS[doc] for doc in docs} <= {*groups, "everyone"}
            told = whole(client, key, question)
            words, ours, everything = streamed(client, key, question)
            assert told["deskmate"]["corrected"] == ours["corrected"] == may
            if may:
                assert told["choices"][0]["message"]["content"] == words == text
                given += 1
            else:
                assert "canary" not in json.dumps(told) + everything
                mine = {one for one in READERS if READERS[one] in {*groups, "everyone"}}
                assert {one["doc"] for one in ours["citations"]} <= mine
    assert given == 1 + 3 + 3 + 7 + 1


def test_a_document_that_changed_takes_its_correction_back(
    desk: Desk, staff: Staff, client: TestClient, office: Office
) -> None:
    key = key_for(desk)
    text = correct(desk, staff, "all.md")
    before = Path(office.docs, "all.md").read_text()
    Path(office.docs, "all.md").write_text("# Opening\n\nThe office is open on Sundays too.")
    office.ingest()
    assert not whole(client, key)["deskmate"]["corrected"]
    assert "canary" not in streamed(client, key)[2]
    Path(office.docs, "all.md").write_text(before)
    office.ingest()
    assert streamed(client, key)[0] == text


def test_who_may_read_it_now_counts_not_who_might_when_it_was_written(
    desk: Desk, staff: Staff, client: TestClient, office: Office
) -> None:
    hr, board = key_for(desk, "hr"), key_for(desk, "board")
    text = correct(desk, staff, "hr/closing.md")
    assert streamed(client, hr)[0] == text
    Path(office.docs, "hr/.access").write_text("board\n")
    office.ingest()
    assert "canary" not in streamed(client, hr)[2]
    assert streamed(client, board)[0] == text


def test_a_withdrawn_correction_is_given_no_more(desk: Desk, staff: Staff, client: TestClient) -> None:
    key = key_for(desk)
    correct(desk, staff, "all.md")
    [one] = staff.corrections.all()
    staff.corrections.withdraw(one.id, CHIEF)
    assert not whole(client, key)["deskmate"]["corrected"]
