"""How a question is worded: formal, terse, or after a situation. Words are moved, cut and mistyped; no facts change.

The same draft, style and random state give the same wording. Asks no model.
"""

import random
import re
from enum import StrEnum

from finetune.curation.pairs import Kind
from finetune.synthesis.drafts import Draft
from finetune.synthesis.english import upper_first, word_set


class Style(StrEnum):
    """How people ask."""

    PLAIN = "plain"
    FORMAL = "formal"
    TERSE = "terse"
    INDIRECT = "indirect"


STYLES = tuple(Style)

_SITUATIONS = (
    "I am looking into {topic}.",
    "A colleague just asked me about {topic}, and I did not know what to say.",
    "I am new here and reading up on {topic}.",
    "This is about {topic}.",
    "My question is on {topic}.",
    "We were talking about {topic} at lunch and nobody was sure.",
    "I have to deal with {topic} this week.",
    "I could not find my way through the page on {topic}.",
    "My manager wants me to sort out {topic} today.",
    "It is the first time that I have to do with {topic}.",
    "I am preparing a note on {topic} for my team.",
    "Sorry to bother you with {topic} again.",
    "Someone told me something else about {topic}, so I want to be sure.",
    "I need this for {topic}.",
    "I am stuck with {topic}.",
    "There is some confusion in our team about {topic}.",
    "I came back from holiday and have forgotten everything about {topic}.",
    "I am helping a new colleague with {topic}.",
)
_NO_TOPIC = (
    "I have been asked this by a colleague.",
    "Quick question before my next meeting.",
    "I want to be sure before I do something wrong.",
    "I searched the intranet and found nothing.",
    "Maybe a silly question, but I would like to know.",
    "My team could not agree on this.",
)
_POLITE = (
    "Could you please tell me: {question}",
    "{question} Please be exact.",
    "I would like to know: {question}",
    "Please help me with the following. {question}",
    "{question} Thank you.",
    "Hello, {question}",
    "A question about {topic}: {question}",
    "Regarding {topic}: {question}",
    "With respect to {topic}, {question}",
)
_DEMANDS = (
    "Please answer in one sentence.",
    "A short answer will do.",
    "Please be specific.",
    "Just the essentials, please.",
)
_LEADING = re.compile(
    r"^(?:what (?:is|are|was|were|does|do) (?=the |my |your |a |an )|what (?:is|are) |who (?:is|are) (?=the )|"
    r"(?:do|does|can|may|must|should|is|are) (?=i |you |the |my |a |an |we )|what applies to |what about |tell me |"
    r"what (?:do i need|should i) (?:to )?know about )"
)
_IDLE = word_set(
    "a an the is are was were am do does did be been i you we my your our it please that have has must should shall"
)
_SHORT = {
    "information": "info", "department": "dept", "maximum": "max", "minimum": "min", "manager": "mgr", "number": "nr",
    "appointment": "appt", "application": "app", "document": "doc", "documents": "docs", "and": "+", "working": "work",
    "without": "w/o", "people": "ppl", "reference": "ref", "account": "acct", "percentage": "%",
}  # fmt: skip
_TYPO_FREE = re.compile(r"[^a-z]|^.{0,4}$")


def word(draft: Draft, style: Style, rng: random.Random) -> str:
    """Word a draft's question in a style."""
    if draft.history:
        short = _terse(draft.question, rng)
        return draft.question if style is not Style.TERSE else short if " " in short else f"and {short}"
    match style:
        case Style.TERSE:
            return _short(draft, rng)
        case Style.INDIRECT:
            return f"{_situation(draft, rng)} {draft.question}{_demand(draft, rng, 0.15)}"
        case Style.FORMAL:
            return _formal(draft, rng)
        case Style.PLAIN:
            if not draft.clear and draft.topic:
                return _placed(draft, rng)
            return draft.question + _demand(draft, rng, 0.25)


def _placed(draft: Draft, rng: random.Random) -> str:
    """A question that says what it is about."""
    question, topic = draft.question, draft.topic
    if _holds(question, topic):
        return question + _demand(draft, rng, 0.2)
    forms = (
        f"{upper_first(topic)}: {_uncapped(question)}",
        f"On {topic}: {_uncapped(question)}",
        f"{question[:-1]} ({topic})?",
    )
    return rng.choice(forms) + _demand(draft, rng, 0.1)


