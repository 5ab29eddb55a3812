"""Questions by rule about one sentence: its limit, amount, time, reason, agent, condition. Asks no model.

Each rule takes the answering words out of the sentence and asks for them, so that one sentence with three facts gives
three questions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from finetune.synthesis.english import VERBS, Clause, many, parse, points_back, swap_persons, upper_first
from finetune.synthesis.fact_patterns import (
    AMOUNT,
    ASIDE,
    BY,
    CLOCK,
    CONDITION,
    CONDITION_LAST,
    COUNT,
    DEFINITION,
    DURATION,
    FIRST_CLAUSE,
    FRONT,
    LIMIT,
    LIMITED,
    MONEY,
    NO_DEED,
    NUMBER,
    OBJECT,
    PERCENT,
    SOMEBODY,
    TIME_UNIT,
    WHEN,
    WHEN_WORDS,
    WHERE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a sentence. `prefix` is the yes or no before the answer; `demand` may follow the question."""

    question: str
    way: str
    prefix: str = ""
    demand: str = ""


def ask_facts(sentence: str, lower: frozenset[str]) -> list[Asked]:
    """Every question that a rule can ask about a sentence, best first.

    Args:
        sentence: one sentence, its bullet or number left out.
        lower: words that the documents also write in lower case.
    """
    text = " ".join(ASIDE.sub("", sentence).split()).rstrip(".!")
    if "?" in text or len(text.split()) < 4:
        return []
    found = [*_conditions(text, lower), *_reasons(text, lower), *_purposes(text)]
    front, rest = _fronted(text, lower)
    head = FIRST_CLAUSE.split(rest, maxsplit=1)[0].strip(" ,")
    if "," in head and head != rest:
        return _good(found)  # cut off inside an enumeration
    clause = parse(head, lower)
    if clause and not (clause.order and rest[len(head) :].startswith(":")):
        asked = [*_spans(clause), *_definitions(clause), *_agents(head, clause), *_objects(clause)]
        if len(sentence.split()) - len(head.split()) >= 4 or clause.negated:
            asked += _yes_or_no(clause)
        found += [replace(one, question=f"{one.question[:-1]} {front}?") if front else one for one in asked]
    return _good(found)


def _good(found: list[Asked]) -> list[Asked]:
    return [asked for asked in _distinct(found) if sound(asked.question)]


def sound(question: str) -> bool:
    """Whether a question made by rule reads as one."""
    words = question.rstrip("?").split()
    if (
        not 3 <= len(words) <= 26
        or points_back(question.replace(" does it take until ", " "))
        or re.search(r"[;:>@\\|\"“”()\[\]]|\s[,.]|,$", question[:-1])
    ):
        return False
    if re.search(
        r"\b(?:the|a|an|of|and|or|to the|in the|my|your|not)\?$|\b(\w+) \1\b|\bI (?:is|are)\b", question, re.IGNORECASE
    ):
        return False
    return not re.search(r"\b(?:see|following|above|below)\b|\bdo I (?:see|note|remember|don)", question, re.IGNORECASE)


def _spans(clause: Clause) -> Iterator[Asked]:
    rest = clause.rest
    yield from _limits(clause, rest)
    yield from _amounts(clause, rest)
    yield from _counts(clause, rest)
    for match in WHEN.finditer(rest):
        if _shared(rest, match):
            continue
        wh = WHEN_WORDS.get(match["prep"].casefold(), "When")
        if wh == "At what time" and not re.match(CLOCK, match["time"]):
            wh = "When"
        if wh == "From when" and re.search(r"\b(?:to|until|–|-)\b", match[0]):
            wh = "When"
        yield Asked(clause.ask(wh, _without(rest, match)), "when", demand="Give the exact date or time.")
    for match in WHERE.finditer(rest):
        if _shared(rest, match) or "," in _without(rest, match):
            continue
        yield Asked(clause.ask("Where", _without(rest, match)), "where")
    passive = clause.aux in ("is", "are", "was", "were", "must", "can", "may", "will", "should")
    if passive and not clause.negated and (agent := BY.match(rest)):
        verb = f"{agent['verb']} {agent['mid']}"
        yield Asked(clause.ask("Who", f"{verb} by"), "who", demand="Name the person or team.")


