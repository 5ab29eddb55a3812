"""A recipe: every setting of one tuning run, in one TOML file. Says all that is wrong at once, before a weight loads.

Shipped recipes are in `finetune/recipes`, each complete and headed by the command that runs it. A setting that a file
leaves out has the default below.
"""

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from finetune.settings import ModelSettings
from ingest.errors import DeskmateError

FOLDER = Path(__file__).parent.parent / "recipes"


class LoraRecipe(BaseModel):
    """The adapter's form (Hu et al., 2021)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(16, ge=1, le=512, description="Columns of A and rows of B.")
    alpha: float = Field(32, gt=0, description="The adapter's product is multiplied by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of an adapter's inputs that are left out in tuning.")
    strength: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of what was learnt that the adapter keeps; less of it forgets less of what the base knew.",
    )
    layers: Literal["all-linear"] | tuple[str, ...] = Field(
        "all-linear", description="Names of the linear layers that are adapted, or `all-linear`."
    )

    @model_validator(mode="after")
    def _names_layers(self) -> Self:
        if not self.layers:
            raise ValueError("layers is empty")
        return self


class Recipe(BaseModel):
    """The settings of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field(min_length=1, description="As `model.base` of the settings: a name or a folder.")
    method: Literal["qlora", "lora", "full"] = Field(
        description="`qlora` keeps the base in 4 bits, `lora` as it is, `full` tunes all of it."
    )
    lora: LoraRecipe = LoraRecipe()

    learning_rate: float = Field(1e-4, gt=0, lt=1, description="The largest step size.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="How it falls after the warm-up.")
    warmup_steps: int = Field(10, ge=0, description="Steps in which it rises from 0.")
    epochs: float = Field(2.0, gt=0, le=100, description="How often every row is seen.")
    batch_rows: int = Field(16, ge=1, le=4096, description="Rows of an optimizer step, in all processes together.")
    weight_decay: float = Field(0.0, ge=0, lt=1, description="AdamW's.")
    clip: float = Field(1.0, gt=0, description="Longest gradient.")
    seed: int = Field(0, ge=0, description="Another number, another start and order.")

    context: int = Field(2048, ge=16, description="Longest row, in tokens; longer ones are left out and counted.")
    pack_tokens: int = Field(2048, ge=16, description="Longest sequence that rows are packed into, in tokens.")
    checkpointing: bool = Field(
        False, description="Compute activations again in the backward pass: a third slower, far less memory."
    )

    evaluate_every: int = Field(20, ge=1, description="Steps between evaluations; each writes a checkpoint.")
    held_out_rows: int = Field(128, ge=1, description="Held-out rows that an evaluation reads, evenly drawn.")
    patience: int = Field(3, ge=0, description="Evaluations without a better one after which tuning stops; 0: never.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pack_tokens < self.context:
            raise ValueError(f"pack_tokens ({self.pack_tokens}) must hold a row of context ({self.context}) tokens")
        return self

    @property
    def model(self) -> ModelSettings:
        """How the base is loaded."""
        return ModelSettings(base=self.base, quantization="nf4" if self.method == "qlora" else "none")


def shipped() -> list[str]:
    """The names of the recipes that come with deskmate."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(name: str) -> Recipe:
    """Read a recipe by the name of a shipped one, or from a file.

    Raises:
        DeskmateError: no such recipe, no TOML, unknown keys or wrong values: all of them in one message.
    """
    path = FOLDER / f"{name}.toml" if name in shipped() else Path(name)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DeskmateError(f"there is no recipe {name!r}; name a TOML file or one of {', '.join(shipped())}") from None
    except (OSError, ValueError) as error:  # a TOMLDecodeError and a UnicodeDecodeError are ValueErrors
        raise DeskmateError(f"the recipe {path} cannot be read: {error}") from error
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_problem(one["loc"], one["msg"]) for one in error.errors())
        raise DeskmateError(f"the recipe {path} is wrong: {problems}") from None


def _problem(place: tuple[str | int, ...], message: str) -> str:
    key = ".".join(map(str, place))
    if message == "Extra inputs are not permitted":
        message = "no such setting"
    return f"{key}: {message}" if key else message
