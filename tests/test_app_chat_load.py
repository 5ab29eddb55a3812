"""Many windows at once, over Gradio's queue as pages ask: one person cannot take the places of the others."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvicorn
from api_kit import wait_until
from fake_desk import FakeDesk
from fastapi import FastAPI
from web_kit import web_app

from app.server import claim_port
from eval.bench.chat_client import Browser

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.queueing")  # how it uses pandas


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk(0, 0)


@pytest.fixture
def app(desk: FakeDesk, tmp_path: Path) -> FastAPI:
    return web_app(desk, tmp_path, chat={"per_person": 3})


@pytest.fixture
def home(app: FastAPI) -> Iterator[str]:
    with claim_port("127.0.0.1", 0) as port:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)


def windows(home: str, number: int) -> list[Browser]:
    """Some windows of one browser."""
    first, *others = (Browser(home) for _ in range(number))
    for other in others:
        other.cookies = first.cookies
    return [first, *others]


def test_twelve_windows_of_one_person_leave_the_line_to_five_others(desk: FakeDesk, app: FastAPI, home: str) -> None:
    talk = app.state.talk
    greedy = windows(home, 12)
    others = [window for _ in range(5) for window in windows(home, 1)]
    desk.may_write.clear()
    with ThreadPoolExecutor(len(greedy) + len(others)) as threads:
        asked = [threads.submit(window.ask, "What does VPN error 809 mean?") for window in greedy]
        assert wait_until(lambda: sum(one.done() for one in asked) == 9, 10)
        assert talk.running == 3
        theirs = [threads.submit(window.ask, "lost phone") for window in others]
        assert wait_until(lambda: talk.running == 3 + 5, 10)
        desk.may_write.set()
        assert all(one.result(20).exchange for one in theirs), "all the others are answered, and it is kept"
        told = [one.result(20) for one in asked]
    assert sum(bool(one.exchange) for one in told) == 3
    refused = [one.hint for one in told if not one.exchange]
    assert len(refused) == 9
    assert set(refused) == {
        "You have 3 questions running already, here or in another window: wait for an answer, or press Stop there."
    }
    assert wait_until(lambda: talk.running == 0)
    assert greedy[-1].ask("lost phone").exchange, "once they are answered, one may ask again"
