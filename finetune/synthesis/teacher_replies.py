"""A teacher's reply to pairs, and what is wrong with the rest. Nothing in a reply is believed: quotes are looked up.

The answer is put together here, in the house form, from the teacher's sentences and the places of their quotes; a
reply is only text until then, whatever it is.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.curation.pairs import UNANSWERABLE, Evidence, Kind, Pair
from finetune.house_form import check
from finetune.synthesis.teacher_prompts import STYLES, Request
from finetune.template import Turn
from finetune.voice import Voice
from ingest.records import Chunk
from ingest.sentences import sentence_spans

LONGEST_REPLY = 40_000
"""Characters of a reply that are read; a model that has lost its way writes without end."""

SHORTEST_QUOTE = 3
"""Characters, white space not counted, below which a quote proves nothing."""

_FOLD = str.maketrans("’‘‛“”„‟‐‑‒–—−\u00a0\u202f\u2009", '\'\'\'""""------   ')
"""Signs that models change when they copy, each for one sign, so that places stay what they are."""

_NUMBERED = re.compile(r"^\s*(?:step\s+)?\d{1,2}[.):]\s+|^\s*[-*•]\s+", re.IGNORECASE)
_STOP = re.compile(r"([.!?…]+)([\"'”’)]*)$")


class _Rejected(Exception):  # noqa: N818 - it never leaves this module, and nobody is at fault
    """Why one pair of a reply is not taken."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a reply was worth: its pairs, and why the others were not taken, with how many there were of each reason."""

    pairs: tuple[Pair, ...]
    rejected: Counter[str]


def read_reply(reply: str, request: Request, voice: Voice, teacher: str) -> Lesson:
    """Take what is good of a reply.

    Args:
        reply: whatever came back.
        request: what was asked.
        voice: the house style that answers are put into.
        teacher: named in each pair.
    """
    pairs: dict[str, Pair] = {}
    rejected: Counter[str] = Counter()
    items = list(_items(reply[:LONGEST_REPLY]))
    if not items:
        rejected["the reply holds no JSON of pairs"] += len(request.orders)
    for item in items[: 2 * len(request.orders)]:
        try:
            pair = _pair(item, request, voice, teacher)
        except _Rejected as reason:
            rejected[str(reason)] += 1
            continue
        if pair.id in pairs:
            rejected["the question stands in the reply twice"] += 1
        pairs[pair.id] = pair
    if items and len(items) < len(request.orders):
        rejected["fewer pairs than were asked for"] += len(request.orders) - len(items)
    return Lesson(tuple(pairs.values()), rejected)


def locate(quote: str, chunk: Chunk) -> Evidence | None:
    """Find a quote in a chunk, whatever its white space, quotation marks and dashes; None where it is not there."""
    folded = chunk.text.translate(_FOLD)
    quote = quote.translate(_FOLD)
    match = None
    for words in (quote.split(), quote.strip("\"' \t\r\n").strip("….").split()):
        if match is None and sum(map(len, words)) >= SHORTEST_QUOTE:
            match = re.search(r"\s+".join(map(re.escape, words)), folded)
    if match is None:
        return None
    start, end = match.span()
    if folded[end : end + 1] == ".":
        end += 1
    return Evidence(chunk.doc, chunk.id, chunk.start + start, chunk.start + end, chunk.text[start:end])


def _items(reply: str) -> Iterator[dict[str, Any]]:
    """The objects that may be pairs: of the JSON that was asked for, or what can be saved of one cut off half-way."""
    decoder = json.JSONDecoder()
    position = reply.find("{")
    while position >= 0:
        try:
            found, end = decoder.raw_decode(reply, position)
        except (ValueError, RecursionError):
            found, end = None, position + 1
        if isinstance(found, dict):
            listed = found.get("pairs")
            listed = listed if isinstance(listed, list) else [found]
            yield from (item for item in listed if isinstance(item, dict) and "question" in item)
        position = reply.find("{", end)


