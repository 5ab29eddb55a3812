"""All settings in one: each room's, and the app's own. Defaults → deskmate.toml → DESKMATE_… → flags.

Everything is checked before any weight loads, and everything that is wrong is said at once.
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from finetune.preference import PreferenceSettings
from finetune.settings import CurateSettings, DatasetSettings, ModelSettings, SynthSettings, TeacherSettings
from ingest.errors import DeskmateError
from ingest.settings import IngestSettings
from ingest.workspace import Workspace
from retrieval.settings import RetrievalSettings

FILE = "deskmate.toml"


class ChatSettings(BaseModel):
    """How questions are answered and where the chat listens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["local", "openai", "echo"] = Field(
        "local",
        description="`local` runs the model of `[model]` in this process, `openai` asks any OpenAI-compatible server, "
        "`echo` is a fake without weights.",
    )
    server: str = Field("http://127.0.0.1:8000/v1", description="Base address of the OpenAI-compatible server.")
    server_model: str = Field("", description="The server's name for the model; its first one by default.")
    server_key: SecretStr = Field(SecretStr(""), description="API key for the server; never logged.")
    server_seconds: float = Field(60.0, gt=0, description="Longest silence of the server, in seconds.")
    passages: int = Field(3, ge=1, le=20, description="Passages that the model reads.")
    passage_tokens: int = Field(700, ge=64, description="Most tokens of all passages together, as the embedder counts.")
    answer_tokens: int = Field(160, ge=8, le=4096, description="Longest answer, in the chat model's tokens.")
    confidence: float = Field(
        0.2, ge=0, le=1, description="Below this probability of being right the assistant declines."
    )
    voice: Path | None = Field(None, description="A house style in TOML; the shipped one by default.")
    adapter: str = Field(
        "",
        description="The adapter that serves while none is promoted: a folder, `name` or `name/vN` of the workspace; "
        "none by default.",
    )
    stale_adapters: Literal["serve", "unless-deleted", "refuse"] = Field(
        "unless-deleted",
        description="What is done with an adapter whose training documents changed or are gone from the index: `serve` "
        "it with a mark, do so `unless-deleted` documents are among them, or `refuse` it; the base answers then.",
    )
    host: str = Field("127.0.0.1", description="Address that the chat listens on.")
    port: int = Field(7860, ge=1, le=65535, description="Port that the chat listens on.")
    title: str = Field("Help desk", description="What the chat is called on its page.")
    examples: tuple[str, ...] = Field((), description="Questions offered on the empty page.")


class EvalSettings(BaseModel):
    """What `deskmate eval` asks by default, and what its gate asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    questions: Path | None = Field(None, description="The question set of `deskmate eval`; none by default.")
    margin: float = Field(
        0.02,
        ge=0,
        le=1,
        description="The share of key facts that an adapter may cost on held-out questions at most; `eval --gate` "
        "promotes it only if the interval shows that it costs less.",
    )


class PriceSettings(BaseModel):
    """What the chat model's tokens cost; 0 where nothing is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: float = Field(0.0, ge=0, description="Price of a million tokens read by the chat model.")
    completion: float = Field(0.0, ge=0, description="Price of a million tokens written by the chat model.")
    currency: str = Field("EUR", description="What the prices are in.")


class ApiSettings(BaseModel):
    """The HTTP API: what it sends, and how much of it anyone may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: Literal["checked", "as-written"] = Field(
        "checked",
        description="What a streamed answer sends: each answer once it is `checked`, or words `as-written` by the "
        "model, which can be withdrawn only in the last chunk.",
    )
    at_once: int = Field(2, ge=1, le=256, description="Answers that the API computes at the same time.")
    waiting: int = Field(120, ge=0, description="Requests that may wait behind them; more are turned away.")
    wait_seconds: float = Field(60.0, gt=0, description="Longest wait of a request before it is turned away.")
    requests_per_minute: int = Field(120, ge=1, description="Requests of one key a minute; so many may come at once.")
    max_body_kb: int = Field(256, ge=1, description="Largest request, in KiB.")
    open_metrics: bool = Field(
        True, description="Whether `/metrics` answers without a key; else one with the scope `metrics` is needed."
    )


class Settings(BaseSettings):
    """The resolved settings of one command."""

    model_config = SettingsConfigDict(
        env_prefix="DESKMATE_", env_nested_delimiter="__", toml_file=FILE, extra="forbid", frozen=True
    )

    home: Path = Field(Path(".deskmate"), description="The workspace: index, adapters, reports.")
    models: Path | None = Field(
        None, description="Where the embedded models lie; `models` in the workspace by default."
    )
    ingest: IngestSettings = IngestSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    model: ModelSettings = ModelSettings()
    chat: ChatSettings = ChatSettings()
    api: ApiSettings = ApiSettings()
    synth: SynthSettings = SynthSettings()
    teacher: TeacherSettings = TeacherSettings()
    curate: CurateSettings = CurateSettings()
    dataset: DatasetSettings = DatasetSettings()
    preference: PreferenceSettings = PreferenceSettings()
    eval: EvalSettings = EvalSettings()
    prices: PriceSettings = PriceSettings()

    @property
    def workspace(self) -> Workspace:
        """The workspace at `home`."""
        return Workspace(self.home.expanduser())

    @property
    def models_folder(self) -> Path:
        """Where the embedded models lie."""
        return (self.models or self.workspace.models).expanduser()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags over environment over file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**flags: Any) -> Settings:
    """Resolve the settings.

    Args:
        **flags: values from the command line by section, such as `chat={"port": 8000}`.

    Raises:
        DeskmateError: a file that is no TOML, unknown keys or wrong values: all of them in one message.
    """
    problems = [f"{name}: no such setting" for name in _unknown_variables()]
    settings = None
    try:
        settings = Settings(**flags)
    except ValidationError as error:
        problems += [f"{'.'.join(map(str, e['loc']))}: {_plain(e)}" for e in error.errors()]
    except SettingsError as error:
        problems.append(f"a DESKMATE_ variable: {error}")
    except ValueError as error:
        raise DeskmateError(f"{FILE} cannot be read: {error}") from error
    if settings is None or problems:
        raise DeskmateError(
            f"wrong settings in {FILE}, DESKMATE_… or flags: {'; '.join(problems)}; docs/settings.md lists them all"
        )
    return settings


def _plain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "no such setting"
    return str(error["msg"]).removeprefix("Value error, ")


def _unknown_variables() -> list[str]:
    """An unknown DESKMATE_ variable is as wrong as an unknown key in the file; pydantic-settings only ignores it."""
    ours = (name for name in os.environ if name.startswith("DESKMATE_"))
    return sorted(name for name in ours if not _known(name.removeprefix("DESKMATE_")))


def _known(name: str) -> bool:
    section, _, key = name.lower().partition("__")
    field = Settings.model_fields.get(section)
    # Below a section pydantic itself says what it does not know.
    return field is not None and (not key or hasattr(field.annotation, "model_fields"))
