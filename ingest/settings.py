"""Ingestion's settings and their defaults. Settings of other rooms are unknown here."""

from pydantic import BaseModel, ConfigDict, Field


class IngestSettings(BaseModel):
    """How files are read and cut. Sizes in tokens are counted by the embedder's own tokenizer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chunk_tokens: int = Field(
        192, ge=32, le=4096, description="Most tokens of a chunk's own text (never more than the embedder reads)."
    )
    parse_seconds: float = Field(60.0, gt=0, description="Wall-clock seconds one file may take to parse.")
    parse_memory_mb: int = Field(2048, ge=256, description="Memory one parsing process may take, in MiB.")
    max_file_mb: float = Field(100.0, gt=0, description="Largest file that is read, in MiB.")
    max_text_mb: float = Field(20.0, gt=0, description="Longest text one document may hold after parsing, in MiB.")
    max_inflated_mb: float = Field(
        200.0, gt=0, description="Most bytes a zip-based file (docx, pptx, xlsx) may inflate to, in MiB."
    )
    max_zip_entries: int = Field(10_000, ge=1, description="Most entries in a zip-based file.")
    max_pages: int = Field(2_000, ge=1, description="Most pages of a PDF.")
    workers: int = Field(2, ge=1, le=64, description="Parsing processes that run at once.")
