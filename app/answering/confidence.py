"""How likely an answer is to be right: a logistic regression over what search and the check against the passages say.

Knows numbers only. The weights are measured for a model; `deskmate calibrate` measures them for a company's own
documents and questions.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from app.answering.relevance import Relevance
from ingest.errors import DeskmateError
from ingest.workspace import write_atomic

FILE = "calibration.json"


@dataclass(frozen=True, slots=True)
class Confidence:
    """Weights of the signals, and where they come from.

    `sentence` and `standing` as in `app.answering.relevance.Relevance`; `held` as in `app.answering.answer.Answer`.
    `believed`: the model's own refusals count, and its choice of what to answer from. A model of which nobody has
    measured that they mean little is believed.
    """

    model: str
    sentence: float
    standing: float
    held: float
    bias: float
    believed: bool = True

    def __call__(self, relevance: Relevance, held: bool) -> float:
        """The probability that an answer is right, between 0 and 1."""
        z = self.sentence * relevance.sentence + self.standing * relevance.standing + self.held * held + self.bias
        return 1 / (1 + math.exp(-z))


SMALL = Confidence("SmolLM2-135M-Instruct", sentence=4.92, standing=0.81, held=1.41, bias=-6.21, believed=False)
"""Fitted on answers to two collections' questions, see docs/log.md. This model declines what it could answer as often
as what it could not (AUC .50 to .58), and it is right in 96 % where it answers from the nearest sentence, in 57 %
elsewhere."""


def confidence_for(model: str, folder: Path) -> Confidence:
    """The weights for a model: those measured in this workspace, else the shipped ones.

    Raises:
        DeskmateError: a file that cannot be read.
    """
    path = folder / FILE
    if path.is_file():
        try:
            measured = Confidence(**json.loads(path.read_text("utf-8"))["weights"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeskmateError(f"{path} cannot be read ({error}); run deskmate calibrate again") from error
        if measured.model == model:
            return measured
    small = SMALL
    return small if model == small.model else Confidence(model, small.sentence, small.standing, small.held, small.bias)


def save_confidence(confidence: Confidence, measured: dict[str, object], folder: Path) -> Path:
    """Keep weights and what they were measured on for this workspace."""
    path = folder / FILE
    write_atomic(path, (json.dumps({"weights": asdict(confidence), "measured": measured}, indent=1) + "\n").encode())
    return path
