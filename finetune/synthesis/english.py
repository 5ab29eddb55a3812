"""The little English grammar that questions need: verbs, persons, numbers, inversion. Knows no documents.

There is no tagger on a machine without a network, so a sentence is taken apart only where a list of common verbs shows
beyond doubt what its subject and its verb are; any other sentence is left alone.
"""

import re
from dataclasses import dataclass


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


VERBS = word_set(
    """
    accept add agree allow announce answer appear apply approve arrange arrive ask assign attach attend back
    become begin belong book borrow bring build buy call cancel carry cause change charge check choose claim
    clean clear click close collect come complete confirm connect consist contact contain continue convert copy
    cost count cover create credit deal decide deduct delete deliver depend describe differ display disappear
    dispute distribute download drop earn empty enable end enrol ensure enter exist expire explain export fail
    fill find finish fix follow forward fund gain get give go grant hand handle happen have help hold host
    include increase inform insert inspect install issue join keep know label last lead learn leave lend let lie
    list live lock log look lose maintain make manage mark match measure meet move need notify occur offer open
    order own pay perform permit pick place plan post prepare prevent print produce protect provide publish put
    read receive recommend record recover reduce refer refund refuse register reject release remain remember
    remind remove rent repair repeat replace reply report represent request require reserve restart restore
    result return review run save say schedule see select sell send serve set share show sign sit stand start
    state stay stop store submit supply support switch take talk tell test tick train transfer travel turn type
    update upgrade upload use visit wait want warn wear weigh work write
    """
)
"""Base forms of common verbs of instructions and rules."""

_SAFE_AFTER_PLURAL = VERBS - word_set(
    "back book charge check claim cost count display drop end fund issue label list log lock mark match "
    "measure order place plan post print record rent report request result return review run share show "
    "sign stand start state stop store supply support switch test train transfer travel type update "
    "upgrade visit work"
)
_BE_AND_HAVE = word_set("am been being has had does did isn aren")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")
_SIBILANT = re.compile(r"(?:s|sh|ch|x|z|o)$")


def third(verb: str) -> str:
    """The form of a verb after he, she or it."""
    if verb == "have":
        return "has"
    if _CONSONANT_Y.search(verb):
        return verb[:-1] + "ies"
    return verb + ("es" if _SIBILANT.search(verb) else "s")


def gerund(verb: str) -> str:
    """The -ing form of a verb."""
    if verb in ("lie",):
        return "lying"
    if verb.endswith("e") and verb not in ("see", "be"):
        return verb[:-1] + "ing"
    if re.search(r"^[^aeiou]*[aeiou][bdgmnprt]$", verb) or verb in ("begin", "submit", "permit", "occur", "refer"):
        return verb + verb[-1] + "ing"
    return verb + "ing"


_BASE_OF_THIRD = {third(verb): verb for verb in VERBS}
_BASE_OF_GERUND = {gerund(verb): verb for verb in VERBS}

