"""What of a sentence stands in a text: its numbers, links, addresses and commands, and its content words.

Decided by characters; nothing here asks a model. Knows nothing of pairs.
"""

import re

_LINK = re.compile(r"(?:https?://|www\.)[^\s<>\"'`)\]]+", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_QUOTED_CODE = re.compile(r"`([^`\n]+)`")
_CODE = re.compile(
    r"""
    (?<!\S)--?[A-Za-z][\w-]*                          # --flag, -x
    | \b[A-Za-z]:\\\S+ | (?<![\w.])~?/[\w.-]+/[\w./-]+    # C:\folder, /etc/hosts
    | \b\w+(?:\.\w+)*_\w+\b                           # snake_case
    | \b[A-Za-z][\w-]+(?:\.[A-Za-z][\w-]+)+\b         # host.example, file.txt
    | \b[A-Za-z]+-?\d[\w-]*\b                         # K2, Brightwater-443, INC0012
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_THOUSANDS = re.compile(r"[.,](?=\d{3}(?!\d))")
_WORD = re.compile(r"[^\W\d_]{3,}")
_STEP = re.compile(r"^\s*\d{1,2}[.)]\s+", re.MULTILINE)

_WRITTEN = (
    "two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9 ten 10 eleven 11 twelve 12 fifteen 15 twenty 20 "
    "thirty 30 forty 40 fifty 50 sixty 60 seventy 70 eighty 80 ninety 90 hundred 100"
)
_NUMBER_WORDS = dict(zip(_WRITTEN.split()[::2], _WRITTEN.split()[1::2], strict=True))
"""Numbers that are written out; "one" is an article more often than a number."""

_IDLE = (
    "the and for are but you your yours our ours all any can could may might must shall should will would was were "
    "has have had does did done been being this that these those there here what which who whom whose when where why "
    "how with from into onto over under than then them they their its his her him she also only just very more most "
    "some such each every both either about after before until while because per via yes please need get use"
)
IDLE = frozenset(_IDLE.split())
"""Words that say little about what a text is about. Negations are not among them: an answer turns on them."""


def hard_tokens(text: str) -> frozenset[str]:
    """Links, mail addresses and code-like tokens of a text, case folded: what must be copied and not reworded."""
    found: set[str] = set()
    for pattern in (_LINK, _MAIL, _QUOTED_CODE):
        found |= {match[match.re.groups] for match in pattern.finditer(text)}
        text = pattern.sub(" ", text)
    found |= set(_CODE.findall(text))
    return frozenset(token.rstrip(".,;:!?").casefold() for token in found) - {""}


def numbers(text: str) -> frozenset[str]:
    """The numbers of a text; 1,200 and 1200 are one number, so are "five" and 5; 12.50 and 12.5 are two."""
    written = {_NUMBER_WORDS[word] for word in re.findall(r"[a-z]+", text.casefold()) if word in _NUMBER_WORDS}
    return frozenset({_THOUSANDS.sub("", match) for match in _NUMBER.findall(text)} | written)


def content_words(text: str) -> frozenset[str]:
    """The words that carry a text's meaning, cut to six letters, so that "approves" and "approved" are one."""
    words = _WORD.findall(text.casefold())
    return frozenset(word[:6] for word in words if word not in IDLE)


def without_step_numbers(text: str) -> str:
    """A text without the numbers of its list items, which are the answer's own and stand in no source."""
    return _STEP.sub("", text)


def missing_facts(claim: str, source: str) -> list[str]:
    """Numbers, links, addresses and commands of a claim that its source does not hold."""
    claim = without_step_numbers(claim)
    missing = sorted(numbers(claim) - numbers(source))
    folded = " ".join(source.casefold().split())
    return missing + [token for token in sorted(hard_tokens(claim)) if not _stands(" ".join(token.split()), folded)]


def share_of_words(claim: str, source: str) -> float:
    """Content-word precision: the share of a claim's content words that its source holds, 0 to 1; 1 without any."""
    own = content_words(claim)
    return len(own & content_words(source)) / len(own) if own else 1.0


def _stands(token: str, text: str) -> bool:
    at = text.find(token)
    while at >= 0:
        end = at + len(token)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (before.isalnum() and token[0].isalnum()) and not (after.isalnum() and token[-1].isalnum()):
            return True
        at = text.find(token, at + 1)
    return False
