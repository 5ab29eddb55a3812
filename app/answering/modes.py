"""The four modes, and how a question is answered in one. Plain data."""

from dataclasses import dataclass
from enum import StrEnum

from finetune.adapters.card import Adapter


class Mode(StrEnum):
    """Two switches, retriever or none and adapter or none, give four modes."""

    PROMPT_ONLY = "prompt-only"
    RAG_ONLY = "rag-only"
    TUNE_ONLY = "tune-only"
    HYBRID = "hybrid"


RETRIEVING = frozenset({Mode.RAG_ONLY, Mode.HYBRID})
UNTUNED = (Mode.RAG_ONLY, Mode.PROMPT_ONLY)
ALL = (Mode.HYBRID, Mode.RAG_ONLY, Mode.TUNE_ONLY, Mode.PROMPT_ONLY)
"""As a chooser offers them, the default first."""


@dataclass(frozen=True, slots=True)
class How:
    """How a question is answered: the mode, and the adapter of the tuned ones with its mark when it is stale."""

    mode: Mode
    adapter: Adapter | None = None
    stale: str = ""
