"""What a question asks for, as far as its words tell, and whether a sentence has such a thing.

An amount for "how much", a time for "when", a name or an office for "who". English; a question in other words asks for
nothing here. Knows patterns; knows neither vectors nor models.
"""

import re

from finetune.synthesis.fact_patterns import CLOCK, DATE, MONTH, NUMBER, SOMEBODY, TIME_UNIT

_ASKS = (
    re.compile(
        r"\bhow (?:much|many|far|large|big|heavy|high)\b|"
        r"\b(?:amount|price|costs?|rate|fee|percentage|number|limit|maximum|minimum|budget|cap)\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\bwhen\b|\bhow (?:long|often|soon|late|early|quickly|quick|fast|old)\b|\bwhat time\b|"
        r"\b(?:which|what) (?:day|date|month|hours)\b|\bdeadline\b",
        re.IGNORECASE,
    ),
    re.compile(r"\bwho(?:m|se)?\b", re.IGNORECASE),
)
_OFFICE = SOMEBODY.pattern.removesuffix("$")
_HAS = (
    re.compile(rf"\d|\b{NUMBER}\b", re.IGNORECASE),
    re.compile(
        rf"\b{NUMBER}[\s-]{TIME_UNIT}\b|\b{CLOCK}|\b{DATE}\b|\b{MONTH}\b|\b\d{{4}}\b|"
        r"\b(?:daily|weekly|monthly|quarterly|yearly|annually|immediately|at once)\b|"
        r"\b(?:every|each|once an?|per|same|next|following) (?:\w+ )?(?:hour|day|week|month|quarter|year)\b",
        re.IGNORECASE,
    ),
    re.compile(rf"\b[^\W\d_a-z][a-zà-ÿ]+ [^\W\d_a-z][a-zà-ÿ]+\b|@|\bext\.|(?i:{_OFFICE}s?\b)"),
)


def asked_for(question: str) -> tuple[re.Pattern[str], ...]:
    """Patterns of what an answer must have, as far as the question tells; often none."""
    return tuple(has for asks, has in zip(_ASKS, _HAS, strict=True) if asks.search(question))


def has_what_is_asked_for(text: str, wanted: tuple[re.Pattern[str], ...]) -> int:
    """1 where a text has something of what is asked for, -1 where it has nothing of it, 0 where nothing is."""
    return (1 if any(one.search(text) for one in wanted) else -1) if wanted else 0
