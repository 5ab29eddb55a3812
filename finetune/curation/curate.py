"""Which pairs are tuned on: filtered, split by document, audited for leakage, mixed; and a report that counts it all.

The same pairs, settings and seed give the same result. Asks no model: a search for the round trip is passed in.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from finetune.curation.filters import FILTERS, Bench, first_objection
from finetune.curation.overlap import Leakage, NearIndex, QuestionSet, audit, normal
from finetune.curation.pairs import Kind, Pair
from finetune.house_form import Broken
from finetune.settings import CurateSettings
from finetune.voice import Voice
from ingest.records import Chunk

Retrieve = Callable[[str], Sequence[str]]
"""Ids of the chunks that a question finds, best first."""

FEW = 3
"""Held-out documents that are too few."""

LATER = {
    "duplicate": "the question has not been asked before",
    "split": "all evidence is on one side of the split",
    "near-duplicate": "no held-out question is nearly the same (training pairs only)",
    "leakage": "no evaluation question is given away",
    "round-trip": "its own question finds the evidence again (training pairs only)",
    "mix": "there is room for it in the mix",
}
"""What a pair must be to pass the filters that compare it with others."""


@dataclass(frozen=True, slots=True)
class Example:
    """A rejected pair as the report shows it. Of a restricted document nothing but its name and labels is shown."""

    pair_id: str
    rule: str
    question: str
    answer: str
    why: str


@dataclass(frozen=True, slots=True)
class FilterReport:
    """What a filter took out: how many pairs, by which rule, with an example of each rule."""

    name: str
    wants: str
    rejected: int
    rules: dict[str, int]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class CurationReport:
    """How many pairs there were, what became of them, and what whoever tunes on them should know."""

    taken: int
    kept: int
    filters: tuple[FilterReport, ...]
    leakage: tuple[Leakage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Curated:
    """What is left: pairs to tune on, and pairs of other documents that choose the checkpoint."""

    train: list[Pair]
    held_out: list[Pair]
    report: CurationReport


@dataclass(slots=True)
class _Tally:
    """Rejections as they happen."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[str, list[Example]] = field(default_factory=lambda: defaultdict(list))

    def reject(self, name: str, pair: Pair, broken: Broken) -> None:
        """Count a pair out; the first one of a rule is its example."""
        if not self.counts[name][broken.rule]:
            shown = ("", "") if name == "access" else (pair.question, pair.answer)
            self.examples[name].append(Example(pair.id, broken.rule, *shown, broken.detail))
        self.counts[name][broken.rule] += 1

    def report(self) -> tuple[FilterReport, ...]:
        """One entry for each filter, in order, also for those that took nothing out."""
        wants = {name: want for name, (want, _) in FILTERS.items()} | LATER
        return tuple(
            FilterReport(
                name,
                want,
                self.counts[name].total(),
                dict(self.counts[name].most_common()),
                tuple(self.examples[name]),
            )
            for name, want in wants.items()
        )


def curate(
    pairs: Iterable[Pair],
    chunks: Mapping[str, Chunk],
    voice: Voice,
    settings: CurateSettings,
    question_sets: Sequence[QuestionSet] = (),
    retrieve: Retrieve | None = None,
) -> Curated:
    """Keep what is fit to be tuned on.

    Args:
        pairs: from any teacher, and a company's own.
        chunks: every chunk of the index by its id.
        voice: the house style.
        settings: thresholds, shares and the seed.
        question_sets: evaluation sets that must not be trained on.
        retrieve: where given, an answerable training pair is kept only if its question finds its evidence again.

    Returns:
        The two splits, in the order of `pairs`, and the report.
    """
    pairs = list(pairs)
    tally = _Tally()
    bench = Bench(chunks, voice, settings)
    good = []
    for pair in pairs:
        if objection := first_objection(pair, bench):
            tally.reject(objection[0], pair, objection[1])
        else:
            good.append(pair)
    good = _without_duplicates(good, tally)
    train, held_out = _split(good, settings, tally)
    train = _unlike(held_out, train, settings, tally)
    clean, leakage = _without_leaks([*train, *held_out], question_sets, settings, tally)
    held = {id(pair) for pair in held_out}
    train = [pair for pair in clean if id(pair) not in held]
    held_out = [pair for pair in clean if id(pair) in held]
    if retrieve:
        train = _found_again(train, retrieve, tally)
    notes = list(_notes(train, held_out, voice, settings))
    train, held_out = (_mix(split, voice, settings, tally) for split in (train, held_out))
    report = CurationReport(len(pairs), len(train) + len(held_out), tally.report(), leakage, tuple(notes))
    return Curated(train, held_out, report)


def in_held_out(name: str, settings: CurateSettings) -> bool:
    """Whether a document, or a pair without one, is held out. Depends on its name and the seed alone.

    So a document lands on the same side whatever else there is. Of a pair's id only what stands before `#` counts:
    turns of one conversation stay together.
    """
    return _draw(f"split\0{name.partition('#')[0]}", settings.seed) < settings.held_out


def _draw(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:6]) / 2**48


def _without_duplicates(pairs: list[Pair], tally: _Tally) -> list[Pair]:
    """Drop questions that were asked before.

    Not the same: one that is answered and one that is declined, since the gold passage is there or not; another
    planted instruction; the same words after other turns.
    """
    seen: dict[tuple[object, ...], Pair] = {}
    for pair in pairs:
        turns = tuple(normal(turn["content"]) for turn in pair.history)
        key = (normal(pair.question), turns, pair.answerable, normal(pair.planted))
        first = seen.setdefault(key, pair)
        if first is not pair:
            same = normal(first.answer) == normal(pair.answer)
            rule = "same-question" if same else "same-question-other-answer"
            tally.reject("duplicate", pair, Broken(rule, f"as {first.id}: {first.question[:60]!r}"))
    return list(seen.values())


