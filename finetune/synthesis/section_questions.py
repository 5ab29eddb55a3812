"""Questions about sections: headings that ask, numbered steps, lists under their announcement, labelled lines.

Asks no model.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from finetune.curation.pairs import Evidence, Kind
from finetune.synthesis.drafts import Corpus, Draft, cited, evidence, full_sentence, joined, plain_heading, without_mark
from finetune.synthesis.english import (
    base_of_gerund,
    dangling,
    has_verb,
    lower_first,
    parse,
    points_back,
    speaks_of_itself,
    swap_persons,
)
from finetune.synthesis.sentence_questions import clear
from finetune.voice import Voice
from ingest.chunk import TRAIL
from ingest.records import Chunk
from ingest.sentences import sentence_spans

_STEP = re.compile(r"^(\d{1,2})[.)]\s+(?=\S)")
_BULLET = re.compile(r"^[-*•–]\s+(?=\S)")
_LABEL = re.compile(
    r"^(?P<label>[A-Z][\w/&'’-]*(?:[ ][\w/&'’()-]+){0,5})(?P<mark>:|\.)\s+(?P<rest>\S.{14,})$", re.DOTALL
)
_NO_LABEL = re.compile(
    r"^(?:note|nb|important|warning|tip|example|see|also|please|in short|exception|date|from|to|cc|subject|owner|"
    r"contact|version|last reviewed|updated|approved by|kept by|page owner|questions|regards|audience|status|"
    r"author|editor|reply|attention|notes?|remarks?|yes|no|true|false|never|always|chapter|section|part|appendix|"
    r"step|day|week|title|classification|contents|depending|why|what|how|when|where|who|then|or|and|from|until|first|next|"
    r"finally|result|default|on|in|at|for|with|by|if|to|this|that|these|congratulations|sorry|welcome)\b",
    re.IGNORECASE,
)
_HOW_TO = re.compile(r"^(?:how to|how do (?:i|you|we)|how can (?:i|you|we)|how you(?: can)?)\s+", re.IGNORECASE)
_ABOUT = ("What applies to {label}?", "What do I need to know about {label}?", "What about {label}?")
_MOST_STEP_WORDS = 105
_MOST_LIST_WORDS = 95
_ANSWER_WORDS = 60


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chunk: where its words begin, and where they end."""

    start: int
    end: int
    text: str
    number: int = 0  # of a step
    bullet: bool = False


def lines(chunk: Chunk) -> list[Line]:
    """The lines of a chunk that are not blank."""
    found, at = [], 0
    for raw in chunk.text.split("\n"):
        text = raw.rstrip()
        lead = len(text) - len(text.lstrip())
        if text.strip():
            step, bullet = _STEP.match(text[lead:]), _BULLET.match(text[lead:])
            mark = step or bullet
            start = at + lead + (mark.end() if mark else 0)
            number = int(step[1]) if step else 0
            found.append(Line(start, at + len(text), chunk.text[start : at + len(text)], number, bullet is not None))
        at += len(raw) + 1
    return found


