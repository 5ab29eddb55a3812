"""Personal data in a text, masked and counted: mail addresses, phone numbers, bank accounts, cards and names.

The rule. What stands in a document that everyone may read is what the company itself published: its help-desk address
and numbers are part of the answer and stay. Transcripts and a company's own pairs are masked, except for what is so
published (`published` collects it). Extensions of an office ("ext. 4911") are nobody's own and always stay.

Accounts and cards are known by their checksums (ISO 13616 mod 97, ISO/IEC 7812 Luhn). Names are masked only where
something says that they are names; a name without such a sign stays.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from ingest.records import EVERYONE, Chunk

KINDS = ("iban", "card", "mail", "phone", "name")
"""Every kind that is masked, in the order in which it is looked for: a card's digits are no phone number."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without its personal data, and how much of each kind there was."""

    text: str
    counts: Counter[str]


_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![A-Za-z0-9])", re.IGNORECASE)
_CARD = re.compile(r"(?<![\w.,-])(?<![A-Z]{2}\d{2} )\d(?:[ -]?\d){12,18}(?![\w-]|[.,]\d)")
_MAIL = re.compile(r"(?<![\w.+%-])[\w+%-][\w.+%-]{0,63}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}(?![\w-])")
_PHONE = re.compile(
    r"""
    (?<![\w+.,:/-]) (?:
        (?:\+|00)[1-9]\d{0,2}(?:[ ./-]?(?:\(\d{1,5}\)|\d{1,5})){2,6}        # +31 10 555 0142, 0031-10-5550142
      | (?:\(0\d{1,5}\)|0\d{1,5})(?:[ ./-]?\d{1,8}){1,5}                    # 020 7946 0958, (0221) 12345-67
      | (?:1[ .-])?(?:\([2-9]\d{2}\)\ ?|[2-9]\d{2}[.-])\d{3}[.-]\d{4}   # (303) 555-0142
    ) (?![\w-]|[.,:/]\d)
    """,
    re.VERBOSE,
)
_ISSUED = re.compile(r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|6\d{12,18}")
"""Visa, Mastercard (5 and 2), American Express, Diners Club, JCB, and those that begin with 6, by digits and length."""
_DATE_OR_TIME = re.compile(r"^\(?\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})\b|^\d{2}\.\d{2} ?- ?\d{2}\.\d{2}$")

_CAPITAL = r"[A-Z\u00C0-\u00DE\u0100-\u017F]"
_NAME_WORD = rf"{_CAPITAL}(?:[^\W\d_]|['’-](?=[^\W\d_]))+"
_PARTICLES = ("van", "von", "der", "den", "de", "la", "del", "di", "da", "du", "le", "bin", "al", "ter", "ten", "zu")
_FULL_NAME = (
    rf"{_NAME_WORD}(?:[ \t]+(?:(?:{'|'.join(_PARTICLES)})[ \t]+){{0,2}}(?:{_CAPITAL}\.[ \t]?)?{_NAME_WORD}){{0,3}}"
)
_SIGNS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        rf"\b(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Herrn?|Frau|Monsieur|Madame|Mme|Mlle|Señora?|Sra?)\b\.?[ \t]+"
        rf"({_FULL_NAME})",
        rf"\b(?i:(?:full |first |last |family )?name|employee|caller|requester|requested by|reported by|contact person)"
        rf"[ \t]*(?:is|:|=)[ \t]*({_FULL_NAME})",
        rf"\b(?i:hi|hello|hey|dear|good morning|good afternoon|thanks|thank you)[ \t]+({_FULL_NAME})"
        r"(?=[ \t]*(?:[,!.]|-|–|$))",
        rf"\b(?i:my name is|this is|I am|I'm)[ \t]+({_FULL_NAME})"
        r"(?=[ \t]*(?:,|\.|!|here\b|speaking\b|from\b|at the\b|$))",
        rf"(?i:(?:kind|best|warm|many|with kind)?[ \t]?(?:regards|wishes|greetings)|sincerely|cheers|yours(?: truly)?|"
        rf"thanks|thank you|mfg|mit freundlichen grüßen|cordialement)[ \t]*[,.!]?[ \t]*\n+[ \t]*({_FULL_NAME})[ \t]*$",
    )
)
"""What says that a name follows: a title, a field, a greeting, an introduction, a signature. Group 1 is the name."""

_NO_NAMES = (
    "all team everyone everybody colleague colleagues sir madam there folks support service desk help it hr again you "
    "people office payroll security finance legal sales marketing facilities reception info admin contact noreply mail "
    "office manager customer user agent assistant the this that and for your our not very much so a an in on from just "
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december english german french dutch american british account accounts billing desk "
    "helpdesk servicedesk postmaster webmaster jobs careers press privacy training travel canteen visitors operations "
    "events outreach cards onboarding devops speakers inquiries ops tech equipment research software news hello "
    "name mail phone iban card system sure certainly yes no mr mrs ms mx dr prof herr frau"
)
NO_NAMES = frozenset(_NO_NAMES.split())
"""Words that a greeting or an address may have in a name's place."""
_LONGEST_LOCAL_NAMES = 3
FEWEST_DIGITS = 8
"""Digits of a bank account number: one run of words in ninety-seven has the right checksum too."""


