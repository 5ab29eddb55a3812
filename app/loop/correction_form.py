"""How a person writes the right answer: numbered passages, a text with their numbers, and the rules of the house form.

From what stands in a form to a `Draft`, and from an old answer to a form that is filled in. Knows no HTML, no database.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.accounts.holdings import Holdings, Rests
from app.answering.corrected import cited
from app.answering.grounding import MARKER, Citation, cite, ground, markers_inside
from app.loop.corrections import Cited, Draft, for_groups
from app.people import Person
from finetune import house_form
from finetune.curation.pii import mask, published
from finetune.house_form import Broken
from finetune.voice import Voice
from ingest.errors import DeskmateError
from ingest.records import EVERYONE, Chunk
from ingest.sentences import sentence_spans
from retrieval.search import check_question

LONGEST_ANSWER = 4_000
"""Characters."""

MOST_PASSAGES = 20


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in a form. `documents`: whether the answer rests on the passages; else it is for some `groups`."""

    question: str
    answer: str
    passages: tuple[Chunk, ...]
    documents: bool = True
    groups: tuple[str, ...] = (EVERYONE,)

    def with_more(self, found: Sequence[Chunk]) -> "Form":
        """The form with more passages behind those that it has, which keep their numbers."""
        known = {chunk.id for chunk in self.passages}
        more = [chunk for chunk in found if chunk.id not in known]
        return replace(self, passages=(*self.passages, *more)[:MOST_PASSAGES])


def filled(question: str, answer: str, numbers: Mapping[int, Chunk]) -> Form:
    """A form with an old answer.

    Args:
        question: to be answered.
        answer: the old one, with its markers.
        numbers: the passages by the old answer's numbers, as far as they are still there.

    Returns:
        A form whose passages are numbered anew; markers of passages that are gone are left out.
    """
    passages = tuple({chunk.id: chunk for _, chunk in sorted(numbers.items())}.values())
    places = {chunk.id: place for place, chunk in enumerate(passages, start=1)}
    return Form(question, renumbered(answer, {n: places[chunk.id] for n, chunk in numbers.items()}), passages)


def renumbered(text: str, numbers: Mapping[int, int]) -> str:
    """A text with other numbers in its markers; a number that has no other is left out."""

    def marked(match: re.Match[str]) -> str:
        kept = dict.fromkeys(numbers[n] for n in cited(match[0]) if n in numbers)
        return (" " if match[0][0].isspace() and kept else "") + "".join(f"[{n}]" for n in kept)

    return MARKER.sub(marked, text)


def with_citations(form: Form, voice: Voice) -> Form:
    """The form with a citation for every sentence that a passage bears out, as the assistant itself would cite."""
    return replace(form, answer=ground(form.answer, form.passages, voice).text)


def problems(form: Form, voice: Voice) -> tuple[Broken, ...]:
    """The rules of the house form that an answer breaks, and whether it holds personal data that nobody published."""
    broken = house_form.check(form.answer, voice, len(form.passages) if form.documents else 0)
    masked = mask(form.answer, published(form.passages))
    personal = (Broken("personal", ", ".join(sorted(masked.counts))),) if masked.counts else ()
    return (*broken, *personal)


def drafted(form: Form, person: Person, holdings: Holdings, exchange: int | None) -> Draft:
    """What is to be kept of a form.

    Raises:
        DeskmateError: question or answer are empty or too long, it cites what is not there or nothing at all, or it is
            for groups that are not the author's.
    """
    question = " ".join(form.question.split())
    check_question(question)
    if not any(char.isalnum() for char in question):
        raise DeskmateError("the question has no word in it; write what people ask")
    answer = markers_inside(form.answer.strip())
    if not answer:
        raise DeskmateError("the answer is empty; write what is right")
    if len(answer) > LONGEST_ANSWER:
        raise DeskmateError(f"the answer has {len(answer):,} characters, {LONGEST_ANSWER:,} at most; shorten it")
    numbers = cited(answer)
    if not form.documents:
        return Draft(question, answer, (), _for(form, person, numbers), exchange)
    if wrong := [n for n in numbers if not 1 <= n <= len(form.passages)]:
        raise DeskmateError(f"there is no passage {wrong[0]}; cite those that are shown")
    if not numbers:
        raise DeskmateError(
            "the answer cites no passage; write [1] where it rests on passage 1, or say that it rests on no document"
        )
    places = {n: place for place, n in enumerate(sorted(numbers), start=1)}
    answer = renumbered(answer, places)
    chunks = {place: form.passages[n - 1] for n, place in places.items()}
    rests = holdings.rests({chunk.doc for chunk in chunks.values()})
    if rests.docs.keys() != {chunk.doc for chunk in chunks.values()}:
        raise DeskmateError("a document that it cites is gone meanwhile; search for passages again")
    return Draft(question, answer, _citations(answer, chunks), rests, exchange)


def _for(form: Form, person: Person, numbers: Sequence[int]) -> Rests:
    if numbers:
        raise DeskmateError(f"[{numbers[0]}] stands in an answer that rests on no document; take it out")
    if not form.groups:
        raise DeskmateError("say for whom the answer is: for everyone, or for some groups")
    if strange := sorted(set(form.groups) - person.groups - {EVERYONE}):
        raise DeskmateError(f"you are not in the group {strange[0]!r}; choose among yours")
    return for_groups(form.groups)


def _citations(answer: str, chunks: Mapping[int, Chunk]) -> tuple[Cited, ...]:
    """The places that an answer rests on: in each passage the sentence that shares most with the citing one."""
    found: dict[tuple[int, int, int], Cited] = {}
    for start, end in sentence_spans(answer):
        sentence = answer[start:end]
        claim = MARKER.sub("", sentence).strip()
        for n in cited(sentence):
            place = cite(n, claim, chunks[n])
            found[n, place.start, place.end] = _cited(place, chunks[n].title)
    return tuple(found[key] for key in sorted(found))


def _cited(place: Citation, title: str) -> Cited:
    return Cited(
        place.n, place.doc, title, place.heading, place.page, place.chunk_id, place.start, place.end, place.quote
    )