def ask_section(chunk: Chunk, corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """Every question about a chunk as a whole, or about a stretch of it longer than a sentence."""
    there = lines(chunk)
    yield from _asking_heading(chunk, there, corpus, voice)
    yield from _procedure(chunk, there, corpus, voice)
    yield from _announced_list(chunk, there, corpus, voice)
    yield from _labels(chunk, there, corpus, voice)
    yield from _policy(chunk, there, corpus, voice)


def _asking_heading(chunk: Chunk, there: Sequence[Line], corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """A heading that is itself a question is answered by the first sentences below it."""
    name = plain_heading(chunk.heading.split(TRAIL)[-1]) if chunk.heading else ""
    if (
        not name.endswith("?")
        or name.isupper()
        or len(name.split()) < 3
        or not there
        or plain_heading(there[0].text) != name
    ):
        return
    spans = _first_sentences(chunk, there[1:], 3)
    if (
        not spans
        or dangling(chunk.text[spans[0][0] : spans[0][1]])
        or speaks_of_itself(chunk.text[spans[0][0] : spans[-1][1]])
    ):
        return
    question = re.split(r"(?<=[.!])\s+", name)[-1]
    answer, proof = _verbatim(chunk, spans, voice)
    question = swap_persons(question) if "you" in question.casefold().split() else question
    known = clear(question, corpus) and not points_back(question)
    yield Draft(Kind.FACT, question, answer, (proof,), chunk, corpus.topic(chunk), "heading-asks", clear=known)


def _procedure(chunk: Chunk, there: Sequence[Line], corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """Numbered lines from the first to the last, when the whole list stands in the chunk."""
    steps = [line for line in there if line.number]
    if len(steps) < 2 or [line.number for line in steps] != list(range(1, len(steps) + 1)):
        return
    last = there[-1]
    if last is steps[-1] and len(steps) > 2 and len(chunk.text) > 700:
        return  # the list may go on in the next chunk
    lengths = [len(line.text.split()) for line in steps]
    if sum(lengths) > _MOST_STEP_WORDS or min(lengths) < 2 or max(lengths) > 45:
        return
    if any(line.text.endswith(":") for line in steps):
        return  # what belongs to the step, often a command, stands in a line of its own
    topic = corpus.topic(chunk)
    doing = sum(
        (clause := parse(line.text.split(". ")[0], corpus.lower)) is not None and clause.order for line in steps
    )
    if not topic or doing * 2 < len(steps):
        return
    text = "\n".join(f"{n}. {cited(' '.join(line.text.split()), 1, voice)}" for n, line in enumerate(steps, start=1))
    proof = evidence(chunk, steps[0].start, steps[-1].end)
    for question in _how_to(chunk, topic):
        yield Draft(Kind.PROCEDURE, question, text, (proof,), chunk, topic, "procedure", demand="List the steps.")
    ordinals = ("first", "second", "third", "fourth", "fifth", "sixth")
    for place, line in list(enumerate(steps[:6]))[::2]:
        if 4 <= len(line.text.split()) <= 30 and not dangling(line.text):
            one = evidence(chunk, line.start, line.end)
            question = f"What is the {ordinals[place]} step for {topic}?"
            yield Draft(Kind.FACT, question, cited(full_sentence(line.text), 1, voice), (one,), chunk, topic, "step")


def _how_to(chunk: Chunk, topic: str) -> list[str]:
    heading = plain_heading(chunk.heading.split(TRAIL)[-1]) if chunk.heading else topic
    if match := _HOW_TO.match(heading):
        doing = swap_persons(heading[match.end() :].rstrip("?"))
        return [f"How do I {doing}?", f"What do I have to do to {doing}?"]
    first, _, rest = topic.partition(" ")
    if (verb := base_of_gerund(first)) and rest and not re.search(r"\band \w+ing\b|,", rest):
        doing = swap_persons(f"{verb} {rest}")
        return [f"How do I {doing}?", f"What are the steps for {topic}?"]
    return [f"What are the steps for {topic}?", f"What do I have to do for {topic}?"]


def _announced_list(chunk: Chunk, there: Sequence[Line], corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """A line that ends in a colon, and the bullets below it."""
    for place, line in enumerate(there[:-1]):
        if not line.text.endswith(":") or line.bullet or line.number:
            continue
        items = []
        for item in there[place + 1 :]:
            if not item.bullet:
                break
            items.append(item)
        cut = items and items[-1] is there[-1] and not re.search(r"[.!?]$", items[-1].text)
        if (
            len(items) < 2
            or (cut and len(chunk.text) > 600)
            or sum(len(item.text.split()) for item in items) > _MOST_LIST_WORDS
        ):
            continue
        if any(". " in item.text for item in items):
            continue
        start = sentence_spans(line.text)[-1][0] + line.start
        lead = chunk.text[start : line.end].rstrip(":").strip()
        clause = parse(lead, corpus.lower)
        topic = corpus.topic(chunk)
        if clause is None or dangling(lead) or clause.order or len(lead.split()) < 3:
            continue
        rest = (
            "do"
            if not clause.rest and clause.aux not in ("is", "are")
            else re.sub(r"\s*(?:the following|as follows|these)\b.*$", "", clause.rest)
        )
        question = clause.ask("What", re.sub(r"\binclude$", "include", rest))
        if re.search(r"\b(?:it|they|this|these)\b", question) or len(question.split()) < 4:
            continue
        proof = evidence(chunk, start, items[-1].end)
        answer = cited(f"{full_sentence(lead)} {joined([' '.join(item.text.split()) for item in items])}", 1, voice)
        yield Draft(
            Kind.POLICY,
            question,
            answer,
            (proof,),
            chunk,
            topic,
            "list",
            demand="Name all of them.",
            clear=len(question.split()) > 7,
        )


def _labels(chunk: Chunk, there: Sequence[Line], corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """`Label: what holds for it`, in a line of its own or at the beginning of a list item."""
    topic = corpus.topic(chunk)
    headings = {*chunk.heading.split(TRAIL), chunk.title}
    # A chunk may begin in the middle of a record, `column: value | column: value`.
    cut = bool(there) and " | " in chunk.text and there[0].text not in headings
    for line in there[1:] if cut else there:
        begin = without_mark(chunk.text, line.start, line.end)
        match = _LABEL.match(chunk.text[begin : line.end])
        if (
            match is None
            or line.text in headings
            or match["label"].casefold() == topic.casefold()
            or " | " in line.text
            or line.number
            or _NO_LABEL.match(match["label"])
            or "@" in match["label"]
        ):
            continue
        label = match["label"]
        named = len(label.split()) <= 2 or match["mark"] == ":"
        if not named or parse(label, corpus.lower) or label.count("(") != label.count(")"):
            continue
        rest = begin + match.start("rest")
        spans = [(rest + s, rest + e) for s, e in sentence_spans(chunk.text[rest : line.end])][:2]
        if spans and sum(len(chunk.text[s:e].split()) for s, e in spans) > 45:
            spans = spans[:1]
        words = chunk.text[spans[0][0] : spans[-1][1]]
        if not 4 <= len(words.split()) <= 45 or speaks_of_itself(words) or words.endswith(":") or dangling(words):
            continue
        small = lower_first(label, corpus.lower)
        yield Draft(
            Kind.POLICY if len(spans) > 1 else Kind.FACT,
            _ABOUT[len(words) % 3].format(label=small),
            cited(_labelled(small, words, corpus), 1, voice),
            (evidence(chunk, begin, spans[-1][1]),),
            chunk,
            topic,
            "label",
            clear=False,
        )  # fmt: skip


def _labelled(label: str, words: str, corpus: Corpus) -> str:
    return f"For {label}: {lower_first(' '.join(words.split()), corpus.lower)}"


def _policy(chunk: Chunk, there: Sequence[Line], corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """The first two or three sentences of a section, when the chunk begins with its heading."""
    name = plain_heading(chunk.heading.split(TRAIL)[-1]) if chunk.heading else ""
    topic = corpus.topic(chunk)
    if (
        not name
        or name.endswith("?")
        or not there
        or plain_heading(there[0].text) != name
        or not topic
        or len(topic.split()) > 9
    ):
        return
    prose = [
        line
        for line in there[1:2]
        if not line.bullet and not line.number and " | " not in line.text and not line.text.endswith(":")
    ]
    spans = _first_sentences(chunk, prose, 3)
    first = chunk.text[spans[0][0] : spans[0][1]] if spans else ""
    if len(spans) < 2 or dangling(first) or not has_verb(first):
        return
    answer, proof = _verbatim(chunk, spans, voice)
    questions = (
        f"What are the rules on {topic}?",
        f"How is {topic} handled?",
        f"What do I need to know about {topic}?",
    )
    if base_of_gerund(topic.split()[0]):
        questions = (
            f"What do I need to know about {topic}?",
            f"What should I know before {topic}?",
            f"What are the rules for {topic}?",
        )
    yield Draft(Kind.POLICY, questions[len(topic) % 3], answer, (proof,), chunk, topic, "policy")


def _first_sentences(chunk: Chunk, there: Sequence[Line], most: int) -> list[tuple[int, int]]:
    """The places of the first whole sentences of some lines, while they fit into a short answer."""
    spans: list[tuple[int, int]] = []
    words = 0
    for line in there:
        if line.bullet or line.number or " | " in line.text:
            break
        for start, end in sentence_spans(chunk.text[line.start : line.end]):
            text = chunk.text[line.start + start : line.start + end]
            words += len(text.split())
            if words > _ANSWER_WORDS or len(spans) == most or not re.search(r"[.!]$", text):
                return spans
            spans.append((line.start + start, line.start + end))
    return spans


def _verbatim(chunk: Chunk, spans: Sequence[tuple[int, int]], voice: Voice) -> tuple[str, Evidence]:
    proof = evidence(chunk, spans[0][0], spans[-1][1])
    return cited(full_sentence(" ".join(chunk.text[s:e] for s, e in spans)), 1, voice), proof