def _limits(clause: Clause, rest: str) -> Iterator[Asked]:
    for match in LIMIT.finditer(rest):
        left = _without(rest, match)
        if _shared(rest, match) or "," in left or re.search(rf"\b{NUMBER}\s(?:{TIME_UNIT})\b", left):
            continue  # which of two limits is meant would be unclear
        unit = many(match["unit"])
        for question in _limit_questions(clause, left, unit, match["prep"].casefold(), match["tail"] or ""):
            often = question.startswith("How often")
            yield Asked(
                question, "how-often" if often else "limit", demand="" if often else f"Give the number of {unit}."
            )
    if (span := DURATION.match(rest)) and span["verb"] in ("take", "last", "get", "have", "need"):
        unit = many(span["unit"])
        wh = "How long" if span["verb"] in ("take", "last") else f"How many {unit}"
        question = clause.ask(wh, span["verb"] + rest[span.end() :])
        yield Asked(question, "how-long", demand=f"Give the number of {unit}.")


def _limit_questions(clause: Clause, left: str, unit: str, prep: str, tail: str) -> Iterator[str]:
    """Every wording that fits a time limit, by its preposition and by what it is counted from."""
    mine = clause.subject == "I" and clause.aux in ("do", "must")
    match prep:
        case "every" | "once every":
            yield clause.ask("How often", left)
        case "for":
            yield clause.ask("How long" if _lasting(left) else "For how long", left + tail)
        case "within" | "in" | "no later than" | "not later than":
            yield clause.ask(f"{'In' if prep == 'in' else 'Within'} how many {unit}{tail}", left)
            if not tail:
                yield clause.ask("How soon", left)
            if mine:
                yield f"How many {unit}{tail} do I have to {left}?"
            elif clause.aux in ("is", "are") and not tail:
                yield f"How long does it take until {clause.subject} {clause.aux} {left}?"
        case "after":
            yield clause.ask(f"After how many {unit}{tail}", left)
            if clause.aux in ("is", "are") and not tail:
                yield f"How long does it take until {clause.subject} {clause.aux} {left}?"
        case "up to" | "at most" | "no more than" | "not more than" | "a maximum of" | "at least":
            most = "at least" if prep == "at least" else "at most"
            if tail.strip().startswith(("before", "in advance", "ahead")):
                yield clause.ask(f"How many {unit}{tail}", left)
            elif _lasting(left):
                yield clause.ask(f"For how long {most}", left + tail)
            else:
                yield clause.ask(f"How many {unit} {most}", left + tail)


def _lasting(left: str) -> bool:
    return bool(re.search(r"\b(?:last|valid|stay|kept|keep|borrowed?|remain)\b", left))


def _amounts(clause: Clause, rest: str) -> Iterator[Asked]:
    demand = "Give the exact amount."
    for match in AMOUNT.finditer(rest):
        prep, before, after = (match["prep"] or "").casefold(), rest[: match.start()].strip(), rest[match.end() :]
        if re.match(r"\s?(?:per|a|an|each|for|in|on|at|plus|,|$)", after) is None or re.search(MONEY, after):
            continue
        if not prep and (
            before in ("cost", "pay", "pays", "get", "receive", "add") or (not before and not _has_verb(clause))
        ):
            yield Asked(clause.ask("How much", f"{before}{after}"), "amount", demand=demand)
        elif prep in ("up to", "at most", "above", "below", "over", "under", "from") and before:
            wh = {"at most": "Up to"}.get(prep, upper_first(prep))
            yield Asked(clause.ask(f"{wh} what amount", f"{before}{after}"), "amount", demand=demand)
    for match in PERCENT.finditer(rest):
        before, after = rest[: match.start()], rest[match.end() :]
        if "%" in before + after or "," in before + after:
            continue
        if match["of"]:
            yield Asked(
                clause.ask("What percentage of " + after.split(",")[0], before),
                "percentage",
                demand="Give the percentage.",
            )
        elif not re.match(r"\s+[a-z]", after) and before.strip() and not re.search(r"(?:,|\bthan)\s*$", before):
            wh = f"{upper_first((match['prep'] or '').strip())} what percentage".strip()
            yield Asked(clause.ask(upper_first(wh), f"{before}{after}"), "percentage", demand="Give the percentage.")


