"""Which chat model runs and in what arithmetic, with the defaults. Settings of other rooms are unknown here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
