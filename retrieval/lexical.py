"""The lexical index: BM25 by tantivy, with stemming and English stop words. The user's text meets no query parser.

Knows row numbers, texts and group names; knows nothing of vectors.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tantivy

from ingest.errors import DeskmateError
from retrieval.dense import Ranking

ANALYZER = "deskmate_en"
HEAP_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class LexicalRow:
    """One chunk as the lexical index holds it."""

    row: int
    text: str
    access: frozenset[str]


@functools.cache
def _analyzer() -> tantivy.TextAnalyzer:
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(60))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stopword("english"))
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


def stems(text: str) -> list[str]:
    """The stemmed content words of a text, in order and with repetitions: what BM25 matches and grounding compares."""
    tokens: list[str] = _analyzer().analyze(text)
    return tokens


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("row", stored=False, indexed=True, fast=True)
    builder.add_text_field("text", stored=False, tokenizer_name=ANALYZER, index_option="freq")
    builder.add_text_field("access", stored=False, tokenizer_name="raw", index_option="basic")
    return builder.build()


class LexicalIndex:
    """BM25 (k1 = 1.2, b = 0.75) over chunks."""

    def __init__(self, folder: Path, index: tantivy.Index) -> None:
        self._folder = folder
        self._index = index
        self._schema = index.schema
        index.register_tokenizer(ANALYZER, _analyzer())
        self._searcher = index.searcher()

    @classmethod
    def create(cls, folder: Path) -> "LexicalIndex":
        """An empty index in an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, tantivy.Index(_schema(), path=str(folder)))

    @classmethod
    def open(cls, folder: Path) -> "LexicalIndex":
        """Open an index whose files' hashes have been checked already.

        Raises:
            DeskmateError: when tantivy does not recognise it.
        """
        try:
            return cls(folder, tantivy.Index.open(str(folder)))
        except ValueError as error:
            raise DeskmateError(f"{folder} is not a lexical index ({error})") from error

    def update(self, remove: Iterable[int], add: Iterable[LexicalRow]) -> None:
        """Remove rows, add rows, and make both visible at once.

        Raises:
            OSError: when the disk refuses.
        """
        try:
            writer = self._index.writer(heap_size=HEAP_BYTES, num_threads=1)
            for row in remove:
                writer.delete_documents_by_term("row", row)
            for entry in add:
                document = tantivy.Document(text=entry.text)
                document.add_integer("row", entry.row)
                for group in sorted(entry.access):
                    document.add_text("access", group)
                writer.add_document(document)
            writer.commit()
            writer.wait_merging_threads()
        except ValueError as error:  # tantivy reports every failure, a full disk too, as a ValueError
            raise OSError(f"the lexical index could not be written: {error}") from error
        self._index.reload()
        self._searcher = self._index.searcher()

    def document_frequency(self, token: str) -> int:
        """In how many chunks a token of `stems` occurs."""
        return int(self._searcher.doc_freq("text", token))

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def search(self, question: str, k: int, groups: frozenset[str] | None) -> Ranking:
        """The `k` best rows by BM25 among those that one of `groups` may read; None reads everything.

        The query is built from analysed tokens, so no character of the question has a meaning of its own.
        """
        tokens = list(dict.fromkeys(stems(question)))[:256]
        if not tokens:
            return []
        terms = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "text", token, index_option="freq"))
            for token in tokens
        ]
        query = tantivy.Query.boolean_query(terms)
        if groups is not None:
            readable = tantivy.Query.term_set_query(self._schema, "access", sorted(groups))
            no_score = tantivy.Query.const_score_query(readable, 0.0)
            query = tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, no_score)])
        found = self._searcher.search(query, limit=k, count=False).hits
        if not found:
            return []
        rows = self._searcher.fast_field_values("row", [address for _, address in found])
        return [(int(row or 0), float(score)) for row, (score, _) in zip(rows, found, strict=True)]
