"""The house style: persona, form of an answer and of a refusal, read from one TOML file. Knows nothing of models.

`finetune.house_form` checks an answer against it.
"""

import re
import tomllib
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest.errors import DeskmateError

SHIPPED = Path(__file__).parent / "house_style.toml"
"""The neutral style that is used where no file is named."""


NEARLY = 0.85
"""Share of the refusal's characters, in order, that make an answer the refusal; answers have less than half."""


class Persona(BaseModel):
    """Who speaks, and the standing instructions to the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    instructions: str = Field(min_length=1)


class AnswerForm(BaseModel):
    """How an answer looks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    longest_words: int = Field(ge=10)
    citation: str = Field(pattern=r"\{n\}")
    steps: Literal["numbered", "prose"] = "numbered"


class Refusal(BaseModel):
    """What is said when the documents hold no answer, and where to turn then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1)
    hand_over: str = Field(min_length=1)


class Clarification(BaseModel):
    """How the assistant asks back which of several subjects is meant; a list of them follows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field("I am not sure which of these you mean:", min_length=1)


class Banned(BaseModel):
    """What is never said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phrases: tuple[str, ...] = ()


class Voice(BaseModel):
    """One company's house style."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    persona: Persona
    answer: AnswerForm
    refusal: Refusal
    clarification: Clarification = Clarification()
    banned: Banned = Banned()

    def cite(self, n: int) -> str:
        """The citation marker for passage `n`."""
        return self.answer.citation.replace("{n}", str(n))

    @cached_property
    def marker(self) -> re.Pattern[str]:
        """Finds the house's citation markers; group 1 is the passage's number."""
        before, _, after = self.answer.citation.partition("{n}")
        return re.compile(re.escape(before) + r"(\d{1,3})" + re.escape(after))

    @property
    def decline(self) -> str:
        """The whole refusal: what is said, and where to turn."""
        return f"{self.refusal.text} {self.refusal.hand_over}"

    def is_refusal(self, answer: str) -> bool:
        """Whether an answer begins with the house's refusal, word for word or nearly so, as a small model writes it."""
        said = " ".join(answer.split())[: len(self.refusal.text)].casefold()
        return SequenceMatcher(None, said, self.refusal.text.casefold()).ratio() >= NEARLY


def load_voice(path: Path | None = None) -> Voice:
    """Read a house style; the shipped, neutral one by default.

    Raises:
        DeskmateError: a missing file, no TOML, or missing, unknown or wrong entries, all of them named.
    """
    path = path or SHIPPED
    try:
        data = tomllib.loads(path.expanduser().read_text("utf-8"))
        return Voice(**data)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
        raise DeskmateError(f"the house style {path} cannot be read: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DeskmateError(f"the house style {path} is not complete: {problems}") from None
