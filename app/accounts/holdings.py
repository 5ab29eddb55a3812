"""Which documents there are now, in which version, and who may read them: decides for whatever rests on documents.

Kept in memory for one generation of the index, so that a list of hundreds costs nothing. Knows no document's text.
"""

import threading
from collections.abc import Callable, Iterable

from app.accounts.rests import Now, Rests
from ingest.errors import DeskmateError
from ingest.records import EVERYONE
from retrieval.chunks import DocumentVersion
from retrieval.store import Generation


class Holdings:
    """The documents of the generation that serves."""

    def __init__(self, open_: Callable[[], Generation]) -> None:
        """Remember where to look.

        Args:
            open_: gives the generation that serves, such as `Searcher.open`.
        """
        self._open = open_
        self._lock = threading.Lock()
        self._held: tuple[str, Now] = ("", {})

    def may_read(self, rests: Rests, groups: frozenset[str]) -> bool:
        """Whether somebody in some groups may see now what rests on some documents; nobody reads what is gone."""
        reader = groups | {EVERYONE}
        held = self._now()
        theirs = {doc: held[doc] for doc in rests.docs if doc in held and reader & held[doc].access}
        return rests.may_read(theirs, groups)

    def unchanged(self, rests: Rests) -> bool:
        """Whether the documents are there as they were, whoever may read them."""
        return rests.unchanged(self._now())

    def rests(self, docs: Iterable[str]) -> Rests:
        """What rests on documents as they are now; those that are gone are left out."""
        held = self._now()
        return Rests({doc: held[doc] for doc in sorted(docs) if doc in held})

    def _now(self) -> Now:
        """The documents that can be read, by their names: no two have one."""
        try:
            generation = self._open()
        except DeskmateError:
            return {}  # without an index nobody reads anything
        with self._lock:
            name, held = self._held
            if name != generation.manifest.generation:
                known = generation.table.known().values()
                held = {one.doc: DocumentVersion(one.sha256, one.access) for one in known if one.readable}
                self._held = generation.manifest.generation, held
            return held
