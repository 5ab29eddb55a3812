"""The pages under /rate, as a browser without scripts would use them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from rated import MODES, answer_line, evaluation, write

from app.ratings.plan import plan, questions_of
from app.ratings.routes import mount_ratings
from app.ratings.store import Ratings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return evaluation(tmp_path, "autumn run")


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    app = FastAPI()
    mount_ratings(app, folder.parent, "Desk <b>")
    with TestClient(app) as client:
        yield client


def sign_in(client: TestClient, name: str = "Ann") -> str:
    return client.post("/rate/autumn run/name", data={"rater": name}).text


def pair_in(page: str) -> str:
    found = re.search(r'action="/rate/autumn%20run/pair"><input type="hidden" name="pair" value="(\w+)"', page)
    assert found
    return found[1]


def said(page: str) -> str:
    found = re.search(r'role="alert"[^>]*>([^<]*)<', page)
    assert found
    return found[1]


def test_a_rater_gives_a_name_once_and_goes_through_all_pairs(client: TestClient, folder: Path) -> None:
    assert "Your name or initials" in client.get("/rate/autumn run").text
    page = sign_in(client)
    for number in range(12):
        assert f"{number} of 12 rated" in page
        vote = {"pair": pair_in(page), "tone": "left", "correctness": "tie"}
        page = client.post("/rate/autumn run/pair", data=vote).text
    assert "You have rated all 12 pairs." in page
    shown = [pair.key for pair in plan(questions_of(folder), "ann")]
    assert [rating.key for rating in Ratings(folder).of("ann")] == shown


def test_nothing_in_a_page_tells_the_mode(client: TestClient) -> None:
    page = sign_in(client)
    for _ in range(12):
        for mode in (*MODES, "results-", "hybrid", "rag"):
            assert mode not in page
        vote = {"pair": pair_in(page), "tone": "tie", "correctness": "tie"}
        page = client.post("/rate/autumn run/pair", data=vote).text


def test_undo_shows_the_last_pair_again_and_a_second_click_does_no_more(client: TestClient, folder: Path) -> None:
    first = pair_in(sign_in(client))
    vote = {"tone": "left", "correctness": "left"}
    second = pair_in(client.post("/rate/autumn run/pair", data={"pair": first, **vote}).text)
    client.post("/rate/autumn run/pair", data={"pair": second, **vote})
    for _ in range(2):
        page = client.post("/rate/autumn run/undo", data={"pair": second}).text
        assert pair_in(page) == second
        assert "1 of 12 rated" in page
    assert len((folder / "ratings.jsonl").read_text().splitlines()) == 3


def test_two_raters_have_their_own_pairs(client: TestClient) -> None:
    ann = pair_in(sign_in(client))
    client.post("/rate/autumn run/leave")
    assert "Your name or initials" in client.get("/rate/autumn run").text
    assert pair_in(sign_in(client, "Bob")) != ann
    vote = {"pair": ann, "tone": "tie", "correctness": "tie"}
    assert client.post("/rate/autumn run/pair", data=vote).status_code == 404


def test_answers_that_change_are_shown_and_counted_anew(client: TestClient, folder: Path) -> None:
    pair = pair_in(sign_in(client))
    vote = {"pair": pair, "tone": "tie", "correctness": "tie"}
    assert "1 of 12 rated" in client.post("/rate/autumn run/pair", data=vote).text
    for at, mode in enumerate(MODES):
        write(folder / f"results-{at}.jsonl", [answer_line(n, mode, f"New {at} to {n}.") for n in range(12)])
    assert "0 of 12 rated" in client.get("/rate/autumn run").text
    assert client.post("/rate/autumn run/pair", data=vote).status_code == 404


def test_sources_are_listed_below_their_answer_and_nothing_is_markup(client: TestClient, folder: Path) -> None:
    for at, mode in enumerate(MODES):
        nasty = answer_line(0, mode, f"<script>{at}</script> [1] [2] <img src=x>", question="<i>Q</i>?")
        nasty["citations"][0]["quote"] = "<b>bold</b> & more"
        write(folder / f"results-{at}.jsonl", [nasty])
    page = sign_in(client)
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more" in page
    assert "hr/leave.pdf, page 3" in page
    assert 'href="#left-1"' in page
    assert 'id="right-1"' in page
    assert 'href="#left-2"' not in page
    assert not re.search(r"<(script>|img|i>|b>bold)", page)
    assert "<title>Pair 1 of 1 · Desk &lt;b&gt;</title>" in page


def test_no_page_loads_from_another_host_or_is_kept(client: TestClient) -> None:
    for address in ("/rate/", "/rate/autumn run", "/rate/nothing"):
        answer = client.get(address)
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"


def test_the_evaluations_are_listed(client: TestClient) -> None:
    assert 'href="/rate/autumn%20run"' in client.get("/rate").text


@pytest.mark.parametrize("name", ["nothing", "..%2fautumn run", "x" * 3000, "<b>"])
def test_an_unknown_evaluation_is_not_found(client: TestClient, name: str) -> None:
    answer = client.get(f"/rate/{name}")
    assert answer.status_code == 404
    assert len(said(answer.text)) < 200


@pytest.mark.parametrize(
    ("step", "fields", "status", "sentence"),
    [
        ("name", {}, 422, "Please give a name, so that your ratings can be told from those of others."),
        ("name", {"rater": "x" * 50}, 422, "The name is too long; at most 40 characters, please."),
        ("name", {"rater": "x" * 1_000_000}, 413, "The form is too long; a name has at most 40 characters."),
        ("name", {"rater": "<script>"}, 422, "A name has letters, digits, spaces, dots, hyphens and apostrophes"),
        ("pair", {}, 404, "There is no such pair for you; open the evaluation again to go on."),
        ("pair", {"pair": "0" * 32, "tone": "left", "correctness": "left"}, 404, "There is no such pair for you"),
        ("undo", {"pair": "../../etc"}, 404, "There is no such pair for you"),
        ("pair", {"pair": "ok", "tone": "left"}, 422, "Say for tone and for correctness whether A is better"),
        ("pair", {"pair": "ok", "tone": "best", "correctness": "tie"}, 422, "Say for tone and for correctness"),
    ],
)
def test_bad_forms_get_a_plain_sentence_and_keep_nothing(
    client: TestClient, folder: Path, step: str, fields: dict[str, str], status: int, sentence: str
) -> None:
    page = sign_in(client)
    if fields.get("pair") == "ok":
        fields = fields | {"pair": pair_in(page)}
    answer = client.post(f"/rate/autumn run/{step}", data=fields)
    assert answer.status_code == status
    assert said(answer.text).startswith(sentence)
    assert not (folder / "ratings.jsonl").exists()


def test_an_evaluation_of_one_mode_has_nothing_to_compare(client: TestClient, folder: Path) -> None:
    evaluation(folder.parent, "alone", modes=MODES[:1])
    assert "This evaluation has one mode only" in client.get("/rate/alone").text


def test_who_has_no_name_cannot_rate(client: TestClient) -> None:
    answer = client.post("/rate/autumn run/pair", data={"pair": "x"})
    assert answer.status_code == 422
    assert said(answer.text).startswith("It is not known who you are")


def test_a_cookie_that_is_none_of_ours_is_as_good_as_none(client: TestClient) -> None:
    client.cookies.set("deskmate_rater", "%3Cscript%3E")
    assert "Your name or initials" in client.get("/rate/autumn run").text


def test_a_broken_file_is_named(client: TestClient, folder: Path) -> None:
    sign_in(client)
    (folder / "ratings.jsonl").write_text("{}\n")
    answer = client.get("/rate/autumn run")
    assert answer.status_code == 500
    assert "ratings.jsonl:1 is not a rating" in said(answer.text)
