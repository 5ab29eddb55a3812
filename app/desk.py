"""The composition root for everything that answers: settings to embedder, searcher, model and Answerer, each once.

Nothing loads before it is used, so a command pays only for what it needs.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.answer import Answer, Answerer, AnswerLimits, Event, Mode
from app.llm import ChatModel
from app.settings import Settings
from finetune.template import Turn
from finetune.voice import Voice, load_voice
from ingest.embedded import MINILM, fetch, verify
from ingest.errors import DeskmateError
from retrieval.build import Ingest, Progress
from retrieval.chunks import DocumentText
from retrieval.embed import Embedder, HashingEmbedder, SentenceEmbedder
from retrieval.rerank import make_reranker
from retrieval.search import Searcher
from retrieval.store import Store


@dataclass(frozen=True, slots=True)
class DeskStatus:
    """What a desk answers with."""

    model: str
    adapter: str | None
    generation: str
    documents: int
    chunks: int


class Desk:
    """One workspace with its settings, ready to ingest, search and answer."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.workspace = settings.workspace
        self.store = Store(self.workspace)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder; its weights load with the first text."""
        name = self.settings.retrieval.embedder
        options = {"dtype": self.settings.retrieval.dtype, "batch_tokens": self.settings.retrieval.batch_tokens}
        if name == "hashing":
            return HashingEmbedder()
        if name == MINILM.name:
            fetch(MINILM, self.settings.models_folder)
            return SentenceEmbedder(verify(MINILM, self.settings.models_folder), name, **options)  # type: ignore[arg-type]
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise DeskmateError(
                f"the embedder {name!r} is not on this machine; set retrieval.embedder to a folder with a "
                f"sentence-transformers model, or to {MINILM.name}"
            )
        return SentenceEmbedder(folder, folder.name, **options)  # type: ignore[arg-type]

    @cached_property
    def searcher(self) -> Searcher:
        """The search over the generation that serves."""
        settings = self.settings.retrieval
        return Searcher(self.store, self.embedder, settings, make_reranker(settings.reranker))

    @cached_property
    def voice(self) -> Voice:
        """The house style."""
        return load_voice(self.settings.chat.voice)

    @cached_property
    def model(self) -> ChatModel:
        """The chat model; its weights load with `load` or the first answer."""
        chat = self.settings.chat
        match chat.backend:
            case "echo":
                from app.llm import EchoModel

                return EchoModel()
            case "openai":
                from app.remote import OpenAIModel

                return OpenAIModel(chat.server, chat.server_model, chat.server_key, timeout=chat.server_seconds)
            case "local":
                from app.local import LocalModel

                return LocalModel(self.settings.model, self.settings.models_folder)

    @cached_property
    def answerer(self) -> Answerer:
        """The one Answerer."""
        chat = self.settings.chat
        limits = AnswerLimits(chat.passages, chat.passage_tokens, chat.answer_tokens, chat.relevance)
        return Answerer(self.model, self.searcher, self.voice, limits, lambda text: len(self.embedder.offsets(text)))

    def ingest(self, progress: Progress) -> Ingest:
        """Ingestion into this workspace."""
        return Ingest(self.workspace, self.settings.ingest, self.embedder, progress)

    # What the chat needs, as `app.chat_ui.Desk` declares it.

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that can be served now."""
        return self.answerer.modes

    @property
    def default_mode(self) -> Mode:
        """The first of them."""
        return self.modes[0]

    def stream(
        self,
        question: str,
        *,
        mode: Mode,
        groups: frozenset[str],
        history: Sequence[Turn] = (),
        cancel: threading.Event | None = None,
    ) -> Iterator[Event]:
        """See `Answerer.stream`."""
        return self.answerer.stream(question, mode=mode, groups=groups, history=history, cancel=cancel)

    def answer(self, question: str, *, mode: Mode | None = None, groups: frozenset[str] = frozenset()) -> Answer:
        """See `Answerer.answer`."""
        return self.answerer.answer(question, mode=mode or self.default_mode, groups=groups)

    def document(self, doc: str, groups: frozenset[str]) -> DocumentText | None:
        """A document's text for an asker who may read it."""
        return self.searcher.document(doc, groups)

    def status(self) -> DeskStatus:
        """What this desk answers with."""
        manifest = self.searcher.open().manifest
        return DeskStatus(self.model.name, None, manifest.generation, manifest.documents, manifest.chunks)