def _has_verb(clause: Clause) -> bool:
    return clause.aux not in ("is", "are", "was", "were")


def _counts(clause: Clause, rest: str) -> Iterator[Asked]:
    for match in COUNT.finditer(rest):
        before, after = rest[: match.start()].strip(), rest[match.end() :]
        unit = match["unit"]
        if re.fullmatch(TIME_UNIT, unit) or re.search(
            r"\b(?:of|in|on|for|to|by|at|from|than|with|and|or|after|the|these|those|all|level|version|these)$", before
        ):
            continue
        if not before and clause.aux not in ("is", "are"):
            continue
        most = {"up to ": " at most", "at most ": " at most", "no more than ": " at most", "not more than ": " at most",
                "a maximum of ": " at most", "at least ": " at least"}.get(match["lead"] or "", "")  # fmt: skip
        yield Asked(
            clause.ask(f"How many {unit}", f"{before}{most}{after}"), "count", demand=f"Give the number of {unit}."
        )


def _definitions(clause: Clause) -> Iterator[Asked]:
    named = re.match(r"(?:the |an? )?[A-Za-z][\w'’&.-]*(?:\s[\w'’&.-]+){0,5}$", clause.subject)
    if (
        clause.aux in ("is", "are")
        and not clause.negated
        and named
        and DEFINITION.match(clause.rest)
        and clause.subject not in ("I", "you")
    ):
        who = re.match(r"[A-Z]\w+ [A-Z]\w+$", clause.subject) and re.search(
            r"\b(?:manager|lead|officer|director|head|controller)\b", clause.rest
        )
        yield Asked(clause.ask("Who" if who else "What", ""), "definition")
    elif clause.aux == "does" and clause.rest.startswith("mean "):
        yield Asked(clause.ask("What", "mean"), "definition")


def _yes_or_no(clause: Clause) -> Iterator[Asked]:
    """A rule asked for as such. What holds only under a condition is answered without a bare yes or no."""
    if re.search(
        r"\b(?:nobody|nowhere|nothing|none|no one|never|hardly)\b", f"{clause.subject} {clause.rest}", re.IGNORECASE
    ):
        return
    if clause.order or clause.aux not in ("must", "may", "can", "should", "is", "are"):
        return
    rest = re.sub(r"^(?:not|never)\s", "", clause.rest)
    if clause.aux in ("is", "are") and not re.match(
        r"(?:\w+ed|allowed|not|free|required|valid|possible|needed|paid|kept)\b", rest
    ):
        return
    if re.search(r"\d", rest) and not clause.negated:
        return  # better asked for by its number
    prefix = "" if LIMITED.search(clause.rest) else "No. " if clause.negated else "Yes. "
    aux = "do" if clause.aux == "must" and clause.subject in ("I", "you") else clause.aux
    rest = f"have to {rest}" if aux == "do" else rest
    if prefix == "No. " and aux == "do":
        return  # `you must not` is no answer to `do I have to`
    rest = re.sub(r"\bno\b", "any", rest)
    yield Asked(Clause(clause.subject, aux, False, rest).ask("", rest), "yes-no", prefix)


def _fronted(text: str, lower: frozenset[str]) -> tuple[str, str]:
    """A place, time or case that stands before the subject, and the rest of the sentence."""
    if match := FRONT.match(text):
        front = f"{match['prep'].lower()} {swap_persons(match['what'])}"
        return front, upper_first(match["rest"])
    return "", text


def _agents(head: str, clause: Clause) -> Iterator[Asked]:
    """Who does it, where the subject is somebody."""
    if clause.order or clause.negated or clause.subject in ("I", "you") or not SOMEBODY.search(clause.subject):
        return
    place = head.casefold().find(clause.subject.casefold())
    predicate = swap_persons(head[place + len(clause.subject) :].strip()) if place == 0 else ""
    if len(predicate.split()) >= 3 and not NO_DEED.match(predicate) and not clause.subject.endswith("s"):
        yield Asked(f"Who {predicate}?", "agent", demand="Name the person or team.")


