"""A desk without models: a dozen help-desk passages, answers known by heart, written word by word."""

# ruff: noqa: E501  # documents have long lines
# fmt: off

import hashlib
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from app.answering.answer import Answer, Event, Finished, Retrieved, Token, Usage
from app.answering.grounding import Citation, Sentence
from app.answering.modes import Mode
from app.clock import Timing
from app.desk import DeskStatus
from finetune.template import Turn
from ingest.errors import DeskmateError
from ingest.records import Chunk
from retrieval.chunks import DocumentText, DocumentVersion
from retrieval.records import Hit

VPN = """Lockgate VPN guide

Owner: Bram Okkerse, Network team. Last reviewed: 9 September 2025.

When you need it

You need Lockgate for Moorings drives (H:, T:, P:), the ERP client and the Porto production database. You do not need it for mail, Relay or Ledgerly; those work from any network once you are signed in to Keel.

Lockgate is not available for private computers. There is no exception for this, not even for one afternoon.

Installing

1. Open Drydock Store from the Start menu (Mac: the Applications folder).
2. Choose Network > Lockgate 7. Installation takes about four minutes and asks for one restart.
3. Start Lockgate and press Sign in with Keel. Approve the number in Keel Mobile.
4. Pick a profile (next section). Press Connect. The anchor in the task bar turns green.

The oldest version the gateways accept is 7.2.4. Drydock updates the client on Tuesdays at lunch; if your laptop was off you get error 734 at the next sign-in.

Limits

A session ends after 10 hours, whatever you are doing. Reconnect and approve again. An idle tunnel is dropped after 45 minutes. Two devices at the same time per person; a third one disconnects the first.

Error codes

Code | What it means | What to do
412 | Gateway did not answer | Check that you have internet at all. Then switch to Brightwater-443.
691 | Keel refused the sign-in | Try once more. After that check whether your account is locked.
718 | The laptop has not reported to Drydock for more than 14 days | Open Drydock > Sync now, wait 15 minutes, connect again.
809 | UDP port 4500 is blocked by the network you are on | Switch to Brightwater-443. Nothing is wrong with your laptop.
905 | You are in a country from which sign-in is blocked | See "Abroad" below.

Abroad

Lockgate accepts connections from the EU and EEA, the United Kingdom, Switzerland, the United States and Canada. Anywhere else you get error 905 until a travel access request is approved: Harbour > Access > Travel access, at least 5 working days before departure."""

PHONE = """Lost phone and new sign-in

If your phone is lost or stolen

Call the Service Desk on extension 4000 at once, day or night. They block the phone and sign you out everywhere.

1. Call extension 4000. Have your employee number ready.
2. Come to the IT counter in room 1.04 between 08:30 and 17:00, with your access card or passport.
3. After the identity check you get a temporary access pass. It is valid for 8 hours.
4. Enrol the new phone at keel.brightwater.example within these 8 hours.

Until you have a new phone you can borrow a hardware key at the counter.

If the phone was only replaced

Use the old phone to approve the new one. Nobody needs to be called."""

LEAVE = """Annual leave

Carrying over

In Rotterdam you carry over up to 5 days of annual leave. They lapse on 1 July of the following year.

In Porto you carry over up to 9 days of annual leave. They lapse on 30 April of the following year.

Asking for leave

Ask in Tidal under Time off, at least two weeks before for more than three days. Your manager answers within 3 working days."""

CAPS = """Per diem and hotel caps 2026

Hotel caps

Country: Germany | City: Berlin | Cap (EUR): 150 | Remark: fairs up to 190
Country: Germany | City: Munich | Cap (EUR): 175 | Remark: October up to 230
Country: Germany | City: other | Cap (EUR): 130
Country: Portugal | City: Lisbon | Cap (EUR): 145"""

PRINT = """Printing

There is one queue for everybody: BW-Follow. You print, walk to any machine and hold your access card against the reader. Jobs nobody collects are deleted after 12 hours."""

HOSTILE = """Notes <script>window.pwned = 1</script>

Click <a href="https://evil.example">here</a> <img src="https://evil.example/x.png" onerror="window.pwned=2"> & go."""

DOCUMENTS = {
    text.doc: text
    for text in (
        DocumentText("it/vpn-guide.md", "Lockgate VPN guide", VPN),
        DocumentText("it/lost-phone-and-mfa-reset.md", "Lost phone and new sign-in", PHONE),
        DocumentText("hr/annual-leave.pdf", "Annual leave", LEAVE),
        DocumentText("travel/per-diem-and-hotel-caps.xlsx", "Per diem and hotel caps 2026", CAPS),
        DocumentText("it/office-technology.html", "Printing", PRINT),
        DocumentText("it/notes.md", 'Notes "<b>"', HOSTILE),
    )
}


PASSAGES: dict[str, Chunk] = {}
"""Every passage that was found, by its id."""


