"""Questions about single sentences, made by rule. Knows which sentences stand for themselves; asks no model."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from finetune.curation.pairs import Kind
from finetune.synthesis.drafts import Corpus, Draft, cited, evidence, full_sentence, without_mark
from finetune.synthesis.english import dangling, speaks_of_itself, word_set
from finetune.synthesis.fact_questions import ask_facts
from finetune.voice import Voice
from ingest.chunk import TRAIL
from ingest.records import Chunk
from ingest.sentences import sentence_spans

_MOST_WORDS = 45
_LABEL = re.compile(r"^(?:[A-Z]\d{0,2}\.\s+)?[A-Z][\w' -]{2,30}[.:]\s+(?=[A-Z])")
_META = re.compile(
    r"^(?:owner|page owner|contact|last (?:reviewed|updated|changed|touched)|reviewed|version|from|to|cc|date|"
    r"subject|regards|kept by|valid from|approved by|author|updated|audience|status|table of contents|back to top|"
    r"figure|photo)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a chunk that can stand alone as an answer: its place and its words."""

    chunk: Chunk
    start: int
    end: int
    text: str


def sentences(chunk: Chunk) -> list[Sentence]:
    """The sentences of a chunk that do not lean on another one."""
    found = []
    headings = {part.strip() for part in chunk.heading.split(TRAIL)} | {chunk.title.strip()}
    for start, end in sentence_spans(chunk.text):
        begin = without_mark(chunk.text, start, end)
        text = chunk.text[begin:end]
        words = text.split()
        if not 4 <= len(words) <= _MOST_WORDS or " | " in text or text in headings or text.endswith((":", "?")):
            continue
        if dangling(text) or speaks_of_itself(text) or _META.match(text) or not re.match(r"[\"“']?[A-Z0-9€$£]", text):
            continue
        if text.count("(") != text.count(")") or "@" in words[0]:
            continue
        found.append(Sentence(chunk, begin, end, text))
    return found


def ask_sentences(chunk: Chunk, corpus: Corpus, voice: Voice) -> Iterator[Draft]:
    """Every question that a rule can ask about a sentence of a chunk."""
    topic = corpus.topic(chunk)
    for sentence in sentences(chunk):
        for asked in ask_facts(sentence.text, corpus.lower):
            answer = asked.prefix + cited(full_sentence(sentence.text), 1, voice)
            proof = evidence(chunk, sentence.start, sentence.end)
            kind = Kind.POLICY if asked.way in ("yes-no", "condition") else Kind.FACT
            yield Draft(
                kind, asked.question, answer, (proof,), chunk, topic, asked.way,
                demand=asked.demand, clear=clear(asked.question, corpus),
            )  # fmt: skip


def clear(question: str, corpus: Corpus) -> bool:
    """Whether a question names what it is about: by a proper name, or by four words that carry meaning."""
    words = [word for word in re.findall(r"[A-Za-z][\w'’-]{3,}", question) if word.casefold() not in _EMPTY]
    return len(words) >= 4 or any(word.casefold() in corpus.names for word in words)


_EMPTY = word_set(
    "what when where which whose within many days hours working weeks months minutes years long much "
    "after before have must does should there could with from that this they them your most least amount "
    "happens upto people person"
)
