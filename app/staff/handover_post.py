"""Takes packets of hand-overs to a mailbox and to a webhook: in a thread of its own, so that no chat waits for either.

What is to be sent stands in the database until it is sent, so a restart loses nothing; what went wrong is kept and
shown. Addresses come from settings alone. Answers that rest on documents which the readers there may not read stay out.
"""

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import threading
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, Self

import httpx
import sqlalchemy as sa

from app.accounts import audit
from app.accounts.holdings import Rests
from app.database import Database, deliveries
from app.people import Person
from app.settings import HandoverSettings
from app.staff.handovers import Handover, Handovers
from app.web.pages import count_of, place_of
from ingest.errors import DeskmateError

PAUSES_S = (10, 60, 300, 1_800, 7_200, 21_600)
"""After each try that failed; when they are used up, somebody of the help desk decides."""

LEASE_S = 120
"""How long a try is one server's alone. Several may serve one database."""

LOOK_S = 60
"""Longest time between two looks for what is due."""

TIMEOUT_S = 15

WITHHELD = "(This answer rests on documents that are not for everyone. It is in the queue.)"

MayRead = Callable[[Rests, frozenset[str]], bool]
"""Whether somebody in some groups may see now what rests on some documents."""

log = logging.getLogger("deskmate.handover")


