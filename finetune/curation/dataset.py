"""Question-answer pairs to training rows: in the serving prompt, over the passages that the desk's own search returns.

Knows the prompt and the form of a row; search and the choice of what fits are passed in.
"""

import random
import re
from collections.abc import Mapping, Sequence

from finetune.curation.pairs import Kind, Pair
from finetune.curation.passage_sets import Choose, PassageSet, Retrieve, assemble
from finetune.curation.rows import Row
from finetune.prompt import PromptPassage, render_prompt
from finetune.settings import DatasetSettings
from finetune.template import Turn
from finetune.voice import Voice
from ingest.records import Chunk
from ingest.sentences import sentence_spans


def build_rows(
    pairs: Sequence[Pair],
    chunks: Mapping[str, Chunk],
    *,
    retrieve: Retrieve,
    choose: Choose,
    voice: Voice,
    settings: DatasetSettings,
) -> list[Row]:
    """Turn pairs into training rows. The same arguments give the same rows.

    Questions with evidence, and those to be declined, stand below passages (see `finetune.curation.passage_sets`); rows
    that share their passages follow each other. General replay is asked as it is, without the house's instructions; a
    company's own pairs without evidence are asked as the mode without retrieval asks.

    Args:
        pairs: what passed the filters; their answers cite evidence by its place, from 1.
        chunks: every chunk that evidence lies in, by id.
        retrieve: the desk's search: for each pair a ranking longer than what the model reads.
        choose: what of a ranking the model reads: the Answerer's own choice.
        voice: the house style.
        settings: shares and seed.
    """
    sets = assemble(pairs, chunks, retrieve=retrieve, choose=choose, voice=voice, settings=settings)
    rng = random.Random(settings.seed)  # noqa: S311 - which row comes when is no secret
    blocks = [[_grounded(pair, one, voice, rng) for pair in one.pairs] for one in sets]
    blocks += [[_bare(pair, voice)] for pair in pairs if pair.answerable and not pair.evidence]
    rng.shuffle(blocks)
    return [row for block in blocks for row in block]


def _grounded(pair: Pair, one: PassageSet, voice: Voice, rng: random.Random) -> Row:
    """A question below its passages."""
    shown = [PromptPassage.of(chunk) for chunk in one.passages]
    if pair.planted:
        place = rng.randrange(len(shown))
        shown[place] = PromptPassage(shown[place].source, plant(pair, one.passages[place], rng))
    numbers = {chunk.id: n for n, chunk in enumerate(one.passages, start=1)}
    access = {chunk.doc: tuple(sorted(chunk.access)) for chunk in one.passages}
    return _row(
        pair,
        render_prompt(pair.question, shown, voice, pair.history),
        renumber(pair.answer, [numbers[evidence.chunk_id] for evidence in pair.evidence], voice),
        len(shown),
        access,
    )


def _bare(pair: Pair, voice: Voice) -> Row:
    """A question without passages. What does not come from the house's documents is not asked with its instructions."""
    if pair.kind is Kind.GENERAL:
        prompt = [*pair.history, Turn(role="user", content=pair.question)]
    else:
        prompt = render_prompt(pair.question, None, voice, pair.history)
    access = {pair.doc: tuple(sorted(pair.access))} if pair.doc else {}
    return _row(pair, prompt, pair.answer, 0, access)


def _row(pair: Pair, prompt: Sequence[Turn], answer: str, passages: int, access: Mapping[str, tuple[str, ...]]) -> Row:
    return Row(
        id=pair.id,
        kind=pair.kind,
        style=pair.style,
        prompt=tuple(prompt),
        completion=(Turn(role="assistant", content=answer),),
        question=pair.question,
        passages=passages,
        evidence=pair.evidence,
        docs=tuple(access),
        access=tuple(access.values()),
        teacher=pair.teacher,
    )


def renumber(answer: str, numbers: Sequence[int], voice: Voice) -> str:
    """Turn citations of evidence into citations of passages.

    Args:
        answer: cites evidence by its place, from 1.
        numbers: the number of the passage that each evidence lies in.
        voice: for the form of a marker.
    """
    cited = voice.marker.sub(lambda match: voice.cite(numbers[int(match[1]) - 1]), answer)
    # Two pieces of evidence in one passage are cited once.
    return re.sub(rf"({voice.marker.pattern})(?:\s*\1)+", r"\1", cited)


def plant(pair: Pair, chunk: Chunk, rng: random.Random) -> str:
    """A chunk's text with the pair's instruction between two of its sentences, and none of the evidence torn apart."""
    text = chunk.text
    inside = [(e.start - chunk.start, e.end - chunk.start) for e in pair.evidence if e.chunk_id == chunk.id]
    ends = [end for _, end in sentence_spans(text) if not any(first < end < last for first, last in inside)]
    place = rng.choice(ends or [len(text)])
    before, after = text[:place], text[place:]
    return f"{before}{' ' if after[:1] == ' ' else chr(10)}{pair.planted}{after}"
