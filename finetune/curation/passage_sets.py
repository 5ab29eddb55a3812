"""Which questions are asked of the same passages, and which passages those are. Knows rankings; knows no prompt.

Rows that share their passages share the beginning of their prompt, so a trainer can read it once. A set holds questions
that its passages answer and one or two that they do not: a model that always answers, or always declines, loses.
"""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from finetune.curation.pairs import Evidence, Kind, Pair
from finetune.settings import DatasetSettings
from finetune.voice import Voice
from ingest.records import Chunk

Retrieve = Callable[[Sequence[Pair]], list[list[Chunk]]]
"""The chunks that the desk's search returns for each question, best first, more than the model will read."""

Choose = Callable[[Sequence[Chunk]], list[Chunk]]
"""What of a ranking the model reads: the Answerer's own choice."""

NEAR = 3
"""A question joins a set that holds one of the chunks which it would find among its first three."""

HELD = 0.8
"""A chunk with this share of an evidence's words, and all its numbers, may hold the answer too."""


@dataclass(slots=True)
class PassageSet:
    """Passages in their order in the prompt, and the questions asked of them."""

    passages: list[Chunk]
    pairs: list[Pair]
    refusals: int = 0

    def room(self) -> bool:
        """Whether one more question without an answer fits: one, or one beside each three that have one."""
        answered = len(self.pairs) - self.refusals
        return self.refusals < max(1, answered // 3) and answered > 0


@dataclass(frozen=True, slots=True)
class _Unanswered:
    """A question to be declined. For a twin of an answerable one, `evidence` is what must be nowhere in sight."""

    pair: Pair
    evidence: tuple[Evidence, ...] = ()
    docs: frozenset[str] = field(default_factory=frozenset)

    def allows(self, chunk: Chunk) -> bool:
        return chunk.doc not in self.docs and not any(holds(chunk, one.text) for one in self.evidence)


def assemble(
    pairs: Sequence[Pair],
    chunks: Mapping[str, Chunk],
    *,
    retrieve: Retrieve,
    choose: Choose,
    voice: Voice,
    settings: DatasetSettings,
) -> list[PassageSet]:
    """Put every question that is asked of passages into a set of them.

    A set has the passages that search returns for its first question; the chunks that hold the evidence take the last
    places where search missed them. A question whose evidence does not fit into the model's reading budget is left out,
    and so are refusals beyond `settings.unanswerable`.

    Args:
        pairs: answerable ones with evidence, and unanswerable ones; any other counts towards the shares only.
        chunks: every chunk that evidence lies in, by id.
        retrieve: the desk's search.
        choose: what of a ranking the model reads.
        voice: for the refusal.
        settings: how much of what.
    """
    rng = random.Random(settings.seed)  # noqa: S311 - which row comes when is no secret
    grounded = [pair for pair in pairs if pair.answerable and pair.evidence]
    rng.shuffle(grounded)
    groups = list(_groups(grounded, max(1, settings.rows_per_set * 3 // 4)))
    answered = sum(pair.answerable for pair in pairs)
    wanted = round(answered * settings.unanswerable / (1 - settings.unanswerable))
    refusals = _refusals(pairs, grounded, wanted, voice, rng)
    rankings = iter(retrieve([group[0] for group in groups] + [one.pair for one in refusals]))
    sets = []
    for group in groups:
        gold = [chunks[name] for name in dict.fromkeys(e.chunk_id for pair in group for e in pair.evidence)]
        passages = _passages(gold, next(rankings), choose, settings.shuffled, rng)
        shown = {chunk.id for chunk in passages}
        if fitting := [pair for pair in group if all(e.chunk_id in shown for e in pair.evidence)]:
            sets.append(PassageSet(passages, fitting))
    _place(refusals, rankings, sets, choose)
    for one in sets:
        rng.shuffle(one.pairs)
    rng.shuffle(sets)
    return sets


def holds(chunk: Chunk, evidence: str) -> bool:
    """Whether a chunk holds a text, verbatim but for white space, or nearly all of its words and all its numbers."""
    if " ".join(evidence.split()) in " ".join(chunk.text.split()):
        return True
    wanted, there = _words(evidence), _words(chunk.text)
    numbers = {word for word in wanted if word.isdigit()}
    return bool(wanted) and numbers <= there and len(wanted & there) >= HELD * len(wanted)


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 3 or word.isdigit()}


def _groups(pairs: Sequence[Pair], most: int) -> Iterator[list[Pair]]:
    """Pairs by the chunks that they rest on. Follow-ups and planted instructions change the prompt: each is alone."""
    by_chunk: dict[str, list[Pair]] = defaultdict(list)
    shareable = [pair for pair in pairs if not pair.history and not pair.planted]
    for pair in shareable:
        by_chunk[pair.evidence[0].chunk_id].append(pair)
    used: set[str] = set()
    # Those that rest on two chunks come first: questions about either of the two can join them.
    for leader in sorted(shareable, key=lambda pair: -len(_gold(pair))):
        if leader.id in used:
            continue
        gold = _gold(leader)
        about = (pair for name in sorted(gold) for pair in by_chunk[name])
        joining = [pair for pair in about if pair.id not in used and pair is not leader and _gold(pair) <= gold]
        group = [leader, *joining[: most - 1]]
        used.update(pair.id for pair in group)
        yield group
    yield from ([pair] for pair in pairs if pair.history or pair.planted)


def _gold(pair: Pair) -> frozenset[str]:
    return frozenset(one.chunk_id for one in pair.evidence)


def _refusals(
    pairs: Sequence[Pair], grounded: Sequence[Pair], wanted: int, voice: Voice, rng: random.Random
) -> list[_Unanswered]:
    """As many questions to decline as are wanted: the teacher's own, and at least a third twins of answerable ones."""
    own = [_Unanswered(pair) for pair in pairs if not pair.answerable]
    rng.shuffle(own)
    candidates = [pair for pair in grounded if not pair.history and not pair.planted]
    # Nothing shows better than the same question with and without its passage that it is the passages that count.
    twins = rng.sample(candidates, min(len(candidates), max(wanted // 3, wanted - len(own))))
    return own[: wanted - len(twins)] + [_twin(pair, voice) for pair in twins]


def _twin(pair: Pair, voice: Voice) -> _Unanswered:
    """The same question where its answer cannot be found."""
    twin = replace(pair, id=f"{pair.id}-twin", kind=Kind.NEAR_MISS, answer=voice.decline, evidence=())
    return _Unanswered(twin, pair.evidence, frozenset(one.doc for one in pair.evidence))


def _passages(
    gold: Sequence[Chunk], ranking: Sequence[Chunk], choose: Choose, shuffled: float, rng: random.Random
) -> list[Chunk]:
    """What the model reads for a question: the evidence among what search returned."""
    passages = choose(ranking)
    wanted = {chunk.id for chunk in gold}
    missed = not wanted <= {chunk.id for chunk in passages}
    if missed:
        passages = choose([*gold, *(chunk for chunk in ranking if chunk.id not in wanted)])
    # Search puts the evidence first far more often than not, and a model that only ever cites [1] would do well.
    if missed or rng.random() < shuffled:
        rng.shuffle(passages)
    return passages


def _place(
    refusals: Iterable[_Unanswered], rankings: Iterator[list[Chunk]], sets: list[PassageSet], choose: Choose
) -> None:
    """Ask each question of a set that its own search nearly returned, or else of what its search returns."""
    by_chunk: dict[str, list[PassageSet]] = defaultdict(list)
    for one in sets:
        for chunk in one.passages:
            by_chunk[chunk.id].append(one)
    for refusal, ranking in zip(refusals, rankings, strict=True):
        found = [chunk for chunk in ranking if refusal.allows(chunk)]
        worth = {chunk.id: 1 / rank for rank, chunk in enumerate(found, start=1)}
        near = (one for chunk in found[:NEAR] for one in by_chunk[chunk.id])
        fitting = [one for one in near if one.room() and all(map(refusal.allows, one.passages))]
        if fitting:
            best = max(fitting, key=lambda one: sum(worth.get(chunk.id, 0.0) for chunk in one.passages))
            best.pairs.append(refusal.pair)
            best.refusals += 1
        elif found:
            sets.append(PassageSet(choose(found), [refusal.pair], refusals=1))
