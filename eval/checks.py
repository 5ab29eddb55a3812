"""What is looked at before an evaluation loads a model: it must be able to measure, and must not have been tuned on."""

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from app.answering.modes import Mode
from app.desk import Desk
from eval.contenders import Contender
from eval.questions import Question
from finetune.adapters.card import Adapter
from finetune.adapters.tuned_on import read_tuned_on
from finetune.curation.overlap import Asked, QuestionSet, audit
from finetune.curation.pairs import Kind, Pair
from finetune.curation.rows import read_rows
from ingest.errors import DeskmateError

SHOWN = 5
"""Overlaps that an error shows."""


@dataclass(frozen=True, slots=True)
class Audited:
    """The leakage audit of one adapter: the number of questions it was tuned on, or None where nobody knows them."""

    adapter: str
    tuned_on: int | None


def check_gold(desk: Desk, questions: Sequence[Question]) -> None:
    """See that search could find what it is measured by.

    Raises:
        DeskmateError: a gold document that is not in the index.
    """
    known = {state.doc for state in desk.searcher.open().table.documents() if state.reason is None}
    missing = sorted({doc for question in questions for doc in question.gold_docs} - known)
    if missing:
        raise DeskmateError(
            f"{len(missing)} gold documents are not in the index, first {missing[0]}; ingest the folder they are in"
        )


def check_tuned_on(desk: Desk, questions: Sequence[Question], adapter: Adapter, file: str) -> Audited:
    """See that none of the questions, or nearly the same one, was among those that the adapter was tuned on.

    Raises:
        DeskmateError: some were; shows them.
    """
    trained = _training_questions(desk, adapter)
    if trained is None:
        return Audited(adapter.id, None)
    pairs = [Pair(str(place), Kind.OWN, "", text, "", "") for place, text in enumerate(trained)]
    asked = tuple(Asked(one.id, one.question, "") for one in questions)
    longest = max(len(one.question.split()) for one in questions)
    # A run of more words than any question has is never shared: what counts here is the question, not its phrases.
    found, _ = audit(pairs, [QuestionSet(file, asked)], desk.settings.curate.near_duplicate, longest + 1)
    if found:
        overlaps = {overlap.asked_id: overlap for overlap in found.values()}
        shown = "; ".join(
            f"{one.asked_id} “{one.asked}” is {'' if one.how == 'exact' else 'nearly '}“{one.question}”"
            for one in list(overlaps.values())[:SHOWN]
        )
        more = f"; and {len(overlaps) - SHOWN} more" if len(overlaps) > SHOWN else ""
        raise DeskmateError(
            f"{adapter.id} was tuned on {len(overlaps)} of {len(questions)} questions of {file}: {shown}{more}; take "
            f"them out, or run deskmate synth --questions {file} and tune again"
        )
    return Audited(adapter.id, len(trained))


def _training_questions(desk: Desk, adapter: Adapter) -> Sequence[str] | None:
    """What the adapter carries, or else the workspace's training data where that is what it was made of."""
    if (carried := read_tuned_on(adapter)) is not None:
        return carried
    data = training_data(desk, adapter)
    return None if data is None else list(dict.fromkeys(row.question for row in read_rows(data / "train.jsonl")))


def training_data(desk: Desk, adapter: Adapter) -> Path | None:
    """The folder of training data in the workspace, where it is what the adapter was tuned on."""
    folder = desk.workspace.qa
    files = [path for name in ("train.jsonl", "held_out.jsonl") if (path := folder / name).is_file()]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return folder if files and digest == adapter.card.data_hash else None


def tuned_documents(desk: Desk, adapter: Adapter) -> frozenset[str]:
    """The documents that an adapter was tuned on, by name: those of its card, and all in the index of the same bytes.

    So a document that was moved or copied since then counts as one that it was tuned on, as in `app.answering.serving`.
    """
    trained = adapter.card.documents
    hashes = set(trained.values())
    same = {known.doc for known in desk.searcher.open().table.known().values() if known.sha256 in hashes}
    return frozenset(trained) | same


def seen(question: Question, tuned_on: Set[str]) -> bool:
    """Whether a question is about one of the documents of `tuned_documents`; else it is held out."""
    return not tuned_on.isdisjoint(question.gold_docs)


def check_gate(entrants: Sequence[Contender], *, changed: bool) -> None:
    """See that there is what the gate decides on.

    Args:
        entrants: the modes that are measured.
        changed: whether other passages are read than search finds.

    Raises:
        DeskmateError: passages are changed, not one adapter in hybrid, or no rag-only to hold it against.
    """
    if changed:
        raise DeskmateError("the gate decides on answers as they are served; leave out --oracle and --absent")
    hybrids = [one for one in entrants if one.mode == Mode.HYBRID]
    if len(hybrids) != 1 or not any(one.mode == Mode.RAG_ONLY for one in entrants):
        raise DeskmateError(
            "the gate holds one adapter in hybrid against rag-only; have both modes, and one --adapter at most"
        )
