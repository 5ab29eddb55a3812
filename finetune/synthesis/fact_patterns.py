"""What limits, amounts, times, places, agents and conditions look like in an English clause. Plain patterns."""

import re

NUMBER = (
    r"(?:\d[\d.,]*\d|\d|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|"
    r"fifty|sixty|ninety)"
)
TIME_UNIT = r"(?:(?:working|calendar|business|full)\s)?(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|nights?)"
TAIL = (
    r"(?P<tail>\s+(?:of|after|from|before|following|in advance|ahead)\b"
    r"(?:\s+(?!(?:and|or|when|if|in|at|on|to|for|with|by|per|is|are)\b)[\w'’-]+){0,5})?"
)
LIMIT = re.compile(
    rf"\b(?P<prep>within|in|after|for|every|once every|up to|at least|at most|no more than|not more than|a maximum "
    rf"of|no later than|not later than|more than|less than|about|only)\s+(?P<more>about |at least |at most |up to |"
    rf"the (?:first|last|next|past) )?(?P<number>{NUMBER})(?:\s?(?:to|or|–|"
    rf"-)\s?{NUMBER})?[\s-](?P<unit>{TIME_UNIT})\b{TAIL}",
    re.IGNORECASE,
)
DURATION = re.compile(
    rf"^(?P<verb>\S+)\s+(?:about |only |up to |at least |at most )?{NUMBER}(?:\s?(?:to|or|–|"
    rf"-)\s?{NUMBER})?\s(?P<unit>{TIME_UNIT})\b"
)
NOUN = (
    r"(?:(?!(?:about|and|for|from|the|are|was|were|after|before|with|per)\b)(?:[a-z]{3,}|IT|HR)\s)?(?!(?:per|and|"
    r"for|from|the|are|was|were|after|before|with)\b)[a-z]{3,}s\b(?!\s+per)"
)
COUNT = re.compile(
    rf"\b(?P<lead>up to |at least |at most |no more than |not more than |a maximum of |about |only |over "
    rf")?(?P<number>{NUMBER})\s(?P<unit>people|persons|characters|{NOUN}|MB|GB|TB|kg|km)(?!\S)"
)
MONEY = (
    r"(?:(?:€|£|EUR |USD |GBP |CHF |US\$)\s?\d[\d.,]*\d|(?:€|£|\$|EUR |USD )\d|\$\s?\d[\d.,]*\d|\d[\d.,]*\s?(?:EUR|"
    r"USD|GBP|CHF|euros?|dollars?|pounds|€|£)(?!\w)|\d[\d.,]*\s?(?:cents|eurocents?)\b)"
)
AMOUNT = re.compile(rf"\b(?P<prep>up to|at most|at least|above|below|over|under|of|about|from|for)?\s*(?P<sum>{MONEY})")
PERCENT = re.compile(
    r"\b(?P<prep>up to |at most |at least |about |by |only )?(?P<n>\d[\d.,]*)\s?(?:%|per ?cent\b)(?P<of>\s+of\s)?"
)
MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
DAY = r"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|Mon|Tue|Wed|Thu|Fri|Sat|Sun)s?"
CLOCK = (
    r"(?:\d{1,2}:\d{2}(?:\s?(?:am|pm|a\.m\.|p\.m\.))?|\d{1,2}(?::\d{2})?\s?(?:am|pm)|noon|midnight)(?:\s(?:CET|"
    r"CEST|ET|PT|UTC|EST))?"
)
DATE = (
    rf"(?:(?:{DAY},?\s)?(?:the\s)?\d{{1,2}}(?:st|nd|rd|th)?(?:\sof)?\s{MONTH}(?:\s\d{{4}})?|"
    rf"{MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?|{MONTH}\s\d{{4}}|(?:the\s)?(?:first|second|third|"
    rf"last)\s(?:working\sday|{DAY}|day)(?:\sof\s(?:{MONTH}|(?:the|each|every|a|your)(?:\s(?:next|following|new|"
    rf"calendar|same|contract|previous))*\s[a-z]+))?|the\s\d{{1,2}}(?:st|nd|rd|"
    rf"th)(?:\sof\s[a-z]+(?:\s[a-z]+){{0,2}})?|(?:every\s)?{DAY}(?:\sof\sthe\s\w+\sweek)?)"
)
WHEN = re.compile(
    rf"\b(?P<prep>at|on|by|until|before|from|since|after|between|not before|no later than)\s(?P<time>{DATE}|"
    rf"{CLOCK})(?:,?\s(?:at|on|to|until|and|–|-|or)\s(?:{DATE}|{CLOCK})|\s?[–-]\s?(?:{CLOCK}|{DATE}))*"
)
WHEN_WORDS = {
    "by": "By when", "until": "Until when", "before": "Before when", "from": "From when", "since": "Since when",
    "no later than": "By when", "at": "At what time", "on": "When", "after": "After what time",
}  # fmt: skip
WHERE = re.compile(
    r"\s(?P<prep>in|through|via|under|at|on)\s(?P<place>[A-Z][\w&.]*(?:\s[A-Z][\w&.]*)*(?:\s>\s[\w&' ]+?)+(?=$|"
    r"[,.;(]|\sat\s|\sand\s|\swith\s|\sby\s|\swithin\s|\sas\s)|the (?:[a-z]+\s){0,2}(?:counter|reception|office|"
    r"portal|app|intranet|desk|drawer|room|cupboard|garage|canteen|lobby|website|wiki|calendar|register|folder|"
    r"channel)\b(?: [A-Z]?[\d.]+)?(?=$|[,.;(]|\s(?:and|or|at|in|on|with|for|by|to|as|before|after|within)\b))"
)
BY = re.compile(
    r"^(?P<verb>(?:not\s)?(?:be\s)?(?:\w+ly\s)?\w+(?:ed|en|wn|id|pt|nt|ld|ut|ept|ade|one|"
    r"un))\s(?P<mid>[\w\s]{0,25}?)by\s(?P<who>(?:the|our|your|an?)\s[a-z][\w\s-]{2,40}|"
    r"[A-Z][\w.]+(?:\s[A-Z][\w.]+){0,3})$"
)
CONDITION = re.compile(r"^(?P<word>If|When|Once|As soon as)\s(?P<condition>[^,;:]{8,90}),\s(?:then\s)?(?P<main>.{8,})$")
CONDITION_LAST = re.compile(r"^(?P<main>[^,;:]{12,110}?),?\s(?P<word>if|unless)\s(?P<condition>[^,;:]{8,90})$")
DEFINITION = re.compile(r"^(?:an?|the|one of|our|your)\s")
FIRST_CLAUSE = re.compile(
    r"\s*(?:;|:\s|\s[–-]\s|,\s(?:and|but|so|or|which|who|where|unless|otherwise|while|because|since|though|"
    r"although|not|with|in which|after which|even|except|including|such as)\b|\sbut\s|\sand\s(?:must|may|can|is|"
    r"are|will|has|have|should|cannot|not)\b)"
)
LIMITED = re.compile(
    r"\b(?:only|unless|except|but|without|other than|sometimes|usually|often|may be|might|if|when)\b", re.IGNORECASE
)
FRONT = re.compile(
    r"^(?P<prep>In|At|On|For|During|Outside|Under|With|Without|Before|After|Within)\s(?P<what>(?!this|that|these|"
    r"those|addition|general|fact|case|short|example|instance|more|other|both|all cases|which|some|many|most|order|"
    r"particular)(?:[A-Z][\w-]+(?=\s(?:the|you|we|a|an|your)\b)|[^,;:]{3,45},))\s(?P<rest>.{12,})$"
)
SOMEBODY = re.compile(
    r"\b(?:manager|lead|head|officer|desk|team|director|controller|owner|host|agent|board|committee|council|"
    r"employee|engineer|finance|facilities|security|procurement|legal|payroll|reception|supplier|supervisor|buddy|"
    r"partner|company|group|department|office|hotline|nurse|doctor|staff|reviewer|maintainer|developer|"
    r"administrator|user|author|editor|member|contractor|visitor|chief|coordinator|writer|designer|someone|anyone|"
    r"anybody|everyone|everybody|deputy|bank|insurer|auditor|trainer|chair|secretary|HR|CFO|CEO|CISO)$",
    re.IGNORECASE,
)
NO_DEED = re.compile(
    r"(?:is|are|was|were|has|have|consists?|includes?|contains?|depends?|helps?|means?)\b|(?:can|may|must|will|"
    r"should|could|might) (?:\w+ly )?be\b"
)
OBJECT = re.compile(
    r"^(?P<verb>(?:not\s)?[a-z]+)\s(?P<object>(?:the|a|an|your|my|all|any|its)\s(?:[\w'’-]+\s?){1,5}?)(?=\s(?:to|"
    r"in|on|at|for|from|with|by|when|if|until|before|after|into|through|via|during|within)\s|$)"
)
ASIDE = re.compile(r"\s*\([^()]*\)")
