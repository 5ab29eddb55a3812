"""`deskmate tune`, step by step: training rows, a recipe, the run, and the adapter in the registry.

Composes the rooms; how tuning goes is the business of `finetune`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.desk import Desk
from finetune.adapters.card import Adapter, Card
from finetune.adapters.tuned_on import write_tuned_on
from finetune.curation.card import prompt_sha256
from finetune.curation.rows import Row, read_rows
from finetune.house_form import check
from finetune.model import LoadedBase
from finetune.template import encode, stop_ids
from finetune.training.checks import Data
from finetune.training.recipe import Recipe, load_recipe
from finetune.training.train import Place, TuneResult, tune
from finetune.training.tune_log import Watch
from finetune.voice import Voice
from ingest.errors import DeskmateError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SCORED = 32
"""Held-out rows that are answered at every evaluation."""

ANSWER_TOKENS = 96
"""Longest of these answers; the house's are short."""


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """Which run: a recipe by name or file, the adapter's name, the folder of `deskmate synth`."""

    recipe: str
    name: str
    data: Path | None = None
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a run made."""

    adapter: Adapter
    result: TuneResult


class Tuning:
    """One run of `deskmate tune`. Everything that can be wrong is said before a weight is loaded."""

    def __init__(self, desk: Desk, options: TuneOptions) -> None:
        """Read and check settings and data.

        Raises:
            DeskmateError: an unknown recipe, a wrong setting, no training data, a row that is none; with file and line.
        """
        self._desk = desk
        self._options = options
        self.recipe: Recipe = load_recipe(options.recipe)
        folder = options.data or desk.workspace.qa
        if not (folder / "train.jsonl").is_file():
            raise DeskmateError(f"there is no training data in {folder}; run deskmate synth first")
        held_out = folder / "held_out.jsonl"
        self._files = [folder / "train.jsonl", *([held_out] if held_out.is_file() else [])]
        self.data = Data(read_rows(self._files[0]), read_rows(held_out) if held_out.is_file() else ())

    @property
    def _work(self) -> Path:
        return self._desk.workspace.root / "tuning" / self._options.name

    def run(self, watch: Watch) -> Tuned | None:
        """Tune, keep the best checkpoint, and publish it as the next version of the adapter. It is not promoted.

        Under `accelerate launch` all processes but the first return None.

        Raises:
            DeskmateError: a base that cannot be loaded, too little memory, a disk that is full.
        """

        def score(model: "PreTrainedModel", base: LoadedBase) -> float:
            return held_out_score(model, base, self.data.held_out, self._desk.voice)

        result = tune(
            self.recipe,
            self.data,
            self._desk.settings.models_folder,
            Place(self._work, self._work / "adapter"),
            score=score if self.data.held_out else None,
            watch=watch,
            resume=self._options.resume,
        )
        if result is None:
            return None
        write_tuned_on(result.folder, (row.question for row in self.data.train))
        adapter = self._desk.registry.publish(self._options.name, result.folder, self._card(result))
        return Tuned(adapter, result)

    def _card(self, result: TuneResult) -> Card:
        known = self._desk.searcher.open().table.known().values()
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in self._files)).hexdigest()
        documents = {one.doc: one.sha256 for one in known}
        return result.card(self.data, digest, prompt_sha256(self._desk.voice), documents)


def held_out_score(model: "PreTrainedModel", base: LoadedBase, held_out: Sequence[Row], voice: Voice) -> float:
    """Let the model answer held-out questions and score the answers, 0 to 1; see `answer_score`."""
    from app.models.decode import Decoder

    answered = [row for row in held_out if row.passages]
    rows = answered[:: max(1, len(answered) // SCORED)][:SCORED]
    tokenizer = base.tokenizer
    decoder = Decoder(model, stop_ids(tokenizer, base.template))
    written = decoder.batch([encode(tokenizer, row.prompt) for row in rows], ANSWER_TOKENS, batch_size=8)
    texts = [str(tokenizer.decode(ids, skip_special_tokens=True)).strip() for ids in written]
    return sum(answer_score(text, row, voice) for text, row in zip(texts, rows, strict=True)) / max(1, len(rows))


def answer_score(text: str, row: Row, voice: Voice) -> float:
    """What an answer to a held-out row is worth: 0 when it breaks the house form, else its facts.

    Of a refusal: whether it was due. Of an answer: the F1 of its words against the house's answer, those of the
    question left out, because what the asker said already is no fact.
    """
    if voice.is_refusal(row.answer) or voice.is_refusal(text):
        return float(voice.is_refusal(row.answer) and voice.is_refusal(text))
    if check(text, voice, row.passages):
        return 0.0
    told, due = (_words(one, voice) - _words(row.question, voice) for one in (text, row.answer))
    shared = len(told & due)
    return 2 * shared / (len(told) + len(due)) if told or due else 1.0


def _words(text: str, voice: Voice) -> set[str]:
    return set(re.findall(r"\w+", voice.marker.sub(" ", text).casefold()))
