"""The end of a server: running answers are finished and kept, nothing new is taken, a second signal is at once."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from api_kit import wait_until
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.chat.conversation import CLOSED
from app.drain import Drain
from eval.bench.chat_client import Browser, CutOffError, Told

HERE = Path(__file__).parent


class FakeTalk:
    """A chat in which something may be going on."""

    def __init__(self) -> None:
        self.running, self.closed, self.cut = 0, False, False

    def close(self) -> None:
        self.closed = True

    def cut_off(self) -> None:
        self.cut, self.running = True, 0


def desk() -> FastAPI:
    app = FastAPI()
    for path in ("/", "/readyz", "/healthz", "/v1/models", "/chats/here"):
        app.add_api_route(path, lambda: "there")
    return app


def test_nothing_is_refused_before_the_end() -> None:
    drain = Drain(desk(), FakeTalk(), 5)
    client = TestClient(drain)
    assert {client.get(path).status_code for path in ("/", "/readyz", "/v1/models")} == {200}
    assert not drain.over()


def test_while_it_ends_new_questions_get_a_sentence_and_open_pages_are_heard_out() -> None:
    drain = Drain(desk(), FakeTalk(), 5)
    client = TestClient(drain)
    drain.begin()
    for path in ("/", "/v1/models", "/staff/queue"):
        response = client.get(path)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "10"
        assert CLOSED in response.text
    assert client.get("/v1/models").json()["error"]["code"] == "draining"
    assert client.get("/readyz").json()["status"] == "draining"
    assert client.get("/readyz").status_code == 503
    assert [client.get(path).status_code for path in ("/healthz", "/chats/here")] == [200, 200]


def test_it_waits_for_running_answers_then_cuts_them_off() -> None:
    talk = FakeTalk()
    drain = Drain(desk(), talk, 0.05)
    talk.running = 1
    drain.begin()
    assert talk.closed
    assert not drain.over()
    assert not talk.cut
    time.sleep(0.06)
    assert drain.over()
    assert talk.cut


@contextmanager
def server(home: Path, word_s: float, drain_s: float) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = [sys.executable, str(HERE / "slow_server.py"), str(home), str(word_s), str(drain_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = f"http://127.0.0.1:{int(process.stdout.readline())}"
    try:
        assert wait_until(lambda: answers(address), 30)
        yield process, address
    finally:
        process.kill()
        process.communicate()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz").is_success
    except httpx.TransportError:
        return False


def asking(browser: Browser) -> tuple[threading.Thread, list[Told]]:
    """Somebody who asks, and what they are told."""
    told: list[Told] = []
    begun = threading.Event()

    def ask() -> None:
        with contextlib.suppress(CutOffError):
            told.append(browser.ask("What about error 809?", begun=begun))

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(30)
    return thread, told


@pytest.mark.slow
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_an_answer_be_finished_and_kept_and_takes_no_other(tmp_path: Path, sig: int) -> None:
    with server(tmp_path, 0.2, 20) as (process, address), Browser(address) as first, Browser(address) as second:
        thread, told = asking(first)
        process.send_signal(sig)
        assert wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 503)
        assert httpx.get(address).text == CLOSED
        assert second.ask("And error 905?").hint == CLOSED
        thread.join()
        assert told[0].exchange
        first.judge(told[0].exchange, "up")
        assert process.wait(10) == 0
    with server(tmp_path, 0, 5) as (_, address), Browser(address) as later:
        later.cookies = first.cookies
        [kept] = later.export(told[0].conversation)["exchanges"]
        assert kept["answer"].endswith("10 hours [2].")
        assert kept["judgement"]["verdict"] == "up"


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_cut_off_and_kept_as_far_as_it_is(tmp_path: Path) -> None:
    with server(tmp_path, 1.0, 1.5) as (process, address), Browser(address) as browser:
        thread, told = asking(browser)
        process.terminate()
        thread.join()
        assert told[0].exchange
        assert process.wait(10) == 0


@pytest.mark.slow
def test_the_second_signal_ends_at_once(tmp_path: Path) -> None:
    with server(tmp_path, 1.0, 60) as (process, address), Browser(address) as browser:
        thread, told = asking(browser)
        process.terminate()
        time.sleep(0.3)
        process.terminate()
        assert process.wait(5) == 128 + signal.SIGTERM
        thread.join()
        assert not told
