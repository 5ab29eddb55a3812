"""Is an answer in the house form? Every rule is decided by its characters; nothing here asks a model.

The same rules filter training data, score the format in evaluation and guard the chat.
"""

import re
from dataclasses import dataclass

from finetune.voice import Voice
from ingest.sentences import sentence_spans

RULES = (
    "empty",
    "refusal",
    "length",
    "opening",
    "layout",
    "steps",
    "citation",
    "citation-number",
    "banned",
    "echo",
    "unfinished",
)
"""Every rule by its name, in the order in which broken ones are reported."""

_STEP = re.compile(r"^(\d{1,2})\.\s+(?=\S)")
_OTHER_STEP = re.compile(r"^(?:[-*•–]\s|\d{1,2}\)\s|\(\d{1,2}\)\s|[a-z][.)]\s)")
_LAYOUT = re.compile(r"^\s*#|^\s*\||```|\*\*|__\w|^\s*>|<[a-z/][^>]*>|\n\s*\n", re.MULTILINE | re.IGNORECASE)
_OPENING = re.compile(
    r"^(?:(?:sure|certainly|of course|great question|hello|hi|dear)\b|(?:the )?answer(?: is)?:|question:|[#*|>:;,.•-])",
    re.IGNORECASE,
)
_ECHO = re.compile(r"<<<|>>>|\bpassages? \d+\b|\bpassages? above\b|\busing only\b|<\|im_", re.IGNORECASE)
_FOREIGN_MARKER = re.compile(r"\[\s*\d{1,3}\s*\]|\(\s*(?:passage|source|doc(?:ument)?)s?\s*\d+\s*\)", re.IGNORECASE)
_STOP = re.compile(r"[.!?…:;。！？]$")


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule of the house form that an answer breaks, and where."""

    rule: str
    detail: str


def check(answer: str, voice: Voice, passages: int) -> tuple[Broken, ...]:
    """Name every rule of the house form that an answer breaks; none when it is in form.

    Args:
        answer: with its citation markers, as written.
        voice: the house style.
        passages: how many passages the answer could cite; 0 in the modes without retrieval, which cite nothing.

    Returns:
        Broken rules in the order of `RULES`. A refusal is in form when it is the house's refusal, whole and alone.
    """
    text = answer.strip()
    if not text:
        return (Broken("empty", "the answer says nothing"),)
    if voice.refusal.text in " ".join(text.split()):
        whole = " ".join(text.split()) == voice.decline
        return () if whole else (Broken("refusal", "the refusal stands beside something else, or lacks its hand-over"),)
    found = [*_form(text, voice), *_steps(text, voice), *_citations(text, voice, passages)]
    return tuple(sorted(found, key=lambda broken: RULES.index(broken.rule)))


def _form(text: str, voice: Voice) -> list[Broken]:
    words = len(voice.marker.sub(" ", text).split())
    low = text.casefold()
    found = []
    if words > voice.answer.longest_words:
        found.append(Broken("length", f"{words} words, {voice.answer.longest_words} at most"))
    if match := _OPENING.match(text):
        found.append(Broken("opening", f"begins with {match[0]!r} and not with the answer"))
    if match := _LAYOUT.search(text):
        found.append(Broken("layout", f"{match[0].strip() or 'an empty line'!r} is no plain text"))
    found += [Broken("banned", f"says {one!r}") for one in voice.banned.phrases if _says(low, one)]
    if match := _ECHO.search(text):
        found.append(Broken("echo", f"repeats the prompt: {match[0]!r}"))
    if not _STOP.search(voice.marker.sub("", text).rstrip(" \"'”’)")):
        found.append(Broken("unfinished", "ends without a stop"))
    return found


def _says(text: str, phrase: str) -> bool:
    """Whether a phrase stands there as whole words: "as an airline" does not say "as an AI"."""
    return re.search(rf"(?<!\w){re.escape(phrase.casefold())}(?!\w)", text) is not None


def _steps(text: str, voice: Voice) -> list[Broken]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbers = [int(match[1]) for line in lines if (match := _STEP.match(line))]
    if other := next((line for line in lines if _OTHER_STEP.match(line)), None):
        return [Broken("steps", f"{other[:20]!r} is not how the house numbers its steps")]
    if numbers and voice.answer.steps == "prose":
        return [Broken("steps", "the house writes no lists")]
    if numbers and numbers != list(range(1, len(numbers) + 1)):
        return [Broken("steps", f"the steps are numbered {numbers}")]
    return [Broken("steps", "a list of one step")] if len(numbers) == 1 else []


def _citations(text: str, voice: Voice, passages: int) -> list[Broken]:
    cited = [int(n) for n in voice.marker.findall(text)]
    found = []
    if wrong := [n for n in cited if not 1 <= n <= passages]:
        found.append(Broken("citation-number", f"there is no passage {wrong[0]}"))
    if match := _FOREIGN_MARKER.search(voice.marker.sub("", text)):
        found.append(Broken("citation", f"{match[0]!r} is not how the house cites"))
    if passages:
        bare = [one for one in _claims(text) if not voice.marker.search(one)]
        if bare:
            found.append(Broken("citation", f"no citation in {bare[0][:60]!r}"))
    return found


def _claims(text: str) -> list[str]:
    """The sentences that state something; a line that announces a list, and a yes or no, need no citation."""
    sentences = (text[start:end] for start, end in sentence_spans(text))
    return [one for one in sentences if not one.rstrip().endswith(":") and len(_STEP.sub("", one).split()) > 2]
