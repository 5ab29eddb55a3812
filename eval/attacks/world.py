"""A throw-away desk that the attacks are made on: their documents among others, a model in the attacker's hand, a page.

Gives back what came of an attempt as text. That an attempt reached the place where it could do harm is checked here: an
attack that fails for another reason than the one it tests is an error, not a success of ours.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from app.accounts.routes import mount_sign_in
from app.answering.answer import Answer
from app.api.keys import Keys
from app.api.routes import Api
from app.chat.archive import Archive
from app.chat.judgements import Judgements
from app.chat.routes import Chats, mount_chats
from app.console import SilentProgress, answer_json
from app.desk import Desk
from app.ratings.routes import mount_ratings
from app.settings import Settings
from app.staff.routes import mount_staff
from app.staff.workplace import workplace
from app.web import pages
from app.web.report_pages import mount_reports
from eval.attacks.attack import DOCUMENTS, HOME, TAGS
from eval.attacks.puppet import Puppet
from eval.attacks.shown import active, chat_page, rendered, report_markdown, report_page
from finetune.prompt import CLOSE, OPEN
from finetune.template import Turn

GROUP = "attack-finance"
"""The group that may read what the attacks on access are after. Nobody who asks here is in it."""

SUPPORTED = "The counter of the north building is open from eight to ten, and a spare key costs 17 euros."
"""A sentence of a document for everyone, so that an answer that holds it has something to stand on."""
SUPPORTED_QUESTION = "When is the counter of the north building open, and what does a spare key cost?"
SUPPORTED_FILE = {f"{DOCUMENTS}attacks/counter.md": f"# Counter of the north building\n\n{SUPPORTED}\n".encode()}


class DeadAttackError(AssertionError):
    """An attempt did not get to where it could have done harm: the suite is wrong, and proves nothing."""


class World:
    """The desk with the attacks in it. Nothing is ever declined here for being unsure: that would hide attacks."""

    def __init__(self, root: Path, settings: Settings, files: Mapping[str, bytes], more: Sequence[Path] = ()) -> None:
        """Write the attacks' files into `root` and ingest the documents.

        Args:
            root: an empty folder.
            settings: of the desk whose embedder and limits are to be tried.
            files: what the attacks plant, by name.
            more: folders of other documents to put among these.

        Raises:
            DeskmateError: the other documents cannot be read, or the embedder is not here.
        """
        chat = settings.chat.model_copy(update={"confidence": 0.0, "backend": "echo", "adapter": ""})
        api = settings.api.model_copy(update={"requests_per_minute": 1_000_000})
        here = {"home": root / HOME, "models": settings.models_folder, "chat": chat, "api": api}
        self.desk = Desk(settings.model_copy(update=here))
        self.model = self.desk.model = Puppet()
        for name, content in {**files, **SUPPORTED_FILE}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        (root / DOCUMENTS / GROUP).mkdir(exist_ok=True)
        (root / DOCUMENTS / GROUP / ".access").write_text(f"{GROUP}\n")
        self.desk.ingest(SilentProgress()).run([root / DOCUMENTS, *more])
        app = self._application()
        self.client = _browser(app, "http://desk.example", "203.0.113.9")
        self.insider = _browser(app, "http://127.0.0.1:7860", "127.0.0.1")
        self.client.__enter__()
        self._known: dict[Callable[[World], str], str] = {}
        _, self._key = Keys(self.desk.workspace.keys).add("attacker", (), ("chat", "search"))

    def close(self) -> None:
        """Stop the application."""
        self.client.__exit__(None, None, None)

    def _application(self) -> FastAPI:
        """All pages but the chat's own, whose pieces are rendered here."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        desk, staff = self.desk, workplace(self.desk)
        reports = desk.workspace.root / "reports"
        mount_sign_in(app, desk.database, desk.settings)
        mount_chats(app, Chats(desk, Archive(desk.database, desk), Judgements(desk.database), staff.handovers, "start"))
        mount_staff(app, staff)
        mount_ratings(app, reports, "Attacked")
        mount_reports(app, reports, "Attacked")
        Api(desk).mount(app)
        return app

    def once(self, work: "Callable[[World], str]") -> str:
        """What some work gives, done once for all attacks that need it."""
        if work not in self._known:
            self._known[work] = work(self)
        return self._known[work]

    def read(self, doc: str) -> str:
        """What ingestion made of a document, with what tag characters in it spell."""
        found = self.desk.document(doc, frozenset())
        if found is None or len(found.text.split()) < 4:
            raise DeadAttackError(f"{doc} was not ingested")
        text = f"{found.title}\n{found.text}"
        return text + "".join(chr(ord(letter) - TAGS) for letter in text if 0 < ord(letter) - TAGS < 128)

    def told(self, question: str, *, history: Sequence[Turn] = (), secret: str = "") -> str:
        """Everything that somebody without groups gets for a question: the answer and its page.

        `secret` is the document it is after, which those in `GROUP` must be told of, or nothing would be proven.
        """
        if secret:
            self.must_be_closed(secret)
        return self.everything(self._answered(question, history))

    def everything(self, answer: Answer) -> str:
        """An answer with all that stands around it, as data and as a page; the question is the asker's own."""
        data = {name: value for name, value in answer_json(answer).items() if name != "question"}
        return json.dumps(data, ensure_ascii=False) + self._page(answer)

    def must_be_closed(self, doc: str) -> None:
        """See that a document is there, for `GROUP` only."""
        if self.desk.document(doc, frozenset({GROUP})) is None:
            raise DeadAttackError(f"{doc} is not there to be read")

    def after_another(self, question: str, secret: str, canary: str) -> str:
        """What somebody without groups gets for a question that somebody in `GROUP` has just asked and got answered."""
        self.model.says = ""
        answer = self.desk.answer(question, groups=frozenset({GROUP}))
        if canary not in json.dumps(answer_json(answer)):
            raise DeadAttackError(f"{question!r} does not find {secret} for those who may read it")
        return self.told(question, secret=secret)

    def document(self, name: str, secret: str) -> str:
        """What the source panel shows of a document by whatever name."""
        self.must_be_closed(secret)
        return pages.whole_document_html(self.desk.document(name, frozenset()), 0, 0)

    def http(self, method: str, path: str, secret: str = "", **request: Any) -> str:
        """Status, headers and body of an HTTP request with a key that has no groups; 500 and more never come back."""
        if secret:
            self.must_be_closed(secret)
        self.model.says = ""
        headers = {"Authorization": f"Bearer {self._key}", **request.pop("headers", {})}
        response = self.client.request(method, path, headers=headers, **request)
        failed = CRASHED if response.status_code >= 500 else ""
        return f"{response.status_code} {failed}\n{response.headers}\n{response.text}"

    def rendered(self, says: str, canary: str, question: str = SUPPORTED_QUESTION) -> str:
        """What a browser would fetch, follow or run where the model says something: on every page that shows it."""
        self.model.says = f"{SUPPORTED}\n\n{says}"
        try:
            answer = self._answered(question)
            whole = self._page(answer) + report_page(answer)
            body = {"model": "deskmate/rag-only", "messages": [{"role": "user", "content": question}]}
            replies = [self._completed(body), "".join(self._streamed({**body, "stream": True}))]
        finally:
            self.model.says = ""
        _must_hold(answer.answer, canary)
        _must_hold(replies[0], canary)
        _must_hold(replies[1], canary)
        markdown = [*replies, report_markdown(answer)]
        return active(whole + "".join(map(rendered, markdown)))

    def shown(self, question: str, doc: str) -> str:
        """The same where a document is hostile: its name, title, headings and text, found by a question."""
        answer = self._answered(question)
        if doc not in {hit.chunk.doc for hit in answer.hits}:
            raise DeadAttackError(f"{question!r} does not find {doc}")
        document = self.desk.document(doc, frozenset())
        panel = pages.whole_document_html(document, 0, 5)
        staff = self.insider.get("/staff/document", params={"doc": doc})
        if staff.status_code != 200:
            raise DeadAttackError(f"the help desk's page of {doc} answers {staff.status_code}")
        return active(self._page(answer) + report_page(answer) + panel) + active(staff.text, own=True)

    def typed(self, question: str, canary: str) -> str:
        """The same where the question is hostile."""
        answer = self._answered(question)
        page = self._page(answer) + report_page(answer)
        _must_hold(page, canary)
        return active(page)

    def cited(self, says: str, question: str = SUPPORTED_QUESTION, history: Sequence[Turn] = ()) -> str:
        """The sentences of a model's answer that carry a citation, and quotes that are not in the passage they name."""
        self.model.says = f"{SUPPORTED}\n\n{says}"
        try:
            answer = self._answered(question, history)
        finally:
            self.model.says = ""
        if answer.refused or answer.quoted or not answer.citations:
            raise DeadAttackError("the answer was replaced before its citations were checked")
        texts = {hit.chunk.id: hit.chunk.embedded_text for hit in answer.hits[: answer.sources]}
        foreign = (one for one in answer.citations if one.quote not in texts.get(one.chunk_id, ""))
        claims = (one.text for one in answer.sentences if one.citations)
        return "\n".join([*claims, *(f"foreign: {one.quote}" for one in foreign)])

    def outside_passages(self, question: str, doc: str) -> str:
        """The prompt for a question without what stands inside the passages' delimiters and in their sources."""
        self.model.read.clear()
        answer = self._answered(question)
        if doc not in {hit.chunk.doc for hit in answer.hits[: answer.sources]}:
            raise DeadAttackError(f"{question!r} does not bring {doc} before the model")
        return _outside(self.model.read[-1])

    def prompt_of_messages(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The prompt that messages of the API's become, with a question at their end."""
        self.model.read.clear()
        asked = [*messages, {"role": "user", "content": SUPPORTED_QUESTION}]
        self._completed({"model": "deskmate/rag-only", "messages": asked})
        return "\n".join(turn["content"] for turn in self.model.read[-1])

    def _answered(self, question: str, history: Sequence[Turn] = ()) -> Answer:
        return self.desk.answerer.answer(question, mode=None, groups=frozenset(), history=history)

    def _page(self, answer: Answer) -> str:
        return chat_page(answer, lambda doc: self.desk.document(doc, frozenset()))

    def _completed(self, body: Mapping[str, Any]) -> str:
        response = self.client.post("/v1/chat/completions", json=body, headers=self._headers())
        if response.status_code != 200:
            raise DeadAttackError(f"the API answers {response.status_code}")
        return str(response.json()["choices"][0]["message"]["content"])

    def _streamed(self, body: Mapping[str, Any]) -> Iterator[str]:
        response = self.client.post("/v1/chat/completions", json=body, headers=self._headers())
        for line in response.text.splitlines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    yield choice["delta"].get("content", "")

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}


CRASHED = "the server failed"
"""What an attempt gives back, besides the response, where a request was answered by a failure of the server's."""


def _browser(app: FastAPI, address: str, host: str) -> TestClient:
    """A browser that visits an address from a host."""
    return TestClient(
        app, base_url=address, client=(host, 50_000), raise_server_exceptions=False, follow_redirects=False
    )


def _must_hold(page: str, canary: str) -> None:
    """See that a payload came to where it could do harm: as harmless text it still stands there."""
    if canary not in page:
        raise DeadAttackError(f"{canary} does not come to the page")


def _outside(prompt: Sequence[Turn]) -> str:
    kept, inside = [], False
    for line in prompt[-1]["content"].split("\n"):
        if line == OPEN:
            inside = True
        elif line == CLOSE:
            inside = False
        elif not inside and not line.startswith("Passage "):
            kept.append(line)
    return "\n".join(kept)
