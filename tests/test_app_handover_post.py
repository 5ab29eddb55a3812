import hashlib
import hmac
import json
import smtplib
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
import sqlalchemy as sa
from queue_kit import ANNA, BEN, DORA, SECRET, Floor

from app.database import deliveries
from app.settings import HandoverSettings
from app.staff.handover_post import LEASE_S, PAUSES_S, WITHHELD, Post, letter, letter_text
from app.staff.handovers import Handovers


class Hook(HTTPServer):
    """A webhook that keeps what it got, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Got)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Got(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.shutdown()
    hook.server_close()


def begin(floor: Floor, settings: HandoverSettings) -> tuple[Post, int]:
    post = Post(floor.desk.database, settings, floor.staff.holdings.may_read)
    conversation, _ = floor.ask(BEN, "When does the VPN session end?")
    return post, Handovers(floor.desk.database, settings.channels, post.wake).begin(conversation, BEN, "Help").handover


def sent(floor: Floor) -> list[tuple[str, str, int, str]]:
    columns = (deliveries.c.channel, deliveries.c.state, deliveries.c.tries, deliveries.c.problem)
    with floor.desk.database.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(deliveries.c.id))]


def make_due(floor: Floor) -> None:
    with floor.desk.database.writing() as connection:
        connection.execute(deliveries.update().values(due=time.time() - 1))


def test_a_webhook_gets_signed_json(floor: Floor, hook: Hook) -> None:
    settings = HandoverSettings(webhook=hook.address, webhook_secret="s3cret", address="https://desk.example/")
    post, number = begin(floor, settings)

    post.send_due()

    [(headers, body)] = hook.got
    assert headers["x-deskmate-signature"] == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    content = json.loads(body)
    assert content["handover"] == number
    assert content["link"] == f"https://desk.example/staff/queue/handover/{number}"
    assert content["exchanges"][0]["question"] == "When does the VPN session end?"
    assert "10 hours" in content["exchanges"][0]["sources"][0]["quote"]
    assert sent(floor) == [("webhook", "delivered", 1, "")]
    post.send_due()
    assert len(hook.got) == 1


def test_what_rests_on_documents_of_others_stays_out(floor: Floor) -> None:
    conversation, _ = floor.ask(ANNA, "When is the bonus of the managers paid?")
    number = floor.staff.handovers.begin(conversation, ANNA, "").handover
    one = floor.staff.handovers.find(number)
    assert SECRET in str(one.packet)

    outside = letter(one, HandoverSettings(), floor.staff.holdings.may_read)
    inside = letter(one, HandoverSettings(groups=("hr",)), floor.staff.holdings.may_read)

    assert SECRET not in json.dumps(outside)
    assert outside["exchanges"][0]["withheld"]
    assert WITHHELD in letter_text(outside)
    assert SECRET in letter_text(inside)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_fails_is_tried_again_and_no_redirect_followed(floor: Floor, hook: Hook, status: int) -> None:
    hook.status = status
    post, _ = begin(floor, HandoverSettings(webhook=hook.address))

    pause = post.send_due()

    assert sent(floor) == [("webhook", "trying", 1, f"the webhook answered {status}")]
    assert len(hook.got) == 1
    assert pause <= 60
    post.send_due()
    assert len(hook.got) == 1, "not before it is due"
    hook.status = 200
    make_due(floor)
    post.send_due()
    assert sent(floor) == [("webhook", "delivered", 2, "")]


def test_after_many_tries_somebody_decides(floor: Floor, hook: Hook) -> None:
    hook.status = 500
    post, number = begin(floor, HandoverSettings(webhook=hook.address))

    for _ in range(len(PAUSES_S) + 1):
        make_due(floor)
        post.send_due()
    make_due(floor)
    post.send_due()

    assert len(hook.got) == len(PAUSES_S) + 1
    [(_, state, _, problem)] = sent(floor)
    assert (state, problem) == ("failed", "the webhook answered 500")
    hook.status = 200
    [delivery] = floor.staff.handovers.find(number).deliveries
    post.again(delivery.id, DORA)
    post.send_due()
    assert sent(floor) == [("webhook", "delivered", 1, "")]


def test_nobody_listens_and_the_address_is_told_nobody(floor: Floor) -> None:
    post, _ = begin(floor, HandoverSettings(webhook="http://127.0.0.1:9/token-in-path"))

    post.send_due()

    [(_, state, _, problem)] = sent(floor)
    assert (state, problem) == ("trying", "the webhook cannot be reached (ConnectError)")


def test_a_restart_goes_on_where_it_was_and_two_servers_send_once(floor: Floor, hook: Hook) -> None:
    settings = HandoverSettings(webhook=hook.address)
    begin(floor, settings)
    servers = [Post(floor.desk.database, settings, floor.staff.holdings.may_read) for _ in range(4)]

    threads = [threading.Thread(target=server.send_due) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(hook.got) == 1
    assert sent(floor) == [("webhook", "delivered", 1, "")]


def test_a_server_that_died_in_the_middle_of_a_try_loses_its_claim(floor: Floor, hook: Hook) -> None:
    post, _ = begin(floor, HandoverSettings(webhook=hook.address))
    with floor.desk.database.reading() as connection:
        [(delivery, due)] = connection.execute(sa.select(deliveries.c.id, deliveries.c.due)).all()
    assert post._mine(delivery, due)

    post.send_due()
    assert hook.got == []
    with floor.desk.database.writing() as connection:
        connection.execute(deliveries.update().values(due=deliveries.c.due - LEASE_S))
    post.send_due()
    assert len(hook.got) == 1


def test_the_thread_sends_what_it_is_woken_for(floor: Floor, hook: Hook) -> None:
    settings = HandoverSettings(webhook=hook.address)
    with Post(floor.desk.database, settings, floor.staff.holdings.may_read) as post:
        time.sleep(0.1)
        conversation, _ = floor.ask(ANNA, "When does the VPN session end?")
        Handovers(floor.desk.database, settings.channels, post.wake).begin(conversation, ANNA, "")
        until = time.monotonic() + 5
        while not hook.got and time.monotonic() < until:
            time.sleep(0.02)
    assert sent(floor) == [("webhook", "delivered", 1, "")]


class FakeServer:
    """What is done with an SMTP server."""

    sent: ClassVar[list[EmailMessage]] = []
    calls: ClassVar[list[str]] = []
    error: Exception | None = None

    def __init__(self, host: str, port: int, **_: object) -> None:
        FakeServer.calls = [f"{host}:{port}"]

    def __enter__(self) -> "FakeServer":
        return self

    def __exit__(self, *_: object) -> None: ...

    def starttls(self, **_: object) -> None:
        self.calls.append("starttls")

    def login(self, user: str, password: str) -> None:
        self.calls.append(f"login {user} {password}")

    def send_message(self, mail: EmailMessage) -> None:
        if FakeServer.error:
            raise FakeServer.error
        FakeServer.sent.append(mail)


def test_a_mail_is_sent_over_tls_as_plain_text(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtplib, "SMTP", FakeServer)
    monkeypatch.setattr(FakeServer, "sent", [])
    monkeypatch.setattr(FakeServer, "error", None)
    settings = HandoverSettings(mail_to="desk@desk.example", smtp_host="mail.example", smtp_user="u", smtp_password="p")
    post, number = begin(floor, settings)

    post.send_due()

    [mail] = FakeServer.sent
    assert FakeServer.calls == ["mail.example:587", "starttls", "login u p"]
    assert (mail["To"], mail["Message-ID"]) == ("desk@desk.example", f"<handover-{number}@localhost>")
    assert mail.get_content_type() == "text/plain"
    assert "Question: When does the VPN session end?" in mail.get_content()
    assert sent(floor) == [("mail", "delivered", 1, "")]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (smtplib.SMTPAuthenticationError(535, b"user u is unknown"), "the mail server answered 535"),
        (smtplib.SMTPServerDisconnected("gone"), "the mail server cannot be used (SMTPServerDisconnected)"),
        (TimeoutError("slow"), "the mail server cannot be used (TimeoutError)"),
    ],
)
def test_a_mail_server_that_refuses_is_tried_again(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    monkeypatch.setattr(smtplib, "SMTP", FakeServer)
    monkeypatch.setattr(FakeServer, "error", error)
    post, _ = begin(floor, HandoverSettings(mail_to="desk@desk.example"))

    post.send_due()

    assert sent(floor) == [("mail", "trying", 1, problem)]


def test_a_channel_that_is_set_no_more_is_said(floor: Floor) -> None:
    begin(floor, HandoverSettings(webhook="http://127.0.0.1:9/"))
    Post(floor.desk.database, HandoverSettings(), floor.staff.holdings.may_read).send_due()

    assert sent(floor) == [("webhook", "trying", 1, "no webhook is set any more")]
