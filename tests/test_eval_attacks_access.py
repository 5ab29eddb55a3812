"""Access by random people to random documents, in every path that gives text away, with the caches of one desk shared.

The HTTP API has its own ten thousand requests in `test_app_api_access`; here is what lies below it and beside it.
"""

import dataclasses
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from adapters import bare
from office import Office, parse_here
from test_app_api_access import CANARY, GROUPS, WORDS, documents

from app.answering.answer import Answer, Finished, Retrieved, Token
from app.answering.modes import Mode
from app.api.model_names import find_model, model_names
from app.chat.details import details_html
from app.console import answer_json
from app.desk import Desk
from app.settings import load_settings
from app.web import pages
from finetune.template import Turn
from ingest.records import EVERYONE

Groups = frozenset[str]
Path_ = Callable[[Desk, str, Groups, random.Random], str]


def searched(desk: Desk, question: str, groups: Groups, chance: random.Random) -> str:
    """A search, by any method, for one question or for several at once."""
    method = chance.choice(("hybrid", "dense", "bm25"))
    found = desk.searcher.search_batch([question, question[::-1]], k=50, groups=groups, method=method)
    return json.dumps([dataclasses.asdict(hit.chunk) for one in found for hit in one.hits], default=sorted)


def shown(desk: Desk, answer: Answer, groups: Groups) -> str:
    """An answer as data and as a page."""

    def read(doc: str) -> Any:
        return desk.document(doc, groups)

    return "".join(
        [
            json.dumps(answer_json(answer)),
            json.dumps([dataclasses.asdict(one) for one in answer.sentences]),
            pages.answer_body_html(answer),
            pages.passage_refs_html(answer.hits, read),
            pages.citation_refs_html(answer, read),
            pages.copy_text(answer),
            details_html(answer),
            str(answer.relevance),
        ]
    )


def streamed(desk: Desk, question: str, groups: Groups, chance: random.Random) -> str:
    """An answer as it comes, after turns that name what others asked."""
    earlier = f"Tell me about {' and '.join(chance.sample(WORDS, 3))}."
    history = [Turn(role="user", content=earlier), Turn(role="assistant", content="The rule, as said before, is")]
    out = []
    turns = history if chance.random() < 0.5 else []
    for event in desk.stream(question, mode=Mode.RAG_ONLY, groups=groups, history=turns):
        match event:
            case Retrieved():
                out += [str(hit) for hit in event.hits]
            case Token():
                out.append(event.text)
            case Finished():
                out.append(shown(desk, event.answer, groups))
    return "".join(out)


def answered(desk: Desk, question: str, groups: Groups, chance: random.Random) -> str:
    """Several answers at once, and what stands around them."""
    both = desk.answerer.answer_batch([question, f"And what else is {question}"], mode=Mode.RAG_ONLY, groups=groups)
    return "".join(shown(desk, one, groups) for one in both)


def read(desk: Desk, question: str, groups: Groups, chance: random.Random) -> str:
    """Whole documents, versions and chunks by names and ids that somebody with all groups has seen."""
    every = desk.searcher.search(question, k=50, groups=GROUPS).hits
    docs, ids = [hit.chunk.doc for hit in every], [hit.chunk.id for hit in every]
    found = [pages.whole_document_html(desk.document(doc, groups), 0, 9) for doc in docs]
    versions = [name for name in desk.versions(docs, groups) if desk.document(name, groups) is None]
    assert not versions, "a version is told of what may not be read"
    return "".join([*found, *(chunk.text for chunk in desk.passages(ids, groups).values())])


PATHS: dict[str, Path_] = {"search": searched, "stream": streamed, "batch": answered, "document": read}


def open_world(root: Path, chance: random.Random) -> tuple[Office, Desk, dict[str, Groups]]:
    """A desk over random documents, and who may read which word."""
    office = Office(root)
    files, readers = documents(chance)
    office.write(files)
    office.ingest()
    flags: Mapping[str, Any] = {"retrieval": {"embedder": "hashing"}, "chat": {"backend": "echo", "confidence": 0.0}}
    return office, Desk(load_settings(home=office.workspace.root, **flags)), readers


def forbidden(text: str, question: str, readers: Mapping[str, Groups], groups: Groups) -> list[str]:
    """The words in a text that these groups may not read; the asker's own words are no secret of ours."""
    seen = set(CANARY.findall(re.sub(re.escape(question), "", text))) - set(CANARY.findall(question))
    return [word for word in seen if readers[word] and EVERYONE not in readers[word] and not readers[word] & groups]


def relabel(office: Office, readers: dict[str, Groups], chance: random.Random) -> None:
    """Give every document to other groups, and ingest again: what was cached for the old ones must not count."""
    for access in office.docs.rglob(".access"):
        labels = frozenset(chance.sample(GROUPS, chance.randint(1, 3)))
        [word] = CANARY.findall((access.parent / "page.md").read_text())
        access.write_text("\n".join(sorted(labels)))
        readers[word] = labels
    office.ingest()


def tried(root: Path, seed: int, cases: int) -> int:
    """Try random cases in one world; returns how many words were told, rightly."""
    chance = random.Random(seed)
    office, desk, readers = open_world(root, chance)
    told = 0
    for case in range(cases):
        if case == cases // 2:
            relabel(office, readers, chance)
        groups = frozenset(chance.sample(GROUPS, chance.randint(0, 4)))
        words = [*chance.sample(WORDS, 2), chance.choice(sorted(readers)) if chance.random() < 0.3 else "rule"]
        question = f"What is the {' '.join(words)}?"
        path = chance.choice(sorted(PATHS))
        text = PATHS[path](desk, question, groups, chance)
        assert not forbidden(text, question, readers, groups), path
        told += len(set(CANARY.findall(text)))
    return told


@pytest.fixture(autouse=True)
def _parse_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.build.parse_files", parse_here)


def test_no_path_tells_anybody_what_is_not_theirs(tmp_path: Path) -> None:
    assert tried(tmp_path, 0, 160) > 160, "the test would be worth nothing if nothing were told"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_ten_thousand_cases_in_every_path_tell_nobody_what_is_not_theirs(seed: int, tmp_path: Path) -> None:
    assert tried(tmp_path, seed, 500) > 500


@pytest.mark.parametrize("seed", range(4))
def test_no_adapter_serves_somebody_who_may_not_read_all_that_it_was_tuned_on(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    _, desk, _ = open_world(tmp_path, chance)
    hashes = {known.doc: known.sha256 for known in desk.searcher.open().table.known().values()}
    labels = {known.doc: known.access for known in desk.searcher.open().table.known().values()}
    tuned: dict[str, list[str]] = {}
    for number in range(6):
        docs = chance.sample(sorted(hashes), chance.randint(1, 3))
        adapter = bare(desk.workspace.adapters, f"a{number}", documents={doc: hashes[doc] for doc in docs})
        tuned[adapter.id] = docs
    served = 0
    for _ in range(60):
        groups = frozenset(chance.sample(GROUPS, chance.randint(0, 4)))
        allowed = {id for id, docs in tuned.items() if all(labels[doc] & {*groups, EVERYONE} for doc in docs)}
        named = set(_adapters_in(model_names(desk.serving, groups, True)))
        assert named == allowed
        for id in tuned:
            found = find_model(f"deskmate/hybrid:{id}", desk.serving, groups, True)
            assert (found is not None) == (id in allowed)
        served += len(allowed)
    assert served


def _adapters_in(names: Iterable[str]) -> list[str]:
    return [name.partition(":")[2] for name in names if ":" in name]
