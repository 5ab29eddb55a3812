"""Settings: where they come from, which one holds, and everything that is wrong said at once."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.report import print_config
from app.settings import load_settings
from ingest.errors import DeskmateError

SECRET = "sk-very-secret-0815"


def toml(text: str) -> None:
    Path("deskmate.toml").write_text(text)


def problem(**flags: object) -> str:
    with pytest.raises(DeskmateError) as caught:
        load_settings(**flags)
    return str(caught.value)


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.workspace.root == Path(".deskmate")
    assert settings.models_folder == Path(".deskmate/models")
    assert (settings.retrieval.method, settings.chat.backend, settings.ingest.workers) == ("hybrid", "local", 2)


def test_flags_win_over_the_environment_which_wins_over_the_file(monkeypatch) -> None:
    toml("[retrieval]\nk = 3\nmethod = 'bm25'\ncandidates = 50\n[chat]\nport = 8000\n")
    assert load_settings().retrieval.k == 3
    monkeypatch.setenv("DESKMATE_RETRIEVAL__K", "5")
    monkeypatch.setenv("DESKMATE_RETRIEVAL__METHOD", "dense")
    settings = load_settings(retrieval={"k": 7})
    assert (settings.retrieval.k, settings.retrieval.method, settings.retrieval.candidates) == (7, "dense", 50)
    assert settings.chat.port == 8000


def test_the_workspace_may_be_elsewhere(monkeypatch) -> None:
    monkeypatch.setenv("DESKMATE_HOME", "~/desk")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load_settings().workspace.root == Path("/home/somebody/desk")


def test_unknown_keys_are_errors_each_by_its_name() -> None:
    toml("colour = 1\n[chat]\nprot = 80\n[retreival]\nk = 1\n")
    message = problem()
    assert "colour: no such setting" in message
    assert "chat.prot: no such setting" in message
    assert "retreival: no such setting" in message


def test_everything_that_is_wrong_is_said_at_once(monkeypatch) -> None:
    toml("[chat]\nport = 99999\nbackend = 'magic'\n[ingest]\nworkers = 0\nwrokers = 2\n")
    monkeypatch.setenv("DESKMATE_RETRIEVAL__K", "many")
    monkeypatch.setenv("DESKMATE_RETREIVAL__K", "1")
    message = problem(retrieval={"batch_tokens": 1})
    for name in ("chat.port", "chat.backend", "ingest.workers", "ingest.wrokers", "retrieval.k"):
        assert f"{name}: " in message
    assert "retrieval.batch_tokens: " in message
    assert "DESKMATE_RETREIVAL__K: no such setting" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DESKMATE_HOEM", "DESKMATE_HOEM: no such setting"),
        ("DESKMATE_", "DESKMATE_: no such setting"),
        ("DESKMATE_HOME__X", "DESKMATE_HOME__X: no such setting"),
        ("DESKMATE_CHAT__PROT", "chat.prot: no such setting"),
        ("DESKMATE_CHAT__PORT__X", "chat.port: "),
    ],
)
def test_an_unknown_variable_is_an_error(monkeypatch, name: str, said: str) -> None:
    monkeypatch.setenv(name, "1")
    message = problem()
    assert message.startswith(f"wrong settings in deskmate.toml, DESKMATE_… or flags: {said}")
    assert message.endswith("; docs/settings.md lists them all")


def test_a_variable_that_cannot_be_parsed_is_named(monkeypatch) -> None:
    monkeypatch.setenv("DESKMATE_CHAT", "{no json")
    message = problem()
    assert "a DESKMATE_ variable: " in message
    assert "chat" in message


@pytest.mark.parametrize("text", ["[chat\nport = 1", "port = ", "\x00"])
def test_a_file_that_is_no_toml_is_a_clear_error(text: str) -> None:
    toml(text)
    assert problem().startswith("deskmate.toml cannot be read: ")


def test_a_file_that_is_no_text_is_a_clear_error() -> None:
    Path("deskmate.toml").write_bytes(b"home = '\xff'")
    assert problem().startswith("deskmate.toml cannot be read: ")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_secret_is_never_shown(monkeypatch, capsys, as_json: bool) -> None:
    monkeypatch.setenv("DESKMATE_CHAT__SERVER_KEY", SECRET)
    settings = load_settings()
    assert settings.chat.server_key == SecretStr(SECRET)
    print_config(settings, as_json)
    shown = capsys.readouterr().out
    assert "chat.server_key" in shown
    assert "set" in shown
    for text in (shown, repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in text


def test_a_secret_is_not_in_the_message_about_what_is_wrong(monkeypatch) -> None:
    monkeypatch.setenv("DESKMATE_CHAT__SERVER_KEY", SECRET)
    monkeypatch.setenv("DESKMATE_CHAT__PORT", "x")
    assert SECRET not in problem()
