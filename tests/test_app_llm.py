"""The echo fake and the client for OpenAI-compatible servers."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from adapters import bare
from pydantic import SecretStr

from app.models.llm import Completion, EchoModel, complete
from app.models.remote import OpenAIModel, Role
from ingest.errors import DeskmateError

ASK = [{"role": "user", "content": "How much leave?"}]
KEY = "sk-very-secret"
PROMPT = """You are the help desk.

Passage 1, from hr/leave.md:
<<<
# Leave

Annual leave is 25 days
a year. Carry over at most 5.
>>>

Passage 2, from it/vpn.md:
<<<
Use the portal.
>>>

Question: How much leave?"""


def echo(prompt, max_tokens=100):
    return complete(EchoModel(), [{"role": "user", "content": prompt}], max_tokens)


def test_echo_answers_from_the_first_passage_with_its_citation():
    assert echo(PROMPT).text == "Annual leave is 25 days a year. [1]"


def test_echo_gives_the_question_back_without_passages():
    assert echo("You are the help desk.\n\nQuestion: How much leave?") == Completion("How much leave?", 9, 3)
    assert echo("") == Completion("", 0, 0)


def test_echo_counts_words_and_keeps_to_its_limit():
    deltas = list(EchoModel().stream([{"role": "user", "content": PROMPT}], 3))
    assert [delta.text for delta in deltas] == ["Annual", " leave", " is"]
    assert [delta.completion_tokens for delta in deltas] == [1, 2, 3]


def test_echo_can_be_slow_and_cancelled():
    cancel = threading.Event()
    stream = EchoModel(delay_s=0.01).stream([{"role": "user", "content": PROMPT}], 50, cancel)
    started = time.monotonic()
    next(stream)
    assert time.monotonic() - started >= 0.01
    cancel.set()
    assert list(stream) == []


def event(data):
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


def chunk(text, finish=None):
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


def usage(prompt, completion):
    return event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


GOOD = [": keep-alive\n\n", chunk("Twenty"), chunk("-five 😀"), chunk("", "stop"), usage(12, 7), event("[DONE]")]


class Server:
    """Answers requests to /chat/completions with prepared responses, the last one again and again."""

    def __init__(self, *responses, models=("small", "large"), list_status=200):
        self.responses, self.models, self.list_status = list(responses), models, list_status
        self.requests = []

    def __call__(self, request):
        if request.url.path.endswith("/models"):
            return httpx.Response(self.list_status, json={"data": [{"id": name} for name in self.models]})
        self.requests.append(request)
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, Exception):
            raise response
        status, body = response if isinstance(response, tuple) else (200, response)
        content = iter([part.encode() for part in body]) if isinstance(body, list) else json.dumps(body).encode()
        headers = {"retry-after": "0"} if status == 429 else {}
        return httpx.Response(status, content=content, headers=headers)


def client(server, model="small", **options):
    options = {"role": Role("chat", (0.0, 0.0), 20.0), **options}
    return OpenAIModel("http://desk.test/v1/", model, SecretStr(KEY), transport=httpx.MockTransport(server), **options)


def answer(server, **options):
    return complete(client(server, **options), ASK, 50)


def failure(server, **options):
    with pytest.raises(DeskmateError) as caught:
        answer(server, **options)
    message = str(caught.value)
    assert KEY not in message
    assert "\n" not in message
    return message


def test_a_stream_is_put_together_with_the_servers_own_counts():
    server = Server(GOOD)
    assert answer(server) == Completion("Twenty-five 😀", 12, 7)

    body = json.loads(server.requests[0].content)
    assert body["model"] == "small"
    assert body["max_tokens"] == 50
    assert body["stream_options"] == {"include_usage": True}
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_counts_are_estimated_where_the_server_gives_none():
    assert answer(Server([chunk("Twenty"), chunk("-five", "stop"), event("[DONE]")])) == Completion("Twenty-five", 4, 2)


def test_a_stream_that_ends_without_done_is_whole_once_it_gave_a_reason():
    assert answer(Server([chunk("Five", "stop")])).text == "Five"


@pytest.mark.parametrize("problem", [(429, {}), (503, {}), (500, {}), httpx.ConnectError("refused")])
def test_what_passes_is_tried_again(problem):
    server = Server(problem, problem, GOOD)
    assert answer(server).text == "Twenty-five 😀"
    assert len(server.requests) == 3


def test_trying_again_has_an_end():
    server = Server((503, {"error": {"message": "overloaded"}}))
    assert failure(server) == "http://desk.test/v1 answered 503: overloaded"
    assert len(server.requests) == 3


def test_an_unreachable_server_says_what_to_do():
    message = failure(Server(httpx.ConnectError("Connection refused")))
    assert message == "http://desk.test/v1 cannot be reached (Connection refused); start it, or correct chat.server"


def test_a_silent_server_is_not_asked_twice():
    server = Server(httpx.ReadTimeout("timed out"))
    assert "sent nothing for 60 s" in failure(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_named_but_not_shown(status):
    message = failure(Server((status, {"error": {"message": f"Incorrect API key provided: {KEY}"}})))
    assert "DESKMATE_CHAT__SERVER_KEY" in message


def test_a_servers_words_are_cleaned_of_the_key():
    assert "the key *** may not" in failure(Server((400, {"error": {"message": f"the key {KEY} may not"}})))


@pytest.mark.parametrize("body", [{"error": "too long"}, {"detail": "too long"}, {"message": "too long"}, "too long"])
def test_every_shape_of_error_is_read(body):
    assert "answered 400" in (message := failure(Server((400, body))))
    assert "too long" in message


def test_an_unknown_model_is_met_with_those_there_are():
    assert "no model 'small': it has large, huge" in failure(Server((404, {}), models=("large", "huge")))


def test_load_checks_the_model_and_chooses_the_first():
    client(Server(GOOD)).load()
    chosen = client(Server(GOOD), model="")
    chosen.load()
    assert chosen.name == "small"
    with pytest.raises(DeskmateError, match="no model 'gone': it has small, large"):
        client(Server(GOOD), model="gone").load()


def test_a_server_without_a_list_of_models():
    client(Server(GOOD, list_status=404)).load()
    with pytest.raises(DeskmateError, match=r"lists no model; set chat\.server_model"):
        client(Server(GOOD, list_status=404), model="").load()
    with pytest.raises(DeskmateError, match="refuses the API key"):
        client(Server(GOOD, list_status=401)).load()


def test_an_address_that_leads_to_a_web_page():
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>"))
    with pytest.raises(DeskmateError, match=r"no list of models; set chat\.server"):
        OpenAIModel("http://desk.test", "m", SecretStr(""), transport=transport).load()


@pytest.mark.parametrize("server", ["localhost:8000", "ftp://desk.test", "http://", ""])
def test_what_is_no_address_is_refused_at_once(server):
    with pytest.raises(DeskmateError, match="which is no address like"):
        OpenAIModel(server, "m", SecretStr(""))


@pytest.mark.parametrize("data", ["{not json", '"text"', "[1]", f'"the key {KEY}"'])
def test_a_malformed_stream_is_an_error(data):
    assert "sent what is no chat stream" in failure(Server([chunk("Five"), event(data)]))


def test_an_error_inside_the_stream():
    assert "failed while answering: out of memory" in failure(Server([event({"error": {"message": "out of memory"}})]))


def test_an_answer_cut_short_is_an_error():
    assert "ended the answer after 1 tokens" in failure(Server([chunk("Twenty")]))


@pytest.mark.parametrize(
    ("complaint", "dropped", "added"),
    [
        ("Use 'max_completion_tokens' instead of 'max_tokens'", "max_tokens", "max_completion_tokens"),
        ("unknown field stream_options", "stream_options", None),
        ("temperature is not supported with this model", "temperature", None),
    ],
)
def test_parameters_that_a_server_rejects_are_adapted(complaint, dropped, added):
    server = Server((400, {"error": {"message": complaint}}), GOOD)
    assert answer(server).text == "Twenty-five 😀"

    body = json.loads(server.requests[1].content)
    assert dropped not in body
    assert added is None or added in body


def test_cancelling_while_waiting_to_try_again():
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    started = time.monotonic()
    model = client(Server(httpx.ConnectError("refused")), role=Role("chat", (30.0,), 30.0))

    assert list(model.stream(ASK, 10, cancel)) == []
    assert time.monotonic() - started < 5


class _Endless(BaseHTTPRequestHandler):
    """Streams words until the client hangs up, or drops the connection in the middle of an answer."""

    protocol_version = "HTTP/1.1"
    drop = False
    gone = threading.Event()

    def do_POST(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for count in range(2000):
                data = chunk(f"word{count} ").encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()
                if self.drop and count == 3:
                    break
                time.sleep(0.005)
        except OSError:
            self.gone.set()
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def endless():
    """A real server on the loopback interface."""
    _Endless.drop = False
    _Endless.gone = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield OpenAIModel(f"http://127.0.0.1:{server.server_port}/v1", "m", SecretStr(""), timeout=5)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_stopping_closes_the_connection(endless, how):
    cancel = threading.Event()
    stream = endless.stream(ASK, 5000, cancel)
    assert next(stream).text == "word0 "
    if how == "cancel":
        cancel.set()
        assert list(stream) == []
    else:
        stream.close()

    assert _Endless.gone.wait(5)


def test_a_connection_that_breaks_in_the_middle(endless):
    _Endless.drop = True
    texts = []
    with pytest.raises(DeskmateError, match=r"connection to http://127\.0\.0\.1:\d+/v1 broke"):
        texts.extend(delta.text for delta in endless.stream(ASK, 5000))


def test_the_key_is_not_in_the_models_own_words():
    model = client(Server(GOOD))
    assert KEY not in repr(model)
    assert KEY not in str(vars(model))


# Adapters


@pytest.fixture
def adapter(tmp_path):
    return bare(tmp_path)


def test_an_adapter_is_the_servers_model_of_that_name(adapter):
    server = Server([chunk("Five"), chunk(None, "stop"), event("[DONE]")], models=("large", "house/v1"))
    model = client(server, "large")
    model.load(adapter)
    for one in (adapter, None):
        list(model.stream(ASK, 50, None, one))
    assert [json.loads(request.content)["model"] for request in server.requests] == ["house/v1", "large"]
    assert model.name == "large"


def test_a_server_without_the_adapter_says_how_to_start_it_with_one(adapter):
    said = r"has no model 'house/v1': it has small, large; start it with --lora-modules house/v1=FOLDER"
    with pytest.raises(DeskmateError, match=said):
        client(Server([event("[DONE]")])).load(adapter)
    with pytest.raises(DeskmateError, match=said):
        list(client(Server((404, {"error": "no such model"}))).stream(ASK, 50, None, adapter))


def test_the_echo_has_no_weights_that_an_adapter_could_change(adapter):
    echo = EchoModel()
    echo.load(adapter)
    assert list(echo.stream(ASK, 50, None, adapter)) == list(echo.stream(ASK, 50))
