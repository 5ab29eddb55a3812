"""What a kept answer rests on: documents as they were, and who may see it. Plain data; asks no index."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ingest.records import EVERYONE
from retrieval.chunks import DocumentVersion

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