def _split(pairs: list[Pair], settings: CurateSettings, tally: _Tally) -> tuple[list[Pair], list[Pair]]:
    """By document: a pair goes where all its documents go, one without a document where its id goes."""
    train: list[Pair] = []
    held_out: list[Pair] = []
    for pair in pairs:
        docs = {one.doc for one in pair.evidence} | ({pair.doc} - {""})
        sides = {in_held_out(name, settings) for name in docs or {pair.id}}
        if len(sides) > 1:
            tally.reject("split", pair, Broken("both-sides", " and ".join(sorted(docs))))
        else:
            (held_out if True in sides else train).append(pair)
    return train, held_out


def _unlike(held_out: list[Pair], train: list[Pair], settings: CurateSettings, tally: _Tally) -> list[Pair]:
    """Drop training pairs whose question is nearly a held-out one. The turns before a follow-up count with it."""
    index = NearIndex(map(_asked, held_out), settings.near_duplicate)
    kept = []
    for pair in train:
        if match := index.find(_asked(pair)):
            other = held_out[match.place]
            why = f"{match.similarity:.0%} like the held-out {other.id}: {other.question[:60]!r}"
            tally.reject("near-duplicate", pair, Broken("across-splits", why))
        else:
            kept.append(pair)
    return kept


def _asked(pair: Pair) -> str:
    return " ".join([*(turn["content"] for turn in pair.history if turn["role"] == "user"), pair.question])


def _without_leaks(
    pairs: list[Pair], question_sets: Sequence[QuestionSet], settings: CurateSettings, tally: _Tally
) -> tuple[list[Pair], tuple[Leakage, ...]]:
    """Drop what gives an evaluation question away, held-out pairs too: they choose the checkpoint."""
    found, leakage = audit(pairs, question_sets, settings.near_duplicate, settings.shared_words)
    for place, overlap in found.items():
        why = f"{overlap.asked_id}, {overlap.asked[:60]!r}, shares {overlap.shared[:80]!r}"
        tally.reject("leakage", pairs[place], Broken(overlap.how, why))
    return [pair for place, pair in enumerate(pairs) if place not in found], leakage


def _found_again(pairs: list[Pair], retrieve: Retrieve, tally: _Tally) -> list[Pair]:
    kept = []
    for pair in pairs:
        gold = {one.chunk_id for one in pair.evidence}
        if gold and not gold <= set(retrieve(_asked(pair))):
            tally.reject("round-trip", pair, Broken("not-found", f"{pair.question[:60]!r} finds other passages"))
        else:
            kept.append(pair)
    return kept


def _group(pair: Pair, voice: Voice) -> str:
    if pair.kind is Kind.GENERAL:
        return "general"
    return "unanswerable" if voice.is_refusal(pair.answer) else "answerable"


def _notes(train: list[Pair], held_out: list[Pair], voice: Voice, settings: CurateSettings) -> Iterable[str]:
    """What the counts alone would not tell."""
    have = Counter(_group(pair, voice) for pair in train)
    documents = len({pair.doc for pair in held_out} - {""})
    if not have["unanswerable"] and settings.unanswerable:
        yield "no question is unanswerable by itself"
    if not have["general"] and settings.general:
        yield "there is no general replay; look at the forgetting probe before you promote the adapter"
    if documents < FEW and settings.held_out:
        yield (
            f"{documents or 'no'} held-out document{'s' * (documents != 1)}, too few to choose a checkpoint by; "
            "raise held_out, change the seed, or ingest more"
        )
    if not train:
        yield "nothing is left to tune on"


def _mix(pairs: list[Pair], voice: Voice, settings: CurateSettings, tally: _Tally) -> list[Pair]:
    """Leave out what is too much of its group, so that the shares of the settings hold."""
    groups: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[_group(pair, voice)].append(pair)
    have = {name: len(group) for name, group in groups.items()}
    room = _room(have.get("answerable", 0), have.get("unanswerable", 0), have.get("general", 0), settings)
    chosen = {id(pair) for name, group in groups.items() for pair in _most_varied(group, room[name], settings.seed)}
    for pair in pairs:
        if id(pair) not in chosen:
            group = _group(pair, voice)
            tally.reject("mix", pair, Broken(group, f"{room[group]} of {have[group]} {group} pairs keep the shares"))
    return [pair for pair in pairs if id(pair) in chosen]


def _room(answerable: int, unanswerable: int, general: int, settings: CurateSettings) -> dict[str, int]:
    """How many pairs of each group there is room for beside all answerable ones.

    Too few unanswerable ones leave nothing out: the data set asks some of the others where their passage is not.
    """
    if not answerable:
        return {"answerable": 0, "unanswerable": unanswerable, "general": general}
    share = 1 - settings.unanswerable
    total = min((answerable + general) / share, answerable / (share - settings.general))
    return {
        "answerable": answerable,
        "unanswerable": min(unanswerable, round(total * settings.unanswerable)),
        "general": min(general, int(total * settings.general)),
    }


def _most_varied(pairs: list[Pair], room: int, seed: int) -> list[Pair]:
    """Draw in turn from every document, kind and style, so that what there is little of stays."""
    drawn = sorted(pairs, key=lambda pair: _draw(f"mix\0{pair.id}", seed))
    turn: Counter[tuple[str, str, str]] = Counter()
    order = {}
    for pair in drawn:
        stratum = (pair.doc, pair.kind, pair.style)
        order[id(pair)] = turn[stratum]
        turn[stratum] += 1
    return sorted(drawn, key=lambda pair: order[id(pair)])[:room]
