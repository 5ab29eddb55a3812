"""Retrieval's settings and their defaults. Settings of other rooms are unknown here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["hybrid", "dense", "bm25"]


class RetrievalSettings(BaseModel):
    """How chunks are embedded and found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedder: str = Field(
        "all-MiniLM-L6-v2",
        description="`all-MiniLM-L6-v2` (embedded), `hashing` (a fake without weights), or a folder or name of any "
        "sentence-transformers model.",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Arithmetic of the embedder; `auto` is bfloat16 where the processor has it."
    )
    batch_tokens: int = Field(2048, ge=64, description="Tokens embedded at once, padding counted.")
    k: int = Field(10, ge=1, le=1000, description="Passages that a search returns.")
    method: Method = Field("hybrid", description="`hybrid` fuses `dense` (FAISS) and `bm25` (tantivy).")
    candidates: int = Field(100, ge=1, le=10_000, description="Passages that each retriever hands to fusion.")
    reranker: str | None = Field(
        None, description="A cross-encoder that reorders the best passages: a folder or name; none by default."
    )
    rerank_candidates: int = Field(20, ge=1, le=200, description="Passages that the cross-encoder reads.")
    rerank_ms: float = Field(
        400.0, gt=0, description="Milliseconds after which reranking stops and fusion's order stands."
    )
