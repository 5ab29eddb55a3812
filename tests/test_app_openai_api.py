"""The HTTP API as clients meet it: answers, refusals, keys, groups, limits; and OpenAI's own client, unchanged."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import combinations

import pytest
from adapters import bare
from api_kit import BONUS, SECRET, VPN, chat, in_process, key_for, open_desk, serving, wait_until
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from office import Office

from app.answering.modes import Mode
from app.api.keys import Keys
from app.api.routes import Api
from app.desk import Desk
from app.models.llm import EchoModel
from finetune.adapters.registry import Registry
from ingest.errors import DeskmateError

ANSWER = "VPN Error 809 means that port 4500 is blocked [1]."
"""What the echo model says to it, once the citation has been put before the full stop."""

EVERYTHING = {"chat": {"confidence": 0.0}}
"""No question is declined, so that the first passage is always told."""


Opener = Callable[[Desk], TestClient]


@pytest.fixture
def client_of() -> Iterator[Opener]:
    """Opens clients; all requests of one run in one event loop, as behind a server."""
    with ExitStack() as stack:
        yield lambda desk: stack.enter_context(in_process(desk))


@pytest.fixture
def desk(office: Office) -> Desk:
    return open_desk(office, **EVERYTHING)


@pytest.fixture
def client(desk: Desk, client_of: Opener) -> TestClient:
    return client_of(desk)


def error_of(response, status: int) -> dict:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    return response.json()["error"]


def events_of(response) -> list:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_an_answer_has_the_shape_of_openais_with_citations_in_it(desk: Desk, client: TestClient) -> None:
    response = client.post("/v1/chat/completions", json=chat(VPN), headers=key_for(desk))
    assert response.status_code == 200
    data = response.json()
    [choice] = data["choices"]
    assert data["object"] == "chat.completion"
    assert data["model"] == "deskmate"
    assert (choice["index"], choice["finish_reason"], choice["message"]["role"]) == (0, "stop", "assistant")
    assert choice["message"]["content"] == ANSWER
    [citation] = choice["message"]["citations"]
    assert (citation["n"], citation["doc"]) == (1, "it/vpn.md")
    assert citation["quote"] == "Error 809 means that port 4500 is blocked."
    ours = data["deskmate"]
    assert (ours["mode"], ours["adapter"], ours["refused"], ours["unsupported"]) == ("rag-only", None, False, [])
    assert 0 <= ours["confidence"] <= 1
    usage = data["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > usage["prompt_tokens"] > 0


def test_a_stream_says_the_same_in_pieces(desk: Desk, client: TestClient) -> None:
    key = key_for(desk)
    whole = client.post("/v1/chat/completions", json=chat(VPN), headers=key).json()
    body = chat(VPN, stream=True, stream_options={"include_usage": True})
    chunks = events_of(client.post("/v1/chat/completions", json=body, headers=key))
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    *pieces, end, tokens = chunks
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert len(pieces) > 5
    written = "".join(piece["choices"][0]["delta"]["content"] for piece in pieces)
    assert written == ANSWER
    assert all(piece["choices"][0]["finish_reason"] is None for piece in pieces)
    assert end["choices"][0]["finish_reason"] == "stop"
    assert end["deskmate"]["answer"] == whole["choices"][0]["message"]["content"]
    assert end["deskmate"]["citations"] == whole["choices"][0]["message"]["citations"]
    assert (tokens["choices"], tokens["usage"]) == ([], whole["usage"])


def test_a_stream_tells_its_usage_only_when_asked(desk: Desk, client: TestClient) -> None:
    chunks = events_of(client.post("/v1/chat/completions", json=chat(VPN, stream=True), headers=key_for(desk)))
    assert not any("usage" in chunk for chunk in chunks)


def test_a_stream_may_be_set_to_send_words_as_they_are_written(office: Office, client_of: Opener) -> None:
    desk = open_desk(office, api={"stream": "as-written"}, **EVERYTHING)
    response = client_of(desk).post("/v1/chat/completions", json=chat(VPN, stream=True), headers=key_for(desk))
    chunks = events_of(response)
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert said == "VPN Error 809 means that port 4500 is blocked. [1]"
    assert chunks[-1]["deskmate"]["answer"] == ANSWER, "the last chunk has what held"


def test_what_is_declined_is_said_in_the_house_form_in_both_ways(office: Office, client_of: Opener) -> None:
    desk = open_desk(office, chat={"confidence": 1.0})
    client, key = client_of(desk), key_for(desk)
    whole = client.post("/v1/chat/completions", json=chat(VPN), headers=key).json()
    assert whole["deskmate"]["refused"]
    assert whole["choices"][0]["message"]["content"] == desk.voice.decline
    assert whole["choices"][0]["message"]["citations"] == []
    chunks = events_of(client.post("/v1/chat/completions", json=chat(VPN, stream=True), headers=key))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == desk.voice.decline
    assert chunks[-1]["deskmate"]["refused"]


def test_an_answer_that_was_cut_off_says_so(office: Office, client_of: Opener) -> None:
    desk = open_desk(office, chat={"confidence": 0.0, "answer_tokens": 8})
    body = chat("Please repeat one two three four five six seven eight nine", "deskmate/prompt-only")
    data = client_of(desk).post("/v1/chat/completions", json=body, headers=key_for(desk)).json()
    assert data["choices"][0]["finish_reason"] == "length"
    assert data["usage"]["completion_tokens"] == 8
    assert data["deskmate"]["mode"] == "prompt-only"


def test_earlier_messages_are_the_history_and_system_messages_are_not(
    desk: Desk, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list = []
    stream = EchoModel.stream

    def spy(self, messages, *rest):
        told.extend(messages)
        return stream(self, messages, *rest)

    monkeypatch.setattr(EchoModel, "stream", spy)
    messages = [
        {"role": "system", "content": "Talk like a pirate."},
        {"role": "user", "content": "What does error 809 mean?"},
        {"role": "assistant", "content": "Port 4500 is blocked [1]."},
        {"role": "user", "content": "And what then?"},
    ]
    body = {"model": "deskmate", "messages": messages}
    assert client.post("/v1/chat/completions", json=body, headers=key_for(desk)).status_code == 200
    assert [turn["content"] for turn in told[:-1]] == ["What does error 809 mean?", "Port 4500 is blocked [1]."]
    assert "pirate" not in str(told)


# Keys


def test_while_there_is_no_key_the_api_is_closed_and_says_how_to_open_it(client: TestClient) -> None:
    for path in ("/v1/chat/completions", "/v1/search"):
        for headers in ({}, {"Authorization": "Bearer dm_guess"}):
            response = client.post(path, content=b"{", headers=headers)
            assert "run: deskmate keys add NAME" in error_of(response, 401)["message"]
            assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_is_needed_and_must_be_a_good_one(desk: Desk, client: TestClient) -> None:
    good = key_for(desk)["Authorization"]
    assert client.get("/v1/models", headers={"Authorization": good}).status_code == 200
    assert client.get("/v1/models", headers={"Authorization": good.replace("Bearer", "bearer")}).status_code == 200
    assert "as the header Authorization" in error_of(client.get("/v1/models"), 401)["message"]
    for wrong in ("Bearer", "Bearer ", "Bearer dm_x", good + "x", good.replace("Bearer", "Basic"), good[7:]):
        error = error_of(client.get("/v1/models", headers={"Authorization": wrong}), 401)
        assert error["code"] == "invalid_api_key"


def test_additions_and_revocations_count_at_once(desk: Desk, client: TestClient) -> None:
    assert client.get("/v1/models").status_code == 401
    key = key_for(desk, name="one")
    assert client.get("/v1/models", headers=key).status_code == 200
    Keys(desk.workspace.keys).revoke("one")
    assert client.get("/v1/models", headers=key).status_code == 401


def test_a_key_does_only_what_its_scopes_say(desk: Desk, client: TestClient) -> None:
    search, ask = key_for(desk, scopes=("search",)), key_for(desk, scopes=("chat",))
    error = error_of(client.post("/v1/chat/completions", json=chat(VPN), headers=search), 403)
    assert error["message"] == "this key lacks the scope chat; it has search"
    assert error_of(client.post("/v1/search", json={"query": VPN}, headers=ask), 403)["code"] == "missing_scope"
    assert client.post("/v1/search", json={"query": VPN}, headers=search).status_code == 200


def test_damaged_keys_close_the_api_with_a_reason(desk: Desk, client: TestClient) -> None:
    key = key_for(desk)
    (desk.workspace.keys / "keys.json").write_text("[")
    assert "restore it" in error_of(client.get("/v1/models", headers=key), 503)["message"]


def test_more_requests_than_a_key_may_are_turned_away_for_a_while(office: Office, client_of: Opener) -> None:
    desk = open_desk(office, api={"requests_per_minute": 3})
    client, key, other = client_of(desk), key_for(desk), key_for(desk)
    assert [client.get("/v1/models", headers=key).status_code for _ in range(4)] == [200, 200, 200, 429]
    response = client.get("/v1/models", headers=key)
    assert error_of(response, 429)["code"] == "rate_limit_exceeded"
    assert 1 <= int(response.headers["retry-after"]) <= 20
    assert client.get("/v1/models", headers=other).status_code == 200, "each key has its own"


# Groups


def everything_said(client: TestClient, question: str, headers: dict) -> str:
    """All that chat, whole and streamed, and search give for a question, whatever else a request claims."""
    lies = {"groups": ["managers"], "user": "managers", "metadata": {"groups": "managers"}}
    bodies = [chat(question, **lies), chat(question, stream=True, **lies), chat(question, "deskmate/rag-only")]
    responses = [client.post("/v1/chat/completions", json=body, headers=headers) for body in bodies]
    for method in ("hybrid", "dense", "bm25"):
        body = {"query": question, "k": 100, "method": method}
        responses.append(client.post("/v1/search", json=body, headers={**headers, "X-Groups": "managers"}))
    assert {response.status_code for response in responses} == {200}
    return "".join(response.text for response in responses)


def test_the_groups_of_the_key_decide_what_is_told(desk: Desk, client: TestClient) -> None:
    assert SECRET in everything_said(client, BONUS, key_for(desk, "managers"))
    for groups in ((), ("everyone",), ("hr",), ("Managers",), ("managers ", "manager")):
        told = everything_said(client, BONUS, key_for(desk, *groups))
        assert SECRET not in told
        assert "bonus.md" not in told


def test_a_search_may_not_name_groups(desk: Desk, client: TestClient) -> None:
    body = {"query": BONUS, "groups": ["managers"]}
    error = error_of(client.post("/v1/search", json=body, headers=key_for(desk)), 400)
    assert "groups: Extra inputs are not permitted" in error["message"]


LABELS = [tuple(sorted(names)) for size in range(4) for names in combinations(("a", "b", "c"), size)]
"""Every set of three groups; the empty one is for everyone."""

CANARY = {labels: f"canary{''.join(labels) or 'everyone'}end" for labels in LABELS}


@pytest.fixture
def aviary(office: Office, client_of: Opener) -> tuple[Desk, TestClient]:
    """A document for each set of groups, each with a word that is in no other."""
    for labels, word in CANARY.items():
        folder = "-".join(labels) or "everyone"
        text = f"# Birds of {folder}\n\nThe bird of the month is the {word}, which sings at noon.\n"
        office.write({f"{folder}/bird.md": text, f"{folder}/.access": "\n".join(labels or ("everyone",))})
    desk = open_desk(office, api={"requests_per_minute": 100_000}, **EVERYTHING)
    return desk, client_of(desk)


def test_each_key_is_told_of_all_that_its_groups_may_read_and_of_nothing_else(aviary: tuple[Desk, TestClient]) -> None:
    desk, client = aviary
    for groups in LABELS:
        allowed = {word for labels, word in CANARY.items() if not labels or set(labels) & set(groups)}
        told = everything_said(client, "Which bird of the month sings at noon?", key_for(desk, *groups))
        assert set(re.findall(r"canary\w+end", told)) == allowed


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=st.text(max_size=40), word=st.sampled_from(sorted(CANARY.values())), groups=st.sampled_from(LABELS))
def test_whatever_is_asked_no_word_of_a_closed_document_comes_back(
    aviary: tuple[Desk, TestClient], question: str, word: str, groups: tuple[str, ...]
) -> None:
    desk, client = aviary
    closed = {one for labels, one in CANARY.items() if labels and not set(labels) & set(groups)}
    asked = f"{question} bird {word[6:-3]}"
    told = everything_said(client, asked, key_for(desk, *groups))
    assert not closed & set(re.findall(r"canary\w+end", told))


# Models


def test_the_models_are_the_modes_and_the_adapters_that_a_key_may_have(desk: Desk, client: TestClient) -> None:
    def names(headers: dict) -> list[str]:
        data = client.get("/v1/models", headers=headers).json()
        assert data["object"] == "list"
        return [model["id"] for model in data["data"]]

    plain, curious = key_for(desk), key_for(desk, scopes=("chat", "adapters"))
    insider = key_for(desk, "hr", scopes=("chat", "adapters"))
    untuned = ["deskmate", "deskmate/rag-only", "deskmate/prompt-only"]
    assert names(plain) == names(curious) == untuned
    root = desk.workspace.adapters
    one, two = bare(root), bare(root)
    closed = bare(root, "closed", access=(("hr",),))
    assert names(plain) == untuned, "nothing is promoted"
    assert names(curious)[3:] == [f"deskmate/{m}:house/v{v}" for v in (1, 2) for m in ("tune-only", "hybrid")]
    Registry(root).promote(two)
    modes = ["deskmate", "deskmate/hybrid", "deskmate/rag-only", "deskmate/tune-only", "deskmate/prompt-only"]
    assert names(plain) == [*modes, "deskmate/tune-only:house/v2", "deskmate/hybrid:house/v2"]
    assert f"deskmate/hybrid:{one.id}" in names(curious)
    assert not [name for name in names(curious) if closed.id in name]
    assert f"deskmate/hybrid:{closed.id}" in names(insider)


def test_a_model_name_picks_mode_and_adapter(desk: Desk, client: TestClient) -> None:
    root = desk.workspace.adapters
    _, two, three = bare(root), bare(root), bare(root)
    Registry(root).promote(two)
    key = key_for(desk, scopes=("chat", "adapters"))

    def answered(model: str) -> tuple[str, str | None]:
        data = client.post("/v1/chat/completions", json=chat(VPN, model), headers=key).json()
        assert data["model"] == model
        return data["deskmate"]["mode"], data["deskmate"]["adapter"]

    assert answered("deskmate") == ("hybrid", "house/v2")
    assert answered("deskmate/rag-only") == ("rag-only", None)
    assert answered("deskmate/tune-only") == ("tune-only", "house/v2")
    assert answered("deskmate/hybrid:house/v1") == ("hybrid", "house/v1")
    assert answered("deskmate/hybrid:house") == ("hybrid", three.id), "the newest"
    assert answered("deskmate/hybrid:house/v2") == ("hybrid", "house/v2")


NAMELESS = (
    "gpt-4o",
    "",
    "deskmate/",
    "deskmate/magic",
    "Deskmate",
    "deskmate/hybrid",
    "deskmate/rag-only:house/v1",
) + (*("deskmate/hybrid:house/v9", "deskmate/hybrid:../../etc", "deskmate/hybrid:/etc", "deskmate\n", "x" * 10_000),)


def test_a_name_that_means_nothing_is_not_found(desk: Desk, client: TestClient) -> None:
    bare(desk.workspace.adapters)
    key = key_for(desk, scopes=("chat", "adapters"))
    for model in NAMELESS:
        error = error_of(client.post("/v1/chat/completions", json=chat(VPN, model), headers=key), 404)
        assert error["code"] == "model_not_found", model
        assert len(error["message"]) < 300


def test_an_adapter_that_a_key_may_not_have_is_as_unknown_as_one_that_is_not_there(
    desk: Desk, client: TestClient
) -> None:
    root = desk.workspace.adapters
    closed, own = bare(root, "closed", access=(("hr",),)), bare(root)
    Registry(root).promote(own)
    allowed, outside = key_for(desk, "hr", scopes=("chat", "adapters")), key_for(desk, scopes=("chat", "adapters"))
    name, missing = f"deskmate/hybrid:{closed.id}", "deskmate/hybrid:closet/v1"
    assert client.get(f"/v1/models/{name}", headers=allowed).json()["id"] == name
    assert client.get(f"/v1/models/{name}", headers=key_for(desk, "hr")).status_code == 404, "without the scope"
    said = [client.get(f"/v1/models/{one}", headers=outside).json()["error"]["message"] for one in (name, missing)]
    assert said[0].replace(name, "") == said[1].replace(missing, "")


# Bad requests, and what is not there


def test_malformed_json_is_400_and_a_megabyte_is_413(desk: Desk, client: TestClient) -> None:
    key = key_for(desk)
    error = error_of(client.post("/v1/chat/completions", content=b'{"model":', headers=key), 400)
    assert error["message"] == "the body is no valid JSON"
    for body in (chat("x" * 1_000_000), chat(VPN, metadata={"x": "y" * 300_000})):
        error = error_of(client.post("/v1/chat/completions", json=body, headers=key), 413)
        assert error["message"] == "the request is larger than 256 KiB"


def test_a_question_that_is_none_is_400(desk: Desk, client: TestClient) -> None:
    key = key_for(desk)
    error_of(client.post("/v1/chat/completions", json=chat("x" * 9000), headers=key), 400)
    error_of(client.post("/v1/chat/completions", json=chat(" "), headers=key), 400)
    error_of(client.post("/v1/search", json={"query": " "}, headers=key), 400)


def test_what_is_not_there_is_said_in_openais_form(client: TestClient) -> None:
    for method, path in (("GET", "/v1/x"), ("POST", "/v1/embeddings"), ("GET", "/v1/search")):
        response = client.request(method, path)
        assert response.status_code in (404, 405)
        assert "see /v1/docs" in response.json()["error"]["message"]


def test_without_an_index_it_is_not_ready_and_says_what_to_do(
    office: Office, monkeypatch: pytest.MonkeyPatch, client_of: Opener
) -> None:
    monkeypatch.setattr("app.api.routes.READY_S", 0.0)
    desk = open_desk(office)
    client, key = client_of(desk), key_for(desk)
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (200, {"status": "ready"})
    pointer = desk.workspace.index / "CURRENT"
    name = pointer.read_text()
    pointer.unlink()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "deskmate ingest" in response.json()["reason"]
    for body in (chat(VPN), chat(VPN, stream=True)):
        error = error_of(client.post("/v1/chat/completions", json=body, headers=key), 503)
        assert "deskmate ingest" in error["message"]
        assert error["type"] == "server_error"
    pointer.write_text(name)
    assert client.get("/readyz").status_code == 200


class Away(EchoModel):
    """A model on a server that does not answer."""

    def load(self, adapter=None):
        raise DeskmateError("http://model/v1 cannot be reached; start it")


def test_without_its_model_it_is_not_ready(office: Office, client_of: Opener) -> None:
    desk = open_desk(office, chat={"backend": "openai"})
    desk.__dict__["model"] = Away()
    response = client_of(desk).get("/readyz")
    assert (response.status_code, response.json()["reason"]) == (503, "http://model/v1 cannot be reached; start it")


class Broken(EchoModel):
    """Writes two words and fails with a message that quotes what it was asked."""

    def stream(self, messages, *rest):
        for number, delta in enumerate(super().stream(messages, *rest)):
            if number == 2:
                raise RuntimeError(f"cannot answer {messages!r}")
            yield delta


def test_a_failure_of_ours_is_500_and_the_log_has_its_place_but_no_words(
    desk: Desk, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    desk.__dict__["model"] = Broken()
    key = key_for(desk)
    with caplog.at_level(logging.DEBUG):
        response = client.post("/v1/chat/completions", json=chat(VPN), headers=key)
        assert error_of(response, 500)["message"].startswith("something went wrong on our side")
        body = chat(VPN, stream=True)
        streamed = client.post("/v1/chat/completions", json=body, headers=key).text
    last = json.loads(streamed.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["type"] == "server_error", "no [DONE]: OpenAI's clients raise"
    assert response.headers["x-request-id"] in caplog.text
    assert caplog.text.count("failed: RuntimeError") == 2
    assert "in stream" in caplog.text
    for secret in (VPN, "port 4500", key["Authorization"][7:]):
        assert secret not in caplog.text


def test_nothing_that_is_said_is_logged(desk: Desk, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    key = key_for(desk)
    with caplog.at_level(logging.DEBUG):
        for body in (chat(VPN), chat(VPN, stream=True), chat(VPN, "nonsense"), chat(VPN, n=2)):
            client.post("/v1/chat/completions", json=body, headers=key)
        client.post("/v1/search", json={"query": VPN}, headers=key)
        client.get("/v1/models", headers={"Authorization": "Bearer dm_wrong"})
    for secret in ("809", "4500", key["Authorization"][7:], "dm_wrong"):
        assert secret not in caplog.text


# Search, figures, descriptions


def test_a_search_gives_what_the_command_gives(desk: Desk, client: TestClient) -> None:
    from app.console import search_json

    response = client.post("/v1/search", json={"query": VPN, "k": 2, "method": "bm25"}, headers=key_for(desk))
    assert response.json() == search_json(desk.searcher.search(VPN, k=2, method="bm25"))


def test_figures_are_counted_without_a_word_of_anybody(desk: Desk, client: TestClient) -> None:
    key = key_for(desk)
    for body in (chat(VPN), chat(VPN, stream=True), chat("secret word", "secret/model")):
        client.post("/v1/chat/completions", json=body, headers=key)
    client.get("/v1/models/secret-name", headers=key)
    client.get("/v1/secret-path", headers=key)
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    for line in (
        'deskmate_requests_total{route="/v1/chat/completions",status="200"} 2',
        'deskmate_requests_total{route="/v1/chat/completions",status="404"} 1',
        'deskmate_requests_total{route="/v1/models/{name}",status="404"} 1',
        'deskmate_requests_total{route="other",status="404"} 1',
        'deskmate_answers_total{door="api",mode="rag-only",declined="no"} 2',
        'deskmate_first_token_seconds_count{door="api",mode="rag-only"} 2',
        'deskmate_answer_seconds_count{door="api",mode="rag-only"} 2',
        "deskmate_answers_in_flight 0",
        "deskmate_answers_waiting 0",
    ):
        assert line in lines
    assert "secret" not in response.text
    sample = re.compile(r'[a-z_]+(\{([a-z]+="[^"\n]*",?)+\})? [0-9.e+-]+')
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)


def test_figures_may_need_a_key(office: Office, client_of: Opener) -> None:
    desk = open_desk(office, api={"open_metrics": False})
    client = client_of(desk)
    error_of(client.get("/metrics"), 401)
    error_of(client.get("/metrics", headers=key_for(desk)), 403)
    assert client.get("/metrics", headers=key_for(desk, scopes=("metrics",))).status_code == 200


def test_the_description_is_whole_and_its_page_loads_nothing(client: TestClient) -> None:
    schema = client.get("/v1/openapi.json").json()
    assert set(schema["paths"]) == {"/chat/completions", "/models", "/models/{name}", "/search"}
    assert schema["servers"] == [{"url": "/v1"}]
    text = json.dumps(schema)
    for ref in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', text):
        assert ref in schema["components"]["schemas"]
    page = client.get("/v1/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "POST /v1/chat/completions" in page.text
    assert "the house&#x27;s instructions rule" in page.text
    assert not re.search(r"https?://|<script|<link|<img", page.text)


# Behind a real server


def test_openais_own_client_works_unchanged(desk: Desk) -> None:
    openai = pytest.importorskip("openai")
    key = key_for(desk)["Authorization"].removeprefix("Bearer ")
    messages = [{"role": "user", "content": VPN}]
    with serving(desk) as address, openai.OpenAI(base_url=address, api_key=key, max_retries=0) as client:
        assert next(iter(client.models.list())).id == "deskmate"
        assert client.models.retrieve("deskmate/rag-only").owned_by == "deskmate"
        whole = client.chat.completions.create(model="deskmate", messages=messages, temperature=0.2)
        assert whole.choices[0].message.content == ANSWER
        assert whole.choices[0].message.citations[0]["doc"] == "it/vpn.md"
        assert whole.usage.total_tokens > 0
        chunks = list(
            client.chat.completions.create(
                model="deskmate", messages=messages, stream=True, stream_options={"include_usage": True}
            )
        )
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices).endswith("blocked [1].")
        assert chunks[-2].deskmate["citations"][0]["n"] == 1
        assert chunks[-1].usage == whole.usage
        with client.chat.completions.stream(model="deskmate", messages=messages) as stream:
            assert stream.get_final_completion().choices[0].finish_reason == "stop"
        with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-4o'"):
            client.chat.completions.create(model="gpt-4o", messages=messages)
        with pytest.raises(openai.BadRequestError, match="tools"):
            client.chat.completions.create(model="deskmate", messages=messages, tools=[{"type": "function"}])
        with pytest.raises(openai.AuthenticationError, match="unknown, revoked or expired"):
            client.with_options(api_key="dm_no").models.list()


class Slow(EchoModel):
    """Writes without an end until it is told to stop, and remembers that it was."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = self.stopped = 0

    def stream(self, messages, max_tokens, cancel=None, adapter=None):
        self.writing += 1
        [first, *_] = super().stream(messages, max_tokens, cancel, adapter)
        while not cancel.wait(0.01):
            yield first
        self.stopped += 1


