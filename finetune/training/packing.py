"""Rows packed as trees: what rows of one passage set have in common is read once, and each row's rest branches off it.

Our prompts are passages, instructions, question, so rows that ask about the same passages differ in their last tokens
only. A branch attends to the prefix and to itself, and its positions go on from the prefix: every token gets the
hidden state, and every weight the gradient, that it would get if the rows were read one by one. Nothing is padded.
Knows token ids; knows no torch and no text.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row as token ids. The loss is taken on `completion`, which ends with the stop token."""

    prompt: Ids
    completion: Ids

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True, slots=True)
class Group:
    """Samples that share their first `prefix` tokens; 0 for one that shares nothing. No completion is shared."""

    prefix: int
    samples: tuple[Sample, ...]

    @property
    def tokens(self) -> int:
        """Tokens that are read."""
        return self.unshared - self.prefix * (len(self.samples) - 1)

    @property
    def unshared(self) -> int:
        """Tokens of the rows one by one."""
        return sum(map(len, self.samples))

    @property
    def targets(self) -> int:
        """Tokens that the loss is taken on."""
        return sum(len(sample.completion) for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Pack:
    """Groups that go through the model as one sequence, each blind to the others."""

    groups: tuple[Group, ...]

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return sum(len(group.samples) for group in self.groups)

    @property
    def tokens(self) -> int:
        """Tokens that are read."""
        return sum(group.tokens for group in self.groups)

    @property
    def unshared(self) -> int:
        """Tokens of its rows one by one."""
        return sum(group.unshared for group in self.groups)

    @property
    def targets(self) -> int:
        """Tokens that the loss is taken on."""
        return sum(group.targets for group in self.groups)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the optimizer sees: for each process its packs. The loss is a mean over `targets` tokens."""

    shares: tuple[tuple[Pack, ...], ...]

    @property
    def packs(self) -> Iterator[Pack]:
        """The packs of all processes."""
        return (pack for share in self.shares for pack in share)

    @property
    def targets(self) -> int:
        """Tokens that the loss is taken on, in all processes."""
        return sum(pack.targets for pack in self.packs)


@dataclass(frozen=True, slots=True)
class Batching:
    """How rows are put together.

    `rows` is the effective batch: a step sees as many rows as whole groups come nearest to it. `pack_tokens` is the
    longest sequence. `processes` share every step.
    """

    rows: int
    pack_tokens: int
    epochs: float
    seed: int
    processes: int = 1


def group_samples(samples: Sequence[Sample], pack_tokens: int, rows: int) -> list[Group]:
    """Put samples that follow each other into one group as long as they share half of their prompts.

    Args:
        samples: none longer than `pack_tokens`.
        pack_tokens: most tokens of a group.
        rows: most samples of a group.
    """
    groups: list[Group] = []
    for sample in samples:
        alone = Group(0, (sample,))
        joined = _join(groups[-1], sample) if groups else alone
        same = joined.prefix * 2 >= len(sample.prompt)  # rows of other passages share their first words, too
        if same and joined.tokens <= pack_tokens and len(joined.samples) <= rows:
            groups[-1] = joined
        else:
            groups.append(alone)
    return groups


def pack_groups(groups: Sequence[Group], pack_tokens: int) -> list[Pack]:
    """Fill packs with groups: the longest first, each into the first pack that has room."""
    packs: list[list[Group]] = []
    room: list[int] = []
    for group in sorted(groups, key=lambda group: -group.tokens):
        place = next((n for n, free in enumerate(room) if free >= group.tokens), None)
        if place is None:
            packs.append([group])
            room.append(pack_tokens - group.tokens)
        else:
            packs[place].append(group)
            room[place] -= group.tokens
    return [Pack(tuple(pack)) for pack in packs]


def plan_steps(groups: Sequence[Group], batching: Batching) -> list[Step]:
    """Lay out every step of a run. The same groups and batching give the same steps.

    Each epoch has the groups in another order. The last epoch may be a part of one.
    """
    steps: list[Step] = []
    for epoch in range(ceil(batching.epochs)):
        order = list(groups)
        random.Random(f"{batching.seed}/{epoch}").shuffle(order)  # noqa: S311  no secret
        whole = [_share(batch, batching) for batch in _batches(order, batching)]
        part = min(batching.epochs - epoch, 1.0)
        steps += whole[: max(1, round(part * len(whole)))]
    return steps


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    length = min(len(first), len(second))
    return next((n for n in range(length) if first[n] != second[n]), length)


def _join(group: Group, sample: Sample) -> Group:
    """The group with one sample more, whose prefix is what all have in common.

    The last token of a prompt is in the branch: the first token of the completion is predicted from it.
    """
    samples = (*group.samples, sample)
    first = group.samples[0].prompt
    shared = common_prefix(first, sample.prompt)
    limits = [len(one.prompt) - 1 for one in samples]
    if len(group.samples) > 1:
        limits.append(group.prefix)
    return Group(min(shared, *limits), samples)


def _batches(groups: Sequence[Group], batching: Batching) -> list[list[Group]]:
    """Cut the groups in order into batches whose rows come nearest to what is wanted; each process gets something."""
    batches: list[list[Group]] = [[]]
    rows = 0
    for group in groups:
        more = rows + len(group.samples)
        if len(batches[-1]) >= batching.processes and more - batching.rows > batching.rows - rows:
            batches.append([])
            more = len(group.samples)
        batches[-1].append(group)
        rows = more
    if len(batches) > 1 and len(batches[-1]) < batching.processes:
        rest = batches.pop()
        batches[-1] += rest
    return batches


def _share(groups: Sequence[Group], batching: Batching) -> Step:
    """Deal groups to processes, always to the one that has the fewest tokens."""
    shares: list[list[Group]] = [[] for _ in range(batching.processes)]
    for group in sorted(groups, key=lambda group: -group.tokens):
        min(shares, key=lambda share: sum(one.tokens for one in share)).append(group)
    return Step(tuple(tuple(pack_groups(share, batching.pack_tokens)) for share in shares))