def mask(text: str, keep: Collection[str] = (), names: Iterable[str] = ()) -> Masked:
    """Replace personal data by `<mail>`, `<phone>`, `<iban>`, `<card>` and `<name>`.

    Args:
        text: anything that people wrote.
        keep: what the company published itself, as `published` gives it.
        names: names that are known already, those of a transcript's speakers for instance.

    Returns:
        The text and the counts. What is masked once stays as it is: masking is idempotent.
    """
    counts: Counter[str] = Counter()
    known = [*names, *_named(text)]
    for kind, pattern, holds in _PATTERNS:
        spans = [one for one in _found(text, pattern, holds) if _key(text[slice(*one)]) not in keep]
        for start, end in reversed(spans):
            text = f"{text[:start]}<{kind}>{text[end:]}"
        counts[kind] += len(spans)
    text, counts["name"] = _without_names(text, known)
    return Masked(text, +counts)


def published(chunks: Iterable[Chunk]) -> frozenset[str]:
    """Addresses, numbers and accounts in what everyone may read: the company's own, to be kept by `mask`."""
    return frozenset(
        _key(chunk.text[start:end])
        for chunk in chunks
        if EVERYONE in chunk.access
        for _, pattern, holds in _PATTERNS
        for start, end in _found(chunk.text, pattern, holds)
    )


def is_iban(text: str) -> bool:
    """Whether a text is an international bank account number: its checksum (mod 97) is 1, spaces ignored."""
    plain = re.sub(r"[ -]", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", plain) or sum(one.isdigit() for one in plain) < FEWEST_DIGITS:
        return False
    return int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1


def is_card(text: str) -> bool:
    """Whether a text is a payment card's number: as long as its issuer's are, with a Luhn sum that ends in 0."""
    plain = "".join(one for one in text if one.isdigit())
    if not _ISSUED.fullmatch(plain) or len(set(plain)) == 1:
        return False
    digits = [int(one) for one in reversed(plain)]
    return sum(one if place % 2 == 0 else one * 2 - 9 * (one > 4) for place, one in enumerate(digits)) % 10 == 0


def _found(text: str, pattern: re.Pattern[str], holds: Callable[[str], bool]) -> Iterator[tuple[int, int]]:
    """Where what a pattern looks for stands.

    What goes before or after a number may look like more of it, so the beginnings of a match are tried too, the longest
    first, and after a failure the next match begins inside it.
    """
    at = 0
    while match := pattern.search(text, at):
        start, end = match.span()
        ends = [
            end,
            *(place for place in range(end - 1, start, -1) if text[place] in " -" and text[place - 1].isalnum()),
        ]
        longest = next((place for place in ends if holds(text[start:place])), None)
        if longest is not None:
            yield start, longest
        at = longest or start + 1


def _is_phone(text: str) -> bool:
    digits = sum(one.isdigit() for one in text)
    return 9 <= digits <= 15 and not _DATE_OR_TIME.search(text)


_PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("iban", _IBAN, is_iban),
    ("card", _CARD, is_card),
    ("mail", _MAIL, bool),
    ("phone", _PHONE, _is_phone),
)


def _named(text: str) -> Iterator[str]:
    """The names that a text gives away by a sign, and those that its mail addresses spell."""
    for sign in _SIGNS:
        for match in sign.finditer(text):
            yield match[1]
    for match in _MAIL.finditer(text):
        parts = re.split(r"[._-]", match[0].partition("@")[0])
        if len(parts) <= _LONGEST_LOCAL_NAMES and all(part.isalpha() and len(part) > 1 for part in parts):
            yield " ".join(part.capitalize() for part in parts)


def _without_names(text: str, names: Iterable[str]) -> tuple[str, int]:
    """Mask names as they are written, whole first, then their parts; "will" is no Will."""
    wholes = {" ".join(name.split()) for name in names}
    wholes |= {name.title() for name in wholes if name.isupper()}
    wholes = {name for name in wholes if not NO_NAMES & {word.casefold() for word in name.split()}}
    parts = {word for name in wholes for word in name.split() if len(word) > 2 and word not in _PARTICLES}
    wanted = sorted((name for name in wholes | parts if len(name) > 1 and name[0].isupper()), key=len, reverse=True)
    if not wanted:
        return text, 0
    alternatives = "|".join(r"[ \t]+".join(map(re.escape, name.split())) for name in wanted)
    return re.subn(rf"(?<![\w<])(?:{alternatives})(?![\w>]|['’-](?!s\b)\w)", "<name>", text)


def _key(text: str) -> str:
    """How two spellings of one address or number are told to be one."""
    return text.casefold() if "@" in text else re.sub(r"[^0-9a-z]", "", text.casefold())