def test_a_client_that_leaves_stops_the_answer_wherever_it_is(office: Office) -> None:
    import httpx

    desk = open_desk(office, api={"at_once": 1, "waiting": 1}, **EVERYTHING)
    model = desk.__dict__["model"] = Slow()
    key = key_for(desk)
    with serving(desk) as address, httpx.Client(timeout=5) as client:
        url = f"{address}/chat/completions"
        with client.stream("POST", url, json=chat(VPN, stream=True), headers=key) as streaming:
            lines = streaming.iter_lines()  # kept: without it the response would be closed
            assert next(lines).startswith("data: ")
            with pytest.raises(httpx.ReadTimeout):  # one in line leaves it
                client.post(url, json=chat(VPN), headers=key, timeout=0.3)
        assert wait_until(lambda: model.stopped == 1)
        with pytest.raises(httpx.ReadTimeout):  # one that waits for a whole answer
            client.post(url, json=chat(VPN), headers=key, timeout=0.3)
        assert wait_until(lambda: model.stopped == 2)
        assert model.writing == 2


def test_a_full_line_turns_away_at_once_and_says_when_to_come_again(office: Office) -> None:
    import httpx

    desk = open_desk(office, api={"at_once": 1, "waiting": 0}, **EVERYTHING)
    model = desk.__dict__["model"] = Slow()
    key = key_for(desk)
    with serving(desk) as address, httpx.Client(timeout=5) as client:
        url = f"{address}/chat/completions"
        with client.stream("POST", url, json=chat(VPN, stream=True), headers=key) as streaming:
            lines = streaming.iter_lines()
            next(lines)
            response = client.post(url, json=chat(VPN), headers=key)
            assert error_of(response, 429)["code"] == "overloaded"
            assert int(response.headers["retry-after"]) > 0
        assert wait_until(lambda: model.stopped == 1)
        metrics = address.replace("/v1", "/metrics")
        assert wait_until(lambda: "deskmate_answers_in_flight 0" in client.get(metrics).text)