_AUX = r"cannot|can['’]t|isn['’]t|aren['’]t|won['’]t|is|are|was|were|can|could|must|may|might|should|will|would"
_SHORT = {"cannot": "can", "can't": "can", "isn't": "is", "aren't": "are", "won't": "will"}
_DETERMINERS = word_set("a an the this each every any all no your our my their its his her some both")
_NOT_IN_SUBJECT = re.compile(
    r"[,;:()|>\"“”]|\b(?:if|when|whenever|that|which|who|whom|whose|where|while|because|unless|before|after|until|"
    r"and then|as|than|but|what|how|why|there|here|not|only|so|whether|although|since|once|it|they|he|she|this|"
    r"these|those|such)\b",
    re.IGNORECASE,
)
_DANGLING = re.compile(
    r"^(?:it|its|each one|this|that|these|those|they|their|he|she|his|her|such|both|neither|either|otherwise|"
    r"however|but|and|or|so|then|also|therefore|thus|instead|besides|still|yet|here|there(?!\s+(?:is|are))|the "
    r"(?:same|former|latter|other|others|above|following)|same|one|ones|another|some|others|most|many|none|for "
    r"example|for instance|in (?:this|that|these|such|addition|that)|as (?:such|mentioned|described|a result)|at "
    r"(?:this|that)|after (?:this|that)|with (?:it|this|that)|because of this|not|no longer|more|less|beyond "
    r"(?:that|this)|until then|up to then|finally|first|second|third|next|additionally|furthermore|moreover|"
    r"similarly|likewise|again|too|even|well|yes|no)\b",
    re.IGNORECASE,
)
_POINTING = re.compile(
    r"\b(?:it|its|they|them|their|this|these|those|he|she|him|his|her|hers|former|latter)\b", re.IGNORECASE
)
_I = re.compile(r"\b(?:I|I'm|I'll|I've|I'd|me|my|mine|myself)\b")


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause taken apart. `base` is empty when `aux` is a form of be; for an instruction `subject` is `I`."""

    subject: str
    aux: str
    negated: bool
    rest: str
    order: bool = False

    def ask(self, wh: str, rest: str) -> str:
        """The question that begins with `wh`; without it, the one that is answered by yes or no."""
        words = [wh, self.aux, self.subject, rest] if wh else [self.aux, self.subject, rest]
        text = " ".join(" ".join(words).split())
        text = re.sub(r"\s+([,.?])", r"\1", text).rstrip(" ,.;:–-")
        return upper_first(text) + "?"


def parse(sentence: str, lower: frozenset[str]) -> Clause | None:
    """Take a clause apart, or say None where it is not plain what its subject and verb are.

    Args:
        sentence: one clause without its final stop.
        lower: words that the documents also write in lower case, so that a capital at the beginning means nothing.
    """
    text = sentence.strip().rstrip(".!")
    if _I.search(text):
        return None
    return _with_aux(text, lower) or _order(text) or _with_verb(text, lower)


def dangling(sentence: str) -> bool:
    """Whether a sentence begins by pointing back to the one before it."""
    return bool(_DANGLING.match(sentence.strip(" \"“'")))


def points_back(text: str) -> bool:
    """Whether a text holds a pronoun of the third person."""
    return bool(_POINTING.search(text))


def speaks_of_itself(text: str) -> bool:
    """Whether the writer says I."""
    return bool(_I.search(text))


def swap_persons(text: str) -> str:
    """What the documents say to you, as you would say it of yourself; what the house says of itself, to the house."""
    text = re.sub(r"\byou are\b", "I am", text, flags=re.IGNORECASE)
    text = re.sub(r"\byou(?:'|’)re\b", "I'm", text, flags=re.IGNORECASE)
    text = re.sub(r"\byou were\b", "I was", text, flags=re.IGNORECASE)
    return re.sub(r"\b[A-Za-z]+\b", lambda match: _swapped(match, text), text)


def _swapped(match: re.Match[str], text: str) -> str:
    word = match[0]
    fixed = {"your": "my", "yours": "mine", "yourself": "myself", "we": "you", "our": "your", "ours": "yours"}
    low = word.casefold()
    if word == "US":
        return word
    if low in fixed:
        return fixed[low]
    if low == "us":
        return "you"
    if low == "you":
        before = re.findall(r"\w+", text[: match.start()])[-1:]
        after = re.match(r"\s*([a-z]+)", text[match.end() :])
        objective = bool(before) and (before[0].lower() in _TAKES_ME or not after or after[1] in _AFTER_ME)
        return "me" if objective else "I"
    return word


_TAKES_ME = word_set(
    "to for with by from of at on about without give gives tell tells show shows send sends ask asks help "
    "helps let lets remind reminds allow allows cost costs give lend lends pay pays call calls reach "
    "contact between inform"
)
_AFTER_ME = _DETERMINERS | word_set("to for with by from of at on in about through until within when if and or")


def lower_first(text: str, lower: frozenset[str]) -> str:
    """Take away the capital of a first word that the documents also write without one."""
    first = re.match(r"[\w'’-]+", text)
    if re.match(r"(?!A |The |An )[\w'’-]+ [A-Z][a-z]", text):
        return text  # a name of two words
    if (
        first
        and (first[0].casefold() in lower or first[0].casefold() in _DETERMINERS)
        and (first[0] == "A" or not first[0].isupper())
    ):
        return text[0].lower() + text[1:]
    return text


def upper_first(text: str) -> str:
    """Give the first letter a capital."""
    return text[:1].upper() + text[1:]


def doing(heading: str) -> str:
    """A heading that orders something, as the name of doing it: `connect to a meeting` is `connecting to a meeting`."""
    match = re.match(r"([A-Za-z][a-z]+) (?=(?:an?|the|your|my|our|to|with|for|from|in|into|up|on) )", heading)
    if match and match[1].casefold() in VERBS:
        return f"{gerund(match[1].casefold())} {heading[match.end() :]}"
    return heading


def base_of_gerund(word: str) -> str:
    """The verb that an -ing form comes from, or nothing."""
    return _BASE_OF_GERUND.get(word.casefold(), "")


def has_verb(text: str) -> bool:
    """Whether a text holds a word that is a common verb in one of its forms."""
    words = re.findall(r"[a-z]+", text.casefold())
    return any(
        word in VERBS or word in _BASE_OF_THIRD or re.fullmatch(_AUX, word) or word in _BE_AND_HAVE
        for word in words[:25]
    )


def many(noun: str) -> str:
    """The plural of a unit of measurement."""
    return noun if noun.endswith("s") or noun.isupper() or noun in ("kg", "km", "people") else noun + "s"


def _with_aux(text: str, lower: frozenset[str]) -> Clause | None:
    match = re.match(rf"(?P<subject>.{{2,70}}?)\s+(?P<aux>{_AUX})\b(?P<no>\s+(?:not|never)\b)?\s*(?P<rest>.*)$", text)
    if not match or not _is_subject(match["subject"], lower):
        return None
    aux, no = match["aux"], bool(match["no"])
    if full := _SHORT.get(aux.replace("’", "'")):
        aux, no = full, True
    subject = swap_persons(lower_first(match["subject"], lower))
    if subject == "I" and aux in ("are", "were"):
        aux = {"are": "am", "were": "was"}[aux]
    if subject == "you" and aux in ("is", "was"):
        return None
    rest = ("not " if no else "") + match["rest"]
    return Clause(subject, aux, no, swap_persons(rest))


def _order(text: str) -> Clause | None:
    """An instruction: `Ask the controller` is asked for as `do I ask the controller`."""
    match = re.match(r"(?:please\s+|always\s+)?(?P<verb>[A-Z]?[a-z]+)\s+(?P<rest>[^:].*)$", text)
    if not match or match["verb"].casefold() not in VERBS or not text[0].isupper():
        return None
    if re.match(r"(?:is|are|was|were|can|must|may|should|will|has|have|of|and|or)\b", match["rest"]):
        return None
    return Clause("I", "do", False, f"{match['verb'].casefold()} {swap_persons(match['rest'])}", order=True)


def _with_verb(text: str, lower: frozenset[str]) -> Clause | None:
    """A clause whose verb stands without an auxiliary, after a subject of a few words."""
    words = text.split()
    for place in range(1, min(8, len(words))):
        word, before = words[place], words[place - 1].casefold()
        subject = " ".join(words[:place])
        if not _is_subject(subject, lower) or before in _DETERMINERS:
            if _NOT_IN_SUBJECT.search(subject):
                return None
            continue
        if word in _BASE_OF_THIRD and not before.endswith("s") and " and " not in subject:
            aux, base = "does", _BASE_OF_THIRD[word]
        elif word in VERBS and (
            subject.casefold() in ("you", "we") or (before.endswith("s") and word in _SAFE_AFTER_PLURAL)
        ):
            aux, base = "do", word
        else:
            continue
        rest = " ".join([base, *words[place + 1 :]])
        return Clause(swap_persons(lower_first(subject, lower)), aux, False, swap_persons(rest))
    return None


def _is_subject(text: str, lower: frozenset[str]) -> bool:
    words = text.split()
    if not words or len(words) > 9 or _NOT_IN_SUBJECT.search(text) or text[0].islower() or text[0].isdigit():
        return False
    if words[0].casefold() in VERBS and len(words) > 1 and words[0].casefold() in lower:
        return False
    if re.match(
        r"(?:in|on|at|for|from|with|without|by|to|of|under|above|below|during|between|within)\b", text, re.IGNORECASE
    ):
        return False
    inner = {word.casefold() for word in words[1:]}
    return not inner & {
        "is",
        "are",
        "was",
        "were",
        "has",
        "have",
        "had",
        "can",
        "must",
        "may",
        "should",
        "will",
        "do",
        "does",
    }