def _pair(item: Mapping[str, Any], request: Request, voice: Voice, teacher: str) -> Pair:
    """One pair.

    Raises:
        _Rejected: what is wrong with it.
    """
    kind = _kind(item, request)
    question = _text(item, "question")
    style = item.get("style")
    main = request.chunks[0]
    evidence: list[Evidence] = []
    history: tuple[Turn, ...] = ()
    planted = ""
    answer = voice.decline if kind in UNANSWERABLE else _answer(item, kind, request.chunks, evidence, voice)
    if kind is Kind.TWO_PASSAGES and len({one.chunk_id for one in evidence}) < 2:
        raise _Rejected("a question for two passages rests on one")
    if kind is Kind.FOLLOW_UP:
        history = _history(item, request.chunks, voice)
    if kind is Kind.PLANTED:
        planted = " ".join(_text(item, "planted").split())
    name = hashlib.sha256(f"{main.id} {kind} {question}".encode()).hexdigest()[:16]
    return Pair(
        id=f"teacher-{name}",
        kind=kind,
        style=style if style in STYLES else "formal",
        question=question,
        answer=answer,
        doc="" if kind is Kind.OUT_OF_SCOPE else main.doc,
        evidence=tuple(evidence),
        access=main.access,
        history=history,
        planted=planted,
        teacher=teacher,
    )


def _kind(item: Mapping[str, Any], request: Request) -> Kind:
    ordered = {str(order.kind): order.kind for order in request.orders}
    kind = ordered.get(str(item.get("kind")).strip().lower())
    if kind is None:
        raise _Rejected("a kind that was not asked for")
    return kind


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value.strip() or "\ufffd" in value or _broken(value):
        raise _Rejected(f"no `{key}`")
    return value.strip()


def _broken(text: str) -> bool:
    """Half of a surrogate pair, which JSON may spell and UTF-8 cannot."""
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def _answer(
    item: Mapping[str, Any], kind: Kind, chunks: Sequence[Chunk], evidence: list[Evidence], voice: Voice
) -> str:
    """Put the answer together, add what it rests on to `evidence`, and check its form."""
    parts = item.get("answer")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise _Rejected("no `answer` of sentences with quotes")
    sentences = []
    for part in parts:
        says = _NUMBERED.sub("", " ".join(_text(part, "says").split()))
        if voice.refusal.text in says:
            raise _Rejected("declines what it was to answer")
        found = _find(_text(part, "quote"), part.get("from"), chunks)
        if found not in evidence:
            evidence.append(found)
        sentences.append(_cite(says, evidence.index(found) + 1, voice))
    if kind is Kind.PROCEDURE and len(sentences) > 1 and voice.answer.steps == "numbered":
        answer = "\n".join(f"{n}. {sentence}" for n, sentence in enumerate(sentences, start=1))
    else:
        answer = " ".join(sentences)
    if broken := check(answer, voice, len(evidence)):
        raise _Rejected(f"not in the house form: {broken[0].rule}")
    return answer


def _find(quote: str, letter: object, chunks: Sequence[Chunk]) -> Evidence:
    """The place of a quote: in the excerpt that it is said to be from, or in the other one."""
    named = dict(zip("AB", chunks, strict=False)).get(str(letter).strip().upper()[-1:])
    for chunk in [one for one in (named,) if one] + [one for one in chunks if one is not named]:
        if found := locate(quote, chunk):
            return found
    raise _Rejected("a quote that the excerpt does not hold")


def _cite(says: str, n: int, voice: Voice) -> str:
    """Each sentence with its citation before the stop, which it gets where it has none; a bare yes or no has none."""
    says = voice.marker.sub("", says).rstrip()
    sentences = [says[start:end] for start, end in sentence_spans(says)]
    return " ".join(_cite_sentence(one, n, voice) if len(one.split()) > 2 else one for one in sentences)


def _cite_sentence(sentence: str, n: int, voice: Voice) -> str:
    stop = _STOP.search(sentence)
    if stop is None:
        return f"{sentence.rstrip(',;: ')} {voice.cite(n)}."
    return f"{sentence[: stop.start()].rstrip()}{stop[2]} {voice.cite(n)}{stop[1]}"


def _history(item: Mapping[str, Any], chunks: Sequence[Chunk], voice: Voice) -> tuple[Turn, ...]:
    before = item.get("before")
    if not isinstance(before, dict):
        raise _Rejected("a follow-up without the turn before it")
    answer = _answer(before, Kind.FACT, chunks, [], voice)
    return Turn(role="user", content=_text(before, "question")), Turn(role="assistant", content=answer)