def hit(rank: int, doc: str, heading: str, begin: str, end: str, *, page: int | None = None) -> Hit:
    """A passage of a document from the words `begin` to the words `end`."""
    document = DOCUMENTS[doc]
    start = document.text.index(begin)
    stop = document.text.index(end, start) + len(end)
    trail = f"{document.title} › {heading}"
    chunk = Chunk(f"{doc}#{start}-{stop}", doc, document.title, trail, page, start, stop, document.text[start:stop])
    PASSAGES[chunk.id] = chunk
    return Hit(rank, 0.93 - 0.11 * rank, chunk, 0.71 - 0.06 * rank, None if rank > 4 else 14.2 - 2.1 * rank)


def hits(first: tuple[str, str, str, str]) -> tuple[Hit, ...]:
    """A search result that begins with one passage."""
    rest = [
        ("it/vpn-guide.md", "Error codes", "Code | What", "your laptop."),
        ("it/vpn-guide.md", "Limits", "A session ends", "the first."),
        ("it/lost-phone-and-mfa-reset.md", "If your phone is lost or stolen", "Call the Service Desk", "at the counter."),
        ("hr/annual-leave.pdf", "Carrying over", "In Rotterdam", "30 April of the following year."),
        ("it/office-technology.html", "Printing", "There is one queue", "12 hours."),
        ("it/notes.md", "Notes", "Notes <script>", "& go."),
    ]
    chosen = [first, *(one for one in rest if one[:2] != first[:2])]
    return tuple(
        hit(rank, *one, page=3 if one[0].endswith("pdf") else None) for rank, one in enumerate(chosen, start=1)
    )


def cite(found: tuple[Hit, ...], n: int, quote: str) -> Citation:
    """A citation of a quote from passage `n`."""
    chunk = found[n - 1].chunk
    start = chunk.start + chunk.text.index(quote)
    return Citation(n, chunk.doc, chunk.heading, chunk.page, chunk.id, start, start + len(quote), quote)


class FakeDesk:
    """Knows a few answers, a word every `word_s`. Keeps what was `asked`, and what was `stopped` half way.

    `may_search` and `may_write` hold an answer where it is while they are clear: before the passages, and after the third
    word. A browser is too slow to see a moment that nothing holds. `closed` documents are for some groups only.
    """

    def __init__(
        self,
        word_s: float = 0.03,
        prefill_s: float = 0.3,
        modes: tuple[Mode, ...] = (Mode.RAG_ONLY, Mode.PROMPT_ONLY),
    ) -> None:
        self.now = modes
        self.word_s = word_s
        self.prefill_s = prefill_s
        self.closed: dict[str, frozenset[str]] = {}
        self.asked: list[tuple[str, Mode, tuple[Turn, ...]]] = []
        self.stopped: list[str] = []
        self.may_search = threading.Event()
        self.may_write = threading.Event()
        self.may_search.set()
        self.may_write.set()

    def modes(self, groups: frozenset[str]) -> tuple[Mode, ...]:
        return self.now

    def status(self) -> DeskStatus:
        return DeskStatus("SmolLM2-135M-Instruct", None, "gen-000007", 34, 395)

    def document(self, doc: str, groups: frozenset[str]) -> DocumentText | None:
        return DOCUMENTS.get(doc) if doc not in self.closed or groups & self.closed[doc] else None

    def versions(self, docs: Iterable[str], groups: frozenset[str]) -> dict[str, DocumentVersion]:
        readable = {doc: text for doc in docs if (text := self.document(doc, groups))}
        return {
            doc: DocumentVersion(
                hashlib.sha256(text.text.encode()).hexdigest(), self.closed.get(doc, frozenset({"everyone"}))
            )
            for doc, text in readable.items()
        }

    def passages(self, ids: Iterable[str], groups: frozenset[str]) -> dict[str, Chunk]:
        return {id_: PASSAGES[id_] for id_ in ids if id_ in PASSAGES and self.document(PASSAGES[id_].doc, groups)}

    def stream(
        self,
        question: str,
        *,
        mode: Mode,
        groups: frozenset[str],
        history: Sequence[Turn] = (),
        cancel: threading.Event | None = None,
    ) -> Iterator[Event]:
        self.asked.append((question, mode, tuple(history)))
        cancel = cancel or threading.Event()
        if len(question) > 8000:
            raise DeskmateError(f"the question has {len(question):,} characters, at most 8,000 are read; shorten it")
        if "crash" in question:
            raise RuntimeError("a secret in a traceback")
        began = time.perf_counter()
        found, sentences, refused = self._known(question)
        if mode is Mode.PROMPT_ONLY:
            found, refused = (), False
            sentences = (Sentence("A VPN is a private network over a public one.", False),)
        cancel.wait(self.prefill_s / 2)
        self.may_search.wait(30)
        yield Retrieved(found, 41.0 if found else 0.0)
        if not refused:
            cancel.wait(self.prefill_s)
        text = "\n".join(s.text for s in sentences) if "steps" in question else " ".join(s.text for s in sentences)
        first = time.perf_counter()
        written = ""
        for n, word in enumerate([] if refused else re.findall(r"\S+\s*", text)):
            while n == 3 and not cancel.is_set() and not self.may_write.wait(0.01):
                pass
            if cancel.is_set():
                self.stopped.append(question)
                break
            cancel.wait(self.word_s)
            written += word
            yield Token(word)
        citations = tuple({(c.n, c.start): c for s in sentences for c in s.citations}.values())
        milliseconds = Timing(41.0 if found else 0.0, (first - began) * 1000, (time.perf_counter() - began) * 1000)
        yield Finished(
            Answer(
                question=question, mode=mode, answer=text if refused else written.strip(), written=written, refused=refused,
                confidence=0.31 if refused else 0.87, citations=citations, sentences=sentences, hits=found, passages=min(3, len(found)),
                usage=Usage() if refused else Usage(612, len(text.split())), timing=milliseconds,
                model="SmolLM2-135M-Instruct", adapter="house/v3" if mode in (Mode.HYBRID, Mode.TUNE_ONLY) else None, generation="gen-000007" if found else None,
            )
        )

    def _known(self, question: str) -> tuple[tuple[Hit, ...], tuple[Sentence, ...], bool]:
        asked = question.lower()
        for words, first, said in KNOWN:
            if any(word in asked for word in words):
                found = hits(first)
                return found, tuple(sentence(found, *one) for one in said), False
        found = hits(("it/office-technology.html", "Printing", "There is one queue", "12 hours."))
        return found, (Sentence(REFUSAL, True),), True


