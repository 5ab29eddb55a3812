"""All settings in one: each room's, and the app's own. Defaults → deskmate.toml → DESKMATE_… → flags.

Everything is checked before any weight loads, and everything that is wrong is said at once.
"""

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from finetune.settings import CurateSettings, DatasetSettings, ModelSettings, SynthSettings, TeacherSettings
from finetune.training.preference import PreferenceSettings
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
        0.25, ge=0, le=1, description="Below this probability of being right the assistant declines."
    )
    ask_back: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Below this probability, and not declined, it asks which of the nearest subjects is meant; 0 for "
        "never.",
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
    drain_seconds: float = Field(
        20.0, ge=0, description="Longest time for running answers to be finished when the server is told to end."
    )
    per_person: int = Field(
        3, ge=1, description="Questions of one person that may be answered or wait, in as many windows as they like."
    )
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


class JudgeSettings(BaseModel):
    """The language model that `deskmate eval --judge` asks for a verdict on every answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: str = Field("", description="Base address of an OpenAI-compatible server; empty for no judge.")
    server_model: str = Field("", description="The server's name for the judge; its first one by default.")
    server_key: SecretStr = Field(SecretStr(""), description="API key for the judge's server; never logged.")
    server_seconds: float = Field(180.0, gt=0, description="Longest silence of the judge's server, in seconds.")
    concurrency: int = Field(8, ge=1, le=256, description="Answers that are judged at the same time.")
    reply_tokens: int = Field(
        400, ge=50, description="Longest reply of the judge; one that thinks before it replies needs thousands."
    )
    price_in: float = Field(0.0, ge=0, description="Price of a million tokens that the judge reads.")
    price_out: float = Field(0.0, ge=0, description="Price of a million tokens that the judge writes.")


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
    per_key: int = Field(
        60, ge=1, description="Requests of one key that may be computed or wait; more of it are turned away."
    )
    wait_seconds: float = Field(60.0, gt=0, description="Longest wait of a request before it is turned away.")
    requests_per_minute: int = Field(120, ge=1, description="Requests of one key a minute; so many may come at once.")
    max_body_kb: int = Field(256, ge=1, description="Largest request, in KiB.")
    open_metrics: bool = Field(
        True, description="Whether `/metrics` answers without a key; else one with the scope `metrics` is needed."
    )


class UploadSettings(BaseModel):
    """What may be uploaded at `/staff/documents`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_file_mb: float = Field(
        50.0, gt=0, description="Largest file that is uploaded, in MiB; never more than `ingest.max_file_mb`."
    )
    max_total_mb: float = Field(5000.0, gt=0, description="Most that all uploaded files take together, in MiB.")


class DatabaseSettings(BaseModel):
    """Where accounts, conversations and the audit are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(
        SecretStr(""),
        description="Address of a PostgreSQL database, `postgresql+psycopg://user:password@host/name`; empty for a "
        "SQLite file in the workspace.",
    )


class SignInSettings(BaseModel):
    """How long somebody stays signed in, and whose word is taken for where a request comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    idle_hours: float = Field(12.0, gt=0, description="Hours without a request after which somebody signs in again.")
    longest_hours: float = Field(168.0, gt=0, description="Hours after which everybody signs in again.")
    proxies: tuple[str, ...] = Field(
        (),
        description="Addresses of reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; "
        "`*` for all.",
    )


class OidcSettings(BaseModel):
    """Single sign-on by OpenID Connect."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field("", description="Address of the OpenID Connect provider; empty for no single sign-on.")
    client_id: str = Field("", description="What the provider calls this deskmate.")
    client_secret: SecretStr = Field(SecretStr(""), description="The client's secret at the provider; never logged.")
    scopes: str = Field("openid profile email", description="What is asked for, separated by spaces.")
    name_claim: str = Field(
        "preferred_username", description="The claim that becomes an account's name, when it is made."
    )
    groups_claim: str = Field(
        "", description="The claim with the groups; empty where they are set by `deskmate users set`."
    )
    groups: dict[str, str] = Field(
        {}, description="The provider's groups by our names for them; empty where they are called the same."
    )
    desk: tuple[str, ...] = Field((), description="The provider's groups whose members have the role `desk`.")
    admin: tuple[str, ...] = Field((), description="The provider's groups whose members have the role `admin`.")
    label: str = Field("Use your company account", description="What the button says.")
    only: bool = Field(False, description="Whether nobody can sign in with a password.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer and not self.issuer.startswith(("https://", "http://localhost", "http://127.0.0.1")):
            raise ValueError("the issuer's address begins with https://")
        if self.issuer and not self.client_id:
            raise ValueError("client_id is needed beside the issuer")
        if (self.groups or self.desk or self.admin) and not self.groups_claim:
            raise ValueError("groups_claim is needed beside groups, desk or admin")
        if self.only and not self.issuer:
            raise ValueError("an issuer is needed where single sign-on is the only way in")
        return self


class HandoverSettings(BaseModel):
    """Where a conversation goes, besides the queue, when somebody asks for a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mail_to: str = Field("", description="The mailbox that hand-overs are sent to; empty for none.")
    mail_from: str = Field("deskmate@localhost", description="The sender of these mails.")
    smtp_host: str = Field("localhost", description="The mail server.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port.")
    smtp_user: str = Field("", description="Who signs in to the mail server; empty for nobody.")
    smtp_password: SecretStr = Field(SecretStr(""), description="Their password; never logged.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the way to the mail server is encrypted; `none` only on this machine or network."
    )
    webhook: str = Field(
        "", pattern=r"^$|^https?://", description="The address that hand-overs are posted to as JSON; empty for none."
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Signs what is posted: `X-Deskmate-Signature` is `sha256=` and the body's HMAC-SHA256 with it.",
    )
    groups: tuple[str, ...] = Field(
        (),
        description="What whoever reads the mailbox and the webhook may read, besides what is for everyone; answers "
        "that rest on other documents are left out there.",
    )
    address: str = Field(
        "",
        pattern=r"^$|^https?://",
        description="Address at which people reach this deskmate, for links in what is sent; empty for no links.",
    )

    @property
    def channels(self) -> tuple[str, ...]:
        """Where hand-overs are sent."""
        return tuple(name for name, to in (("mail", self.mail_to), ("webhook", self.webhook)) if to)


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
    uploads: UploadSettings = UploadSettings()
    database: DatabaseSettings = DatabaseSettings()
    sign_in: SignInSettings = SignInSettings()
    oidc: OidcSettings = OidcSettings()
    handover: HandoverSettings = HandoverSettings()
    synth: SynthSettings = SynthSettings()
    teacher: TeacherSettings = TeacherSettings()
    curate: CurateSettings = CurateSettings()
    dataset: DatasetSettings = DatasetSettings()
    preference: PreferenceSettings = PreferenceSettings()
    eval: EvalSettings = EvalSettings()
    judge: JudgeSettings = JudgeSettings()
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
