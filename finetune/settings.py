"""Which chat model runs and in what arithmetic, with the defaults. Settings of other rooms are unknown here."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Dtype = Literal["auto", "float32", "bfloat16"]
Quantization = Literal["auto", "none", "nf4"]


class ModelSettings(BaseModel):
    """The base model under the adapter, the same for training and serving."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field(
        "auto",
        min_length=1,
        description="`auto` (Mistral-7B-Instruct-v0.3 where there is a GPU and its weights, else the embedded model), "
        "`SmolLM2-135M-Instruct` (embedded), or a folder or Hugging Face name whose safetensors are on this machine.",
    )
    dtype: Dtype = Field(
        "auto", description="Arithmetic of the model; `auto` is bfloat16 where the processor or GPU has it."
    )
    quantization: Quantization = Field(
        "auto", description="`nf4` keeps the weights in 4 bits (bitsandbytes); `auto` does so for Mistral-7B on a GPU."
    )


class DatasetSettings(BaseModel):
    """How pairs become training rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unanswerable: float = Field(
        0.22, ge=0, le=0.5, description="Share of rows whose right answer is the refusal: the answer is not there."
    )
    shuffled: float = Field(
        0.3, ge=0, le=1, description="Share of passage sets not in search's order, so that [1] is no safe guess."
    )
    rows_per_set: int = Field(12, ge=3, le=64, description="Most questions asked of the same passages.")
    seed: int = Field(0, ge=0, description="Another number, another draw.")


class CurateSettings(BaseModel):
    """Which question-answer pairs are good enough to be tuned on, and how they are split and mixed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(0, ge=0, description="Another number, another draw of splits and of what the mix leaves out.")
    held_out: float = Field(
        0.2,
        ge=0,
        le=0.9,
        description="Share of the documents whose pairs are never tuned on; they choose the checkpoint.",
    )
    unanswerable: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="Most pairs whose right answer is the refusal, as a share of all; the rest is left out.",
    )
    general: float = Field(
        0.04, ge=0, lt=0.5, description="Most general replay, as a share of all pairs; it works against forgetting."
    )
    groups: tuple[str, ...] = Field(
        (),
        description="Groups besides `everyone` whose documents may be tuned on; only they are served by the adapter.",
    )
    personal: Literal["keep", "drop"] = Field(
        "keep",
        description="Pairs with mail addresses, phone numbers, names or accounts out of documents: `keep` what the "
        "company published there itself, or `drop` them. A company's own pairs are always masked.",
    )
    support: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of a sentence's content words that its evidence, or the question, must hold.",
    )
    shortest_question: int = Field(2, ge=1, description="Fewest words of a question.")
    longest_question: int = Field(80, ge=5, description="Most words of a question.")
    shortest_answer: int = Field(3, ge=1, description="Fewest words of an answer, citations not counted.")
    longest_general: int = Field(300, ge=10, description="Most words of an answer of general replay.")
    near_duplicate: float = Field(
        0.7, gt=0, le=1, description="Jaccard similarity of word pairs from which two questions are nearly the same."
    )
    shared_words: int = Field(
        8, ge=4, description="Words in a row that a pair may not share with an evaluation question or its answer."
    )

    @model_validator(mode="after")
    def _leaves_room_for_answers(self) -> Self:
        if self.unanswerable + self.general >= 1:
            raise ValueError("unanswerable and general together leave no room for answerable pairs")
        return self


class TeacherSettings(BaseModel):
    """Who writes the question-answer pairs: the embedded teacher, or a stronger model on a server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: str = Field(
        "", description="Base address of an OpenAI-compatible server; empty for the embedded teacher, which needs none."
    )
    server_model: str = Field("", description="The server's name for the teacher; its first one by default.")
    server_key: SecretStr = Field(SecretStr(""), description="API key for the teacher's server; never logged.")
    server_seconds: float = Field(180.0, gt=0, description="Longest silence of the teacher's server, in seconds.")
    concurrency: int = Field(8, ge=1, le=256, description="Requests to the teacher at the same time.")
    pairs_per_request: int = Field(5, ge=1, le=12, description="Question-answer pairs asked for with each chunk.")
    price_in: float = Field(0.0, ge=0, description="Price of a million tokens read, for the estimate.")
    price_out: float = Field(0.0, ge=0, description="Price of a million tokens written, for the estimate.")


class SynthSettings(BaseModel):
    """How many question-answer pairs a teacher is to make."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: int = Field(3000, ge=1, description="Pairs wanted before filters; documents may hold fewer.")
    seed: int = Field(0, ge=0, description="Another number, another draw of questions and wordings.")