def test_one_key_cannot_fill_the_line_for_the_others(office: Office) -> None:
    import httpx

    desk = open_desk(office, api={"at_once": 1, "waiting": 3, "per_key": 1}, **EVERYTHING)
    model = desk.__dict__["model"] = Slow()
    greedy, other = key_for(desk), key_for(desk)
    with serving(desk) as address, httpx.Client(timeout=5) as client:
        url = f"{address}/chat/completions"
        with client.stream("POST", url, json=chat(VPN, stream=True), headers=greedy) as streaming:
            lines = streaming.iter_lines()
            next(lines)
            response = client.post(url, json=chat(VPN), headers=greedy)
            assert error_of(response, 429)["code"] == "key_overloaded"
            assert int(response.headers["retry-after"]) > 0
            with pytest.raises(httpx.ReadTimeout):  # it waits: there is a place in the line
                client.post(url, json=chat(VPN), headers=other, timeout=0.3)
            found = client.post(f"{address}/search", json={"query": VPN}, headers=greedy)
            assert found.status_code == 200, "searches have a line of their own"
        assert wait_until(lambda: model.stopped == 1)


def test_the_chats_answers_are_in_the_figures_too(desk: Desk) -> None:
    api = Api(desk)
    events = list(api.counted().stream(VPN, mode=Mode.RAG_ONLY, groups=frozenset()))
    assert events[-1].answer.answer == ANSWER
    app = FastAPI()
    api.mount(app)
    assert 'deskmate_answers_total{door="chat",mode="rag-only",declined="no"} 1' in TestClient(app).get("/metrics").text