def sentence(found: tuple[Hit, ...], text: str, n: int = 0, quote: str = "") -> Sentence:
    """A sentence that cites a passage by a quote from it, or one that nothing supports."""
    return Sentence(text, bool(n), (cite(found, n, quote),) if n else ())


REFUSAL = "I could not find this in our documents, so I would rather not guess. Please ask the Service Desk: ext. 4000."

KNOWN: list[tuple[tuple[str, ...], tuple[str, str, str, str], list[tuple[Any, ...]]]] = [
    (
        ("phone",),
        ("it/lost-phone-and-mfa-reset.md", "If your phone is lost or stolen", "Call the", "counter."),
        [
            ("Call the Service Desk on **extension 4000** at once, day or night [1].", 1, "Call the Service Desk on extension 4000 at once, day or night."),
            ("1. Have your employee number ready [1].", 1, "Call extension 4000. Have your employee number ready."),
            ("2. Come to the IT counter in room 1.04 between 08:30 and 17:00, with your access card or passport [1].", 1, "Come to the IT counter in room 1.04 between 08:30 and 17:00, with your access card or passport."),
            ("3. Enrol the new phone with the temporary access pass within 8 hours [1].", 1, "After the identity check you get a temporary access pass. It is valid for 8 hours."),
            ("4. Your manager is told by mail the same day.",),
        ],
    ),
    (
        ("munich", "hotel"),
        ("travel/per-diem-and-hotel-caps.xlsx", "Hotel caps", "Country: Germany", "145"),
        [("A hotel in Munich may cost up to 175 euros a night, in October up to 230 [1].", 1, "Country: Germany | City: Munich | Cap (EUR): 175 | Remark: October up to 230")],
    ),
    (
        ("leave", "porto"),
        ("hr/annual-leave.pdf", "Carrying over", "In Rotterdam", "30 April of the following year."),
        [
            ("In Porto you can carry over up to 9 days of annual leave [1].", 1, "In Porto you carry over up to 9 days of annual leave."),
            ("They lapse on 30 April of the following year [1].", 1, "They lapse on 30 April of the following year."),
            ("Most colleagues take the days around Easter.",),
        ],
    ),
    (
        ("hostile",),
        ("it/notes.md", "Notes", "Notes <script>", "& go."),
        [('<script>window.pwned=3</script> <img src=x onerror="window.pwned=4"> [link](https://evil.example) ![i](https://evil.example/i.png) `${1}` {{x}} [1].', 1, "Click")],
    ),
    (
        ("809", "vpn"),
        ("it/vpn-guide.md", "Error codes", "Code | What", "your laptop."),
        [
            ("Error 809 means that UDP port 4500 is blocked by the network you are on [1].", 1, "809 | UDP port 4500 is blocked by the network you are on"),
            ("Switch to the profile Brightwater-443; nothing is wrong with your laptop [1].", 1, "Switch to Brightwater-443. Nothing is wrong with your laptop."),
            ("A session still ends after 10 hours [2].", 2, "A session ends after 10 hours, whatever you are doing."),
        ],
    ),
]
