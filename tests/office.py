"""A small office for the tests of ingestion and search: a folder of documents, a workspace, and fakes that count."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from app.console import SilentProgress
from ingest.load import parse
from ingest.pool import ParseOutcome, _read_and_parse
from ingest.settings import IngestSettings
from ingest.workspace import Workspace
from retrieval.build import Ingest, IngestSummary
from retrieval.embed import HashingEmbedder, OnBatch, Vectors
from retrieval.search import Searcher
from retrieval.settings import RetrievalSettings
from retrieval.store import Store


class CountingEmbedder(HashingEmbedder):
    """The hashing fake, which writes down what it was asked to embed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> Vectors:
        self.texts += texts
        return super().embed(texts, on_batch)


class OtherEmbedder(HashingEmbedder):
    """Another model by name."""

    id = "hashing-other"


def parse_here(files: Iterable[tuple[str, Path]], settings: IngestSettings) -> Iterator[ParseOutcome[str]]:
    """What `ingest.pool.parse_files` does, without its processes, which take a second to start."""
    for key, path in files:
        result = _read_and_parse(path, settings, parse)
        yield ParseOutcome(key, result.sha256, result.size, result.parsed, result.reason, result.seconds)


class Office:
    """A folder of documents, `docs`, and the workspace `home` beside it."""

    def __init__(self, root: Path) -> None:
        self.docs = root / "docs"
        self.workspace = Workspace(root / "home")
        self.store = Store(self.workspace)
        self.embedder = CountingEmbedder()
        self.settings = IngestSettings(workers=1)
        self.docs.mkdir(exist_ok=True)

    def write(self, files: dict[str, str | bytes]) -> None:
        """Write documents by their names."""
        for name, content in files.items():
            path = self.docs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def ingest(self, *paths: Path, access: Iterable[str] | None = None, allow_shrink: bool = False) -> IngestSummary:
        """Ingest `paths`, all documents by default."""
        labels = None if access is None else frozenset(access)
        run = Ingest(self.workspace, self.settings, self.embedder, SilentProgress())
        return run.run(paths or (self.docs,), access=labels, allow_shrink=allow_shrink)

    def searcher(self, **settings: object) -> Searcher:
        """A search over what was ingested."""
        return Searcher(self.store, self.embedder, RetrievalSettings(**settings))

    def found(self, question: str, *groups: str, k: int = 10, **settings: object) -> list[str]:
        """The documents that a search finds, best first."""
        hits = self.searcher(**settings).search(question, k=k, groups=groups).hits
        return list(dict.fromkeys(hit.chunk.doc for hit in hits))

    def rows(self) -> dict[str, tuple[int, bytes]]:
        """Row and vector of each chunk by its text, in the generation that serves."""
        generation = self.store.open()
        table, dense = generation.table, generation.dense
        rows = table.readable_rows(frozenset().union(*(state.access for state in table.documents())))
        return {chunk.text: (row, dense._index.reconstruct(row).tobytes()) for row, chunk in table.chunks(rows).items()}

    def leftovers(self) -> list[str]:
        """Names in the index folder that an interrupted run may have left."""
        return sorted(path.name for path in self.workspace.index.glob(".*") if path.name != ".lock")


POLICIES: dict[str, str | bytes] = {
    "it/vpn.md": "# VPN\n\nError 809 means that port 4500 is blocked. Switch to the other profile.\n",
    "it/printers.md": "# Printers\n\nThe printer on floor two takes badge paper only.\n",
    "hr/leave.md": "# Annual leave\n\nYou have 25 days of leave. Carry over at most 5 days until March.\n",
    "hr/managers/bonus.md": "# Bonus pool\n\nThe bonus pool is 4 percent of salaries.\n",
}
"""Four documents on four subjects; the last is for managers where a `.access` file says so."""