class Post:
    """The thread that sends, as long as a `with` block lasts; it ends in the middle of nothing."""

    def __init__(self, database: Database, settings: HandoverSettings, may_read: MayRead) -> None:
        """Put the parts together.

        Args:
            database: where what is to be sent stands.
            settings: where to.
            may_read: who may read what, asked anew whenever something is sent.
        """
        self._database = database
        self._settings = settings
        self._may_read = may_read
        self._woken = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deskmate-post", daemon=True)

    def __enter__(self) -> Self:
        """Begin with what is due."""
        if self._settings.channels:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End after the try that is going on."""
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout=TIMEOUT_S)

    def wake(self) -> None:
        """There is something new."""
        self._woken.set()

    def again(self, delivery: int, person: Person) -> None:
        """Try once more what has failed."""
        row = {"state": "trying", "tries": 0, "due": time.time()}
        with self._database.writing() as connection:
            failed = (deliveries.c.id == delivery, deliveries.c.state == "failed")
            if connection.execute(deliveries.update().where(*failed).values(row)).rowcount:
                audit.note(connection, person.id, "handover.sent-again", {"delivery": delivery})
        self.wake()

    def send_due(self) -> float:
        """Send what is due, and say in how many seconds to look again."""
        now = time.time()
        columns = (deliveries.c.id, deliveries.c.handover, deliveries.c.channel, deliveries.c.tries, deliveries.c.due)
        trying = sa.select(*columns).where(deliveries.c.state == "trying").order_by(deliveries.c.due)
        with self._database.reading() as connection:
            rows = connection.execute(trying.limit(50)).all()
        for row in rows:
            if row.due <= now and not self._stopped.is_set() and self._mine(row.id, row.due):
                self._note(row.id, row.tries + 1, self._send(row.channel, row.handover))
        later = [float(row.due) for row in rows if row.due > now]
        return min([float(LOOK_S), *(due - now for due in later)])

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                pause = self.send_due()
            except Exception:  # the outermost loop: whatever went wrong now, the next packet is tried all the same
                log.exception("hand-overs could not be sent")
                pause = LOOK_S
            self._woken.wait(pause)
            self._woken.clear()

    def _mine(self, delivery: int, due: float) -> bool:
        """Whether this server is the one to try; a server that dies while it tries loses its claim after a while."""
        claim = deliveries.update().where(deliveries.c.id == delivery, deliveries.c.due == due)
        with self._database.writing() as connection:
            return connection.execute(claim.values(due=time.time() + LEASE_S)).rowcount == 1

    def _send(self, channel: str, number: int) -> str:
        """Send a packet; return what is wrong, or nothing."""
        try:
            handover = Handovers(self._database).find(number)
        except DeskmateError as error:
            return str(error)
        content = letter(handover, self._settings, self._may_read)
        match channel:
            case "mail" if self._settings.mail_to:
                return send_mail(content, self._settings)
            case "webhook" if self._settings.webhook:
                return post_webhook(content, self._settings)
        return f"no {channel} is set any more"

    def _note(self, delivery: int, tries: int, problem: str) -> None:
        values: dict[str, Any] = {"state": "delivered", "tries": tries, "problem": ""}
        if problem:
            over = tries > len(PAUSES_S)
            pause = 0 if over else PAUSES_S[tries - 1]
            values = {"state": "failed" if over else "trying", "tries": tries, "due": time.time() + pause}
            values["problem"] = problem[:200]
            log.warning("a hand-over could not be sent (try %d): %s", tries, problem)
        with self._database.writing() as connection:
            connection.execute(deliveries.update().where(deliveries.c.id == delivery).values(values))


def letter(handover: Handover, settings: HandoverSettings, may_read: MayRead) -> dict[str, Any]:
    """What is sent of a hand-over, as JSON can hold it."""
    groups = frozenset(settings.groups)
    said = []
    for one in handover.packet.exchanges:
        shown = may_read(one.rests, groups)
        sources = [{"place": place_of(s.doc, s.page), "heading": s.heading, "quote": s.quote} for s in one.sources]
        said.append(
            {
                "question": one.question,
                "answer": one.answer if shown else "",
                "refused": one.refused,
                "confidence": one.confidence,
                "sources": sources if shown else [],
                "withheld": not shown,
            }
        )
    return {
        "event": "handover",
        "handover": handover.id,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(handover.at)),
        "note": handover.packet.note,
        "exchanges": said,
        "masked": dict(handover.packet.masked),
        "link": f"{settings.address.rstrip('/')}/staff/queue/handover/{handover.id}" if settings.address else "",
    }


def letter_text(content: dict[str, Any]) -> str:
    """The same for people, as plain text."""
    lines = ["Somebody asks for a person of the help desk.", ""]
    if content["note"]:
        lines += ["What they say:", content["note"], ""]
    for one in content["exchanges"]:
        lines += [f"Question: {one['question']}", ""]
        lines += [WITHHELD if one["withheld"] else f"Answer (confidence {one['confidence']:.0%}): {one['answer']}", ""]
        for source in one["sources"]:
            lines += [f"  {source['place']}: {' '.join(source['quote'].split())}", ""]
    if taken := sum(content["masked"].values()):
        lines += [f"{count_of(taken, 'piece')} of personal data {'was' if taken == 1 else 'were'} taken out."]
    lines += [f"Take it here: {content['link']}" if content["link"] else "Take it in the queue of the help desk."]
    return "\n".join(lines) + "\n"


def send_mail(content: dict[str, Any], settings: HandoverSettings) -> str:
    """Send a hand-over by mail; return what went wrong, or nothing."""
    mail = EmailMessage()
    mail["Subject"] = f"Somebody asks for a person (hand-over {content['handover']})"
    mail["From"], mail["To"], mail["Date"] = settings.mail_from, settings.mail_to, formatdate()
    mail["Message-ID"] = f"<handover-{content['handover']}@{settings.mail_from.rpartition('@')[2] or 'localhost'}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(letter_text(content))
    secure = ssl.create_default_context()
    try:
        server: smtplib.SMTP
        if settings.smtp_security == "tls":
            server = smtplib.SMTP_SSL(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S, context=secure)
        else:
            server = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S)
        with server:
            if settings.smtp_security == "starttls":
                server.starttls(context=secure)
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:  # its text may quote what was sent
        return f"the mail server answered {error.smtp_code}"
    except (OSError, smtplib.SMTPException) as error:
        return f"the mail server cannot be used ({type(error).__name__})"
    return ""


def post_webhook(content: dict[str, Any], settings: HandoverSettings) -> str:
    """Post a hand-over to the webhook, whatever it answers; return what went wrong, or nothing."""
    body = json.dumps(content, ensure_ascii=False).encode()
    headers = {"content-type": "application/json", "user-agent": "deskmate"}
    if secret := settings.webhook_secret.get_secret_value():
        headers["x-deskmate-signature"] = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    try:
        with (
            httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as client,
            client.stream("POST", settings.webhook, content=body, headers=headers) as answer,  # its body is not read
        ):
            return "" if answer.is_success else f"the webhook answered {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:  # its text may hold the address, which may hold a secret
        return f"the webhook cannot be reached ({type(error).__name__})"
