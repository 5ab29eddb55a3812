"""API keys: what is kept of them, who is let in, and what another process changes."""

import contextlib
import hashlib
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.api.keys import KEYS, USED, Keys
from ingest.errors import DeskmateError
from ingest.workspace import writer_lock


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def test_a_key_is_random_and_only_its_hash_is_kept(keys: Keys) -> None:
    (one, secret), (_, other) = keys.add("a", [], ["chat"]), keys.add("b", [], ["chat"])
    assert secret != other
    assert secret.startswith("dm_")
    assert len(secret) == 3 + 43  # 32 bytes in base64
    text = (keys.folder / KEYS).read_text()
    assert secret not in text
    assert secret[3:] not in text
    assert one.sha256 == hashlib.sha256(secret.encode()).hexdigest()


def test_the_file_is_for_its_owner_alone(keys: Keys) -> None:
    keys.add("a", [], ["chat"])
    assert stat.S_IMODE((keys.folder / KEYS).stat().st_mode) == 0o600


def test_a_key_is_found_by_itself_and_by_nothing_near_it(keys: Keys) -> None:
    key, secret = keys.add("a", ["managers", "hr", "hr"], ["search", "chat"])
    assert keys.find(secret) == key
    assert (key.groups, key.scopes) == (("hr", "managers"), ("chat", "search"))
    for wrong in ("", secret[:-1], secret + "x", secret.upper(), secret[3:], key.sha256, key.id, "dm_", "ä\x00"):
        assert keys.find(wrong) is None


def test_another_process_adds_and_revokes_without_a_restart(keys: Keys) -> None:
    assert keys.all() == ()
    elsewhere = Keys(keys.folder)
    key, secret = elsewhere.add("a", [], ["chat"])
    assert keys.find(secret) == key
    elsewhere.revoke("a")
    assert keys.find(secret) is None
    _, again = elsewhere.add("a", [], ["chat"])
    assert keys.find(again) is not None
    assert elsewhere.revoke(elsewhere.all()[0].id).name == "a"
    assert keys.find(again) is None


def test_a_key_expires(keys: Keys) -> None:
    key, secret = keys.add("a", [], ["chat"], days=1)
    assert keys.find(secret) == key
    now = datetime.now(UTC)
    assert not key.expired(now + timedelta(hours=23))
    assert key.expired(now + timedelta(hours=25))
    rows = json.loads((keys.folder / KEYS).read_text())
    rows[0]["expires"] = (now - timedelta(seconds=1)).isoformat()
    (keys.folder / KEYS).write_text(json.dumps(rows))
    assert keys.find(secret) is None


@pytest.mark.parametrize(
    ("name", "scopes", "said"),
    [
        ("", ["chat"], "is no name for a key"),
        ("a\nb", ["chat"], "is no name for a key"),
        ("a" * 65, ["chat"], "is no name for a key"),
        ("b", [], "none: no such scope"),
        ("b", ["chat", "admin", "root"], "admin, root: no such scope; give some of adapters, chat, metrics, search"),
        ("a", ["chat"], "there is a key 'a' already"),
    ],
)
def test_a_bad_key_is_refused_with_a_reason(keys: Keys, name: str, scopes: list[str], said: str) -> None:
    keys.add("a", [], ["chat"])
    with pytest.raises(DeskmateError, match=said):
        keys.add(name, [], scopes)
    assert len(keys.all()) == 1


def test_revoking_what_is_not_there_says_what_is(keys: Keys) -> None:
    keys.add("a", [], ["chat"])
    with pytest.raises(DeskmateError, match="there is no key 'x'; there are: a"):
        keys.revoke("x")


@pytest.mark.parametrize("text", ["", "{}", "[{}]", '[{"id": 1}]', "no json"])
def test_a_damaged_file_lets_nobody_in_and_is_not_quoted(keys: Keys, text: str) -> None:
    _, secret = keys.add("a", [], ["chat"])
    (keys.folder / KEYS).write_text(text)
    with pytest.raises(DeskmateError, match=r"keys.json holds no API keys; restore it") as caught:
        keys.find(secret)
    assert "no json" not in str(caught.value)


def test_one_writer_at_a_time(keys: Keys) -> None:
    with writer_lock(keys.folder), pytest.raises(DeskmateError, match="another deskmate is writing"):
        keys.add("a", [], ["chat"])
    assert keys.all() == ()


def test_the_last_use_is_noted_once_a_minute_and_forgotten_with_the_key(keys: Keys) -> None:
    one, _ = keys.add("one", [], ["chat"])
    two, _ = keys.add("two", [], ["chat"])
    for _ in range(3):
        keys.touch(one)
    written = (keys.folder / USED).stat().st_mtime_ns
    keys.touch(one)
    assert (keys.folder / USED).stat().st_mtime_ns == written
    assert set(keys.used()) == {one.id}
    keys.revoke("one")
    keys.touch(two)
    assert set(keys.used()) == {two.id}


def test_a_disk_that_refuses_the_note_turns_nobody_away(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = keys.add("a", [], ["chat"])

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.api.keys.write_atomic", full)
    keys.touch(key)
    assert keys.used() == {}
    with pytest.raises(DeskmateError, match="the disk is full"):
        keys.revoke("a")


@pytest.fixture
def deskmate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command on a workspace of its own; gives its standard output."""
    from app.cli import main

    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: str) -> str:
        monkeypatch.setattr("sys.argv", ["deskmate", *args])
        with contextlib.suppress(SystemExit):
            main()
        return capsys.readouterr().out

    return run


def test_the_commands_make_list_and_revoke_a_key(deskmate, keys: Keys) -> None:
    assert "the API is closed; make one with: deskmate keys add NAME" in deskmate("keys", "list")
    secret = deskmate("keys", "add", "wiki bot", "--groups", "hr, it", "--scopes", "chat", "--days", "3").strip()
    found = keys.find(secret)
    assert found is not None
    assert (found.name, found.groups, found.scopes) == ("wiki bot", ("hr", "it"), ("chat",))
    keys.touch(found)
    table = deskmate("keys", "list")
    for shown in ("wiki bot", found.id, "hr, it", found.expires[:10], keys.used()[found.id][:16].replace("T", " ")):
        assert shown in table
    made = json.loads(deskmate("keys", "add", "other", "--json"))
    assert keys.find(made["key"]) is not None
    rows = json.loads(deskmate("keys", "list", "--json"))["keys"]
    assert [row["name"] for row in rows] == ["wiki bot", "other"]
    assert not any({"sha256", "key"} & set(row) for row in rows)
    assert "wiki bot is revoked" in deskmate("keys", "revoke", "wiki bot")
    assert keys.find(secret) is None
