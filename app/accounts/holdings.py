"""What a kept answer rests on, which is documents as they were, and who may see it now that they are as they are.

Documents are known by name, version and readers; no text of theirs is.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ingest.errors import DeskmateError
from ingest.records import EVERYONE
from retrieval.chunks import DocumentVersion

if TYPE_CHECKING:
    from retrieval.store import Generation

Now = Mapping[str, DocumentVersion]
"""Those of some documents that somebody may read, as they are now."""


@dataclass(frozen=True, slots=True)
class Rests:
    """Documents by name, as they were; and groups of which a reader needs one each, where it rests on no document."""

    docs: Mapping[str, DocumentVersion] = field(default_factory=dict)
    groups: tuple[frozenset[str], ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """What a record says under `docs` and `access`: the groups of each document in their order, then the others."""
        access = [frozenset(one) for one in record["access"]]
        docs = {doc: DocumentVersion(sha256, access[at]) for at, (doc, sha256) in enumerate(record["docs"].items())}
        return cls(docs, tuple(access[len(docs) :]))

    def as_record(self) -> dict[str, Any]:
        """The other way round."""
        return {
            "docs": {doc: version.sha256 for doc, version in self.docs.items()},
            "access": [sorted(one) for one in (*(version.access for version in self.docs.values()), *self.groups)],
        }

    def unchanged(self, now: Now) -> bool:
        """Whether all of it can be read and is as it was."""
        return all(doc in now and now[doc].sha256 == version.sha256 for doc, version in self.docs.items())

    def may_read(self, now: Now, groups: frozenset[str]) -> bool:
        """Whether somebody in some groups, who may read `now`, may see it.

        Another document may stand under the name of one that is gone: then they must have been able to read that too.
        """
        reader = groups | {EVERYONE}
        return all(reader & one for one in self.groups) and all(
            doc in now and (now[doc].sha256 == version.sha256 or bool(reader & version.access))
            for doc, version in self.docs.items()
        )


def together(parts: Iterable[Rests]) -> Rests:
    """What rests on all of these; of two versions of a document the later counts."""
    docs: dict[str, DocumentVersion] = {}
    groups: dict[frozenset[str], None] = {}
    for part in parts:
        docs |= part.docs
        groups |= dict.fromkeys(part.groups)
    return Rests(docs, tuple(groups))


class Holdings:
    """The documents of the generation that serves, kept in memory for it: a list of hundreds costs nothing."""

    def __init__(self, open_: "Callable[[], Generation]") -> None:
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
