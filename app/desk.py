"""The composition root for everything that answers: settings to embedder, searcher, model and Answerer, each once.

Nothing loads before it is used, so a command pays only for what it needs.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from app.answering.answer import Answer, Answerer, Event
from app.answering.confidence import Confidence, confidence_for
from app.answering.corrected import Corrections, none
from app.answering.decision import AnswerLimits
from app.answering.modes import How, Mode
from app.answering.serving import Documents, Serving
from app.database import Database, open_database
from app.loop.jobs import Jobs
from app.loop.sources import Sources
from app.loop.uploads import Uploads
from app.models.llm import ChatModel
from app.settings import Settings
from finetune.adapters.card import Adapter
from finetune.adapters.registry import Registry
from finetune.template import Turn
from finetune.voice import Voice, load_voice
from ingest.embedded import MINILM, fetch, verify
from ingest.errors import DeskmateError
from ingest.records import Chunk
from retrieval.build import Ingest, Progress
from retrieval.chunks import DocumentText, DocumentVersion
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

    def __init__(self, settings: Settings, adapter: str = "") -> None:
        """Prepare a workspace.

        Args:
            settings: resolved.
            adapter: one to be served whatever is promoted: a folder, `name` or `name/vN`.
        """
        self.settings = settings
        self._named = adapter
        self.workspace = settings.workspace
        self.store = Store(self.workspace)
        self.corrections: Corrections = none  # set where people are served: evaluation measures the model
        self._named_answerer: tuple[str, Answerer | None] = ("", None)

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
    def registry(self) -> Registry:
        """The adapters of the workspace."""
        return Registry(self.workspace.adapters)

    @cached_property
    def database(self) -> Database:
        """Accounts, conversations and the audit; made when it is first asked for."""
        return open_database(self.settings.database.url.get_secret_value(), self.workspace.root)

    @cached_property
    def jobs(self) -> Jobs:
        """Long work beside the chat."""
        return Jobs(self.workspace.root / "jobs")

    @cached_property
    def uploads(self) -> Uploads:
        """Documents that people uploaded."""
        return Uploads(self.workspace.root / "uploads", self.settings.uploads, self.settings.ingest)

    @cached_property
    def sources(self) -> Sources:
        """What was ingested, to be read again."""
        return Sources(self.workspace.root / "sources.json")

    @cached_property
    def serving(self) -> Serving:
        """Which adapter answers for whom."""
        chat = self.settings.chat
        return Serving(self.registry, self._documents, chat.adapter, chat.stale_adapters, self._named)

    @cached_property
    def model(self) -> ChatModel:
        """The chat model; its weights load with `load` or the first answer."""
        chat = self.settings.chat
        match chat.backend:
            case "echo":
                from app.models.llm import EchoModel

                return EchoModel()
            case "openai":
                from app.models.remote import OpenAIModel

                return OpenAIModel(chat.server, chat.server_model, chat.server_key, timeout=chat.server_seconds)
            case "local":
                from app.models.local import LocalModel

                return LocalModel(self.settings.model, self.settings.models_folder)

    @cached_property
    def weights(self) -> Confidence:
        """What makes an answer likely to be right, as measured for the model."""
        return confidence_for(self.model.name, self.workspace.root)

    @cached_property
    def answerer(self) -> Answerer:
        """The Answerer of the adapter that serves."""
        return self._answerer(self.serving.decide)

    def answerer_under(self, adapter: Adapter | None) -> Answerer:
        """The Answerer of an adapter that an asker named, or of the one that serves."""
        if adapter is None:
            return self.answerer
        checksum, answerer = self._named_answerer
        if answerer is None or checksum != adapter.checksum:
            answerer = self._answerer(partial(self.serving.decide, adapter=adapter))
            self._named_answerer = (adapter.checksum, answerer)  # each remembers vectors: the last one is kept
        return answerer

    def _answerer(self, decide: Callable[[Mode | None, frozenset[str]], How]) -> Answerer:
        chat = self.settings.chat
        limits = AnswerLimits(
            chat.passages, chat.passage_tokens, chat.answer_tokens, chat.confidence, self.weights, chat.ask_back
        )
        return Answerer(
            self.model,
            self.searcher,
            self.voice,
            limits,
            self._count_tokens,
            decide,
            lambda *asked: self.corrections(*asked),
        )

    def ingest(self, progress: Progress) -> Ingest:
        """Ingestion into this workspace."""
        return Ingest(self.workspace, self.settings.ingest, self.embedder, progress)

    # What the chat needs, as `app.chat.ui.Desk` declares it.

    def modes(self, groups: frozenset[str] = frozenset()) -> tuple[Mode, ...]:
        """The modes for an asker now, the default first."""
        return self.serving.modes(groups)

    def stream(
        self,
        question: str,
        *,
        mode: Mode | None,
        groups: frozenset[str],
        history: Sequence[Turn] = (),
        cancel: threading.Event | None = None,
    ) -> Iterator[Event]:
        """See `Answerer.stream`."""
        return self.answerer.stream(question, mode=mode, groups=groups, history=history, cancel=cancel)

    def answer(self, question: str, *, mode: Mode | None = None, groups: frozenset[str] = frozenset()) -> Answer:
        """See `Answerer.answer`."""
        return self.answerer.answer(question, mode=mode, groups=groups)

    def document(self, doc: str, groups: frozenset[str]) -> DocumentText | None:
        """A document's text for an asker who may read it."""
        return self.searcher.document(doc, groups)

    def versions(self, docs: Iterable[str], groups: frozenset[str]) -> dict[str, DocumentVersion]:
        """Those of some documents that an asker may read, as they are now."""
        return self.searcher.versions(docs, groups)

    def passages(self, ids: Iterable[str], groups: frozenset[str]) -> dict[str, Chunk]:
        """The chunks of some ids that an asker may read, as they are now."""
        return self.searcher.passages(ids, groups)

    def status(self) -> DeskStatus:
        """What this desk answers with."""
        manifest = self.searcher.open().manifest
        adapter = self.serving.offer(frozenset()).adapter
        return DeskStatus(
            self.model.name, adapter.id if adapter else None, manifest.generation, manifest.documents, manifest.chunks
        )

    def _count_tokens(self, text: str) -> int:
        return len(self.embedder.offsets(text))

    def _documents(self) -> Documents:
        """What the index holds, for telling whether an adapter is stale."""
        if self.store.current_name() is None:
            return Documents(None, {})
        generation = self.searcher.open()
        return Documents(generation.manifest.generation, generation.table.known())