def _objects(clause: Clause) -> Iterator[Asked]:
    """What it is that somebody does something with: the noun phrase after the verb."""
    if (
        clause.order
        or clause.negated
        or clause.aux in ("is", "are", "was", "were")
        or (clause.subject == "I" and clause.aux == "do")
    ):
        return
    match = OBJECT.match(clause.rest)
    if match and not re.search(r"\d", match["object"]) and clause.rest.split()[0] != "be":
        tail = clause.rest[match.end() :].strip()
        yield Asked(clause.ask("What", f"{match['verb']} {tail}"), "object")


def _purposes(text: str) -> Iterator[Asked]:
    """`To do this, do that`, and an instruction that says by what means."""
    if match := re.match(r"^To (?P<aim>(?!this|that|be\b|date)[a-z]+\s[^,;:]{4,70}),\s(?P<main>.{8,})$", text):
        if match["aim"].split()[0] in VERBS:
            yield Asked(f"How do I {swap_persons(match['aim'])}?", "purpose")
    elif (
        (
            match := re.match(
                r"^(?P<main>[A-Z][a-z]+\s[^,;:]{8,90}?)\sto\s(?P<aim>[a-z]+\s(?:the|a|an|your|my|our)\s[^,;:]{3,60})$",
                text,
            )
        )
        and match["main"].split()[0].casefold() in VERBS
        and match["aim"].split()[0] in VERBS
    ):
        yield Asked(f"How do I {swap_persons(match['aim'])}?", "purpose")


def _conditions(text: str, lower: frozenset[str]) -> Iterator[Asked]:
    match = CONDITION.match(text)
    if match and match["word"] in ("If", "When", "Once", "As soon as"):
        condition, main = match["condition"], upper_first(match["main"])
    elif (match := CONDITION_LAST.match(text)) and match["word"] == "if":
        condition, main = match["condition"], match["main"]
    else:
        return
    word = match["word"].lower()
    if re.search(r"\b(?:you|we|I)\s\w+ed\b|\b(?:was|were|had)\b", condition):
        return
    if len(condition.split()) < 3 or re.search(r"\b(?:or|and|even|as|only|but|not)$", main):
        return
    said = f"{word} {swap_persons(condition)}"
    asks_me = re.match(
        r"(?:please|you (?:must|should|have to|need to|may want|will (?:need|want|have)))\b", main, re.IGNORECASE
    )
    clause = parse(FIRST_CLAUSE.split(main, maxsplit=1)[0], lower)
    if asks_me or (clause and clause.order):
        yield Asked(f"What should I do {said}?", "condition")
    elif re.match(r"you (?:can|may|could)\b", main, re.IGNORECASE):
        yield Asked(f"What can I do {said}?", "condition")
    elif clause and (clause.aux in ("is", "are", "will", "do", "does", "must", "has")):
        yield Asked(f"What happens {said}?", "condition")


def _reasons(text: str, lower: frozenset[str]) -> Iterator[Asked]:
    match = re.match(r"^(?P<main>[^,;:]{10,110}?),?\sbecause\s(?!of\b)(?P<why>.{10,})$", text)
    clause = parse(match["main"], lower) if match else None
    if clause and not clause.order:
        yield Asked(clause.ask("Why", clause.rest), "reason")


def _shared(text: str, match: re.Match[str]) -> bool:
    """Whether what is asked for is one of two, so that the question would not say which."""
    return bool(
        re.search(r"\b(?:and|or|to|than)\s*$", text[: match.start()])
        or re.match(r"\s+(?:and|or)\s", text[match.end() :])
    )


def _without(text: str, match: re.Match[str]) -> str:
    return " ".join(f"{text[: match.start()]} {text[match.end() :]}".split()).strip(" ,")


def _distinct(asked: list[Asked]) -> list[Asked]:
    return list({one.question.casefold(): one for one in reversed(asked)}.values())[::-1]
