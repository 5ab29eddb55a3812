from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.accounts.holdings import Holdings, Rests
from ingest.errors import DeskmateError
from ingest.records import EVERYONE
from ingest.scan import Known
from retrieval.chunks import DocumentVersion

GROUPS = st.frozensets(st.sampled_from([EVERYONE, "hr", "it"]), min_size=1)


@dataclass
class Shelf:
    """An index with some documents: their hash and their readers by name."""

    docs: dict[str, tuple[str, frozenset[str]]]
    generation: int = 1

    def open(self) -> Any:
        known = {
            Path(doc): Known(Path(doc), Path("/"), doc, sha256, access, True)
            for doc, (sha256, access) in self.docs.items()
        }
        manifest = SimpleNamespace(generation=f"gen-{self.generation}")
        return SimpleNamespace(manifest=manifest, table=SimpleNamespace(known=lambda: known))


def test_another_document_under_an_old_name_opens_nothing() -> None:
    shelf = Shelf({"leave.md": ("old", frozenset({"hr"}))})
    holdings = Holdings(shelf.open)  # type: ignore[arg-type]
    rests = holdings.rests(["leave.md"])
    assert rests == Rests({"leave.md": DocumentVersion("old", frozenset({"hr"}))})
    assert holdings.may_read(rests, frozenset({"hr"}))

    shelf.docs["leave.md"], shelf.generation = ("new", frozenset({EVERYONE})), 2
    assert not holdings.unchanged(rests)
    assert not holdings.may_read(rests, frozenset()), "they could not read the one that it rests on"
    assert holdings.may_read(rests, frozenset({"hr"}))

    shelf.docs["leave.md"], shelf.generation = ("old", frozenset({EVERYONE})), 3
    assert holdings.may_read(rests, frozenset()), "the same document was opened to everybody"


def test_nobody_reads_what_is_gone_or_where_there_is_no_index() -> None:
    def nothing() -> Any:
        raise DeskmateError("there is no index")

    rests = Rests({"leave.md": DocumentVersion("old", frozenset({EVERYONE}))})
    assert not Holdings(nothing).may_read(rests, frozenset())
    assert not Holdings(Shelf({}).open).may_read(rests, frozenset({"hr"}))  # type: ignore[arg-type]
    assert Holdings(nothing).may_read(Rests(), frozenset()), "a refusal rests on nothing"


@given(
    st.lists(st.tuples(GROUPS, GROUPS, st.booleans()), min_size=1, max_size=4),
    st.frozensets(st.sampled_from(["hr", "it"])),
)
def test_nobody_sees_what_rests_on_something_that_they_may_not_read_now(
    docs: list[tuple[frozenset[str], frozenset[str], bool]], groups: frozenset[str]
) -> None:
    shelf = Shelf({f"{n}.md": ("old", before) for n, (before, _, _) in enumerate(docs)})
    holdings = Holdings(shelf.open)  # type: ignore[arg-type]
    rests = holdings.rests(shelf.docs)
    shelf.docs = {f"{n}.md": ("new" if changed else "old", after) for n, (_, after, changed) in enumerate(docs)}
    shelf.generation = 2
    reader = groups | {EVERYONE}

    expected = all(reader & after and (not changed or reader & before) for before, after, changed in docs)
    assert holdings.may_read(rests, groups) == expected