def _formal(draft: Draft, rng: random.Random) -> str:
    apart = bool(draft.topic) and not _holds(draft.question, draft.topic)
    with_topic = apart and (not draft.clear or rng.random() < 0.4)
    forms = [form for form in _POLITE if ("{topic}" in form) == with_topic]
    form = rng.choice(forms)
    question = _uncapped(draft.question) if re.search(r"[:,] \{question", form) else draft.question
    return upper_first(form.format(question=question, topic=draft.topic)) + _demand(draft, rng, 0.2)


def _situation(draft: Draft, rng: random.Random) -> str:
    forms = _SITUATIONS if draft.topic and len(draft.topic.split()) <= 8 else _NO_TOPIC
    if _holds(draft.question, draft.topic) or (draft.clear and rng.random() < 0.25):
        forms = _NO_TOPIC
    return rng.choice(forms).format(topic=draft.topic)


def _short(draft: Draft, rng: random.Random) -> str:
    text = _terse(draft.question, rng)
    bare = len(text.split()) < 3 or not draft.clear
    if bare and draft.topic and not _holds(draft.question, draft.topic):
        topic = re.sub(
            r"(?: (?:and|or|of|for|to|in|on|the|with|at|by|from|their|its|\+))+$",
            "",
            " ".join(_key_words(draft.topic.casefold())[:4]),
        )
        text = f"{topic} {text}" if rng.random() < 0.5 else f"{text.rstrip('? ')} {topic}"
    if draft.kind is Kind.PROCEDURE and rng.random() < 0.3:
        text = re.sub(r"^how (?:do i )?", "how to ", text)
    return text


def _terse(question: str, rng: random.Random) -> str:
    """Key words in lower case, now and then shortened or mistyped."""
    text = question.rstrip("?").casefold() if rng.random() < 0.9 else question.rstrip("?")
    text = _LEADING.sub("", text)
    words = _key_words(text)
    if rng.random() < 0.3:
        words = [_SHORT.get(one, one) for one in words]
    if rng.random() < 0.35:
        words = _mistyped(words, rng)
    end = rng.choice(("", "", "", "?", "??"))
    return " ".join(words) + end


def _key_words(text: str) -> list[str]:
    words = [one.strip(",:") for one in text.split()]
    kept = [one for one in words if one and one.casefold() not in _IDLE]
    return kept or words


def _mistyped(words: list[str], rng: random.Random) -> list[str]:
    """One word of small letters with two letters exchanged, one left out or one doubled; never its first."""
    places = [place for place, one in enumerate(words) if not _TYPO_FREE.search(one)]
    if not places:
        return words
    place = rng.choice(places)
    one = words[place]
    at = rng.randrange(1, len(one) - 2)
    match rng.randrange(3):
        case 0:
            one = one[:at] + one[at + 1] + one[at] + one[at + 2 :]
        case 1:
            one = one[:at] + one[at + 1 :]
        case _:
            one = one[:at] + one[at] + one[at:]
    return [*words[:place], one, *words[place + 1 :]]


def _demand(draft: Draft, rng: random.Random, share: float) -> str:
    if rng.random() >= share:
        return ""
    if draft.demand:
        return f" {draft.demand}"
    return (
        f" {rng.choice(_DEMANDS)}" if draft.kind in (Kind.FACT, Kind.TABLE, Kind.POLICY) and rng.random() < 0.5 else ""
    )


def _holds(question: str, topic: str) -> bool:
    """Whether a question says its topic already."""
    words = {one[:5] for one in re.findall(r"[^\W\d_]{4,}", topic.casefold())}
    return bool(words) and len(
        words & {one[:5] for one in re.findall(r"[^\W\d_]{4,}", question.casefold())}
    ) * 2 >= len(words)


def _uncapped(question: str) -> str:
    first = question.split()[0]
    return question[0].lower() + question[1:] if first[1:].islower() or (len(first) == 1 and first != "I") else question
