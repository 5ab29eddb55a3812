"""Backups: whole or not at all, while the chat runs, and nothing of an archive counts before it was checked."""

import io
import json
import os
import stat
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from crashing import Faults, disk_is_full, forked, kill
from typer.testing import CliRunner

from app.accounts.audit import note, verify
from app.cli import app as cli
from app.database import open_database, sessions, users
from app.safekeeping import restore as restores
from app.safekeeping.backup import backup
from app.safekeeping.restore import restore, serving
from ingest.errors import DeskmateError

FILES = {
    "index/CURRENT": "gen-000002\n",
    "index/gen-000001/manifest.json": "old",
    "index/gen-000002/manifest.json": "{}",
    "index/gen-000002/lexical/.managed.json": "[]",
    "adapters/house/v1/card.json": "{}",
    "keys/keys.json": "[]",
    "uploads/uploaded/hr/.access": "hr\n",
    "uploads/uploaded/hr/Größe.md": "# Größe\n",
    "calibration.json": "{}",
    "cache/embeddings.db": "vectors",
    "models/m.safetensors": "weights",
    "qa/.lock": "",
}
KEPT = sorted([*(name for name in FILES if name.split("/")[0] not in ("cache", "models") and "gen-000001" not in name and not name.endswith(".lock")), "app.db"])  # fmt: skip  # noqa: E501


@dataclass
class Place:
    """A workspace, an archive beside it, and where it is restored."""

    root: Path
    archive: Path
    into: Path

    def rows(self, root: Path | None = None) -> int:
        database = open_database("", root or self.root)
        verdict = verify(database)
        assert not verdict.problem
        database.close()
        return verdict.rows


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = tmp_path / "home"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    database = open_database("", root)
    with database.writing() as connection:
        row = {"name": "anna", "shown": "Anna", "password": "", "subject": "", "groups": [], "role": "asker"}
        connection.execute(users.insert().values(**row, disabled=False, created=0.0))
        connection.execute(sessions.insert().values(token="t", user=1, created=0.0, seen=0.0, expires=9e9))
        note(connection, "console", "test", {})
    database.close()
    return Place(root, tmp_path / "out" / "desk.tar.gz", tmp_path / "restored")


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_what_was_backed_up_comes_back_readable_by_its_owner_only(place: Place) -> None:
    made = backup(place.root, place.archive, False)
    assert (made.generation, made.database) == ("gen-000002", "sqlite")
    manifest, before = restore(place.archive, place.into, False)
    assert (manifest, before) == (made, None)
    assert files(place.into) == KEPT
    assert (place.into / "uploads/uploaded/hr/Größe.md").read_text() == "# Größe\n"
    for path in [place.archive, *place.into.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert place.rows(place.into) == 1
    with open_database("", place.into).reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(sessions)) == 0  # everybody signs in again
        assert connection.scalar(sa.select(users.c.name)) == "anna"
    assert [path.name for path in place.archive.parent.iterdir()] == ["desk.tar.gz"]
    assert files(place.root / "cache") == ["backup/.lock", "embeddings.db"]


def test_a_backup_in_the_middle_of_writes_has_one_state_of_everything(place: Place) -> None:
    database, done, written = open_database("", place.root), threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not done.is_set():
            with database.writing() as connection:
                note(connection, "console", "test", {"n": written})
            written += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for n in range(5):
            before = written
            backup(place.root, place.archive, False)
            restore(place.archive, place.into / str(n), False)
            assert place.rows(place.into / str(n)) >= 1 + before
    finally:
        done.set()
        thread.join()
        database.close()
    assert written > 5


def test_a_postgresql_database_is_left_out_and_that_is_said(place: Place) -> None:
    (place.root / "app.db").unlink()
    assert backup(place.root, place.archive, True).database == "postgresql"
    assert restore(place.archive, place.into, False)[0].database == "postgresql"
    assert "app.db" not in files(place.into)


def test_a_workspace_is_only_replaced_by_force_and_then_put_aside(place: Place) -> None:
    backup(place.root, place.archive, False)
    (place.root / "calibration.json").write_text("changed")
    with pytest.raises(DeskmateError, match="is not empty; restore --into another folder, or put it aside by --force"):
        restore(place.archive, place.root, False)
    _, before = restore(place.archive, place.root, True)
    assert before
    assert (before / "calibration.json").read_text() == "changed"
    assert (place.root / "calibration.json").read_text() == "{}"
    assert (place.root / "models/m.safetensors").read_text() == "weights"  # what no backup holds stays
    assert place.rows() == 1


def test_models_alone_are_no_workspace(place: Place) -> None:
    backup(place.root, place.archive, False)
    (place.into / "models").mkdir(parents=True)
    (place.into / "models" / "m").write_text("weights")
    assert restore(place.archive, place.into, False)[1] is None
    assert files(place.into) == sorted([*KEPT, "models/m"])


def test_nothing_is_restored_under_a_running_chat(place: Place) -> None:
    backup(place.root, place.archive, False)
    with serving(place.root), pytest.raises(DeskmateError, match=r"a chat serves .*; stop it, then restore"):
        restore(place.archive, place.root, True)
    restore(place.archive, place.root, True)


def test_what_cannot_be_backed_up_is_said(place: Place) -> None:
    with pytest.raises(DeskmateError, match="lies in the workspace itself"):
        backup(place.root, place.root / "b.tar.gz", False)
    with pytest.raises(DeskmateError, match="there is no workspace at"):
        backup(place.into, place.archive, False)
    with pytest.raises(DeskmateError, match=r"there is no .*desk\.tar\.gz"):
        restore(place.archive, place.into, False)
    (place.root / "app.db").write_bytes(b"no database" * 1000)
    with pytest.raises(DeskmateError, match="cannot be backed up: file is not a database"):
        backup(place.root, place.archive, False)
    assert not place.archive.exists()


def changed(archive: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> None:
    """Unpack an archive, change its members, and pack it again."""
    with tarfile.open(archive) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    change(members)
    with tarfile.open(archive, "w:gz") as tar:
        for member, data in members:
            member.size = len(data) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(data))


def named(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Any], None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        members.insert(0, (member, b"x"))

    return change


def other_bytes(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members[0] = (members[0][0], b"y" * len(members[0][1]))


def one_gone(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    del members[0]


def no_manifest(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    del members[-1]


def newer(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members[-1] = (members[-1][0], json.dumps(json.loads(members[-1][1]) | {"format": 2}).encode())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (named("../evil"), "which no backup does"),
        (named("index/../../evil"), "which no backup does"),
        (named("/tmp/evil"), "which no backup does"),
        (named("./app.db"), "which no backup does"),
        (named("models/evil"), "which no backup does"),
        (named("link", tarfile.SYMTYPE, "/etc/passwd"), "which no backup does"),
        (named("link", tarfile.LNKTYPE, "app.db"), "which no backup does"),
        (named("folder", tarfile.DIRTYPE), "which no backup does"),
        (named("pipe", tarfile.FIFOTYPE), "which no backup does"),
        (named("keys/keys.json"), "twice"),
        (named("more.json"), "more.json is not as it was"),
        (other_bytes, "is not as it was"),
        (one_gone, "is not as it was"),
        (no_manifest, "does not say what it holds"),
        (newer, "has format 2, this deskmate knows 1"),
    ],
)
def test_a_manipulated_archive_changes_nothing(place: Place, change: Callable[[Any], None], message: str) -> None:
    backup(place.root, place.archive, False)
    changed(place.archive, change)
    with pytest.raises(DeskmateError, match=message):
        restore(place.archive, place.into, False)
    assert sorted(path.name for path in place.into.parent.iterdir()) == ["home", "out"]


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -200])
def test_an_archive_that_is_cut_short_changes_nothing(place: Place, cut: int) -> None:
    backup(place.root, place.archive, False)
    place.archive.write_bytes(place.archive.read_bytes()[:cut])
    with pytest.raises(DeskmateError, match=r"it is cut short or no archive|does not say"):
        restore(place.archive, place.into, False)
    assert not place.into.exists()


def test_a_header_cannot_fill_the_memory(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    backup(place.root, place.archive, False)
    changed(place.archive, named("x" * 3000))
    monkeypatch.setattr(restores, "LONGEST_READ", 2000)
    with pytest.raises(DeskmateError, match="no archive"):
        restore(place.archive, place.into, False)


def test_more_than_there_is_room_for_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    backup(place.root, place.archive, False)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(restores.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DeskmateError, match="no room for what is in the archive"):
        restore(place.archive, place.into, False)
    assert not place.into.exists()


def struck(run: Callable[[], Any], fault: Callable[[], None], check: Callable[[str], None]) -> None:
    """Run something again and again, each time with a fault at one writing call later, and check what is left."""

    def at(n: int) -> tuple[str, Any]:
        def attempt() -> int:
            faults = Faults(n, fault)
            faults.install(fault is disk_is_full)
            run()
            return len(faults.kinds)

        return forked(attempt)

    end, calls = at(0)
    assert end == "done"
    assert calls > 10
    check(end)
    for n in range(1, calls + 1):
        check(at(n)[0])


@pytest.mark.slow
@pytest.mark.parametrize("fault", [kill, disk_is_full])
def test_a_fault_at_any_write_of_a_backup_leaves_the_old_one(place: Place, fault: Callable[[], None]) -> None:
    backup(place.root, place.archive, False)

    def check(end: str) -> None:
        assert end in ("done", "killed" if fault is kill else "refused")
        with forked_restore(place):
            pass
        backup(place.root, place.archive, False)  # and clears up
        assert [path.name for path in place.archive.parent.iterdir()] == ["desk.tar.gz"]
        assert files(place.root / "cache") == ["backup/.lock", "embeddings.db"]

    struck(lambda: backup(place.root, place.archive, False), fault, check)


class forked_restore:  # noqa: N801
    """The archive can be restored."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> None:
        restore(self._place.archive, self._place.into, False)
        assert files(self._place.into) == KEPT

    def __exit__(self, *_: object) -> None:
        for path in sorted(self._place.into.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self._place.into.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [kill, disk_is_full])
def test_a_fault_at_any_write_of_a_restore_leaves_the_old_workspace_or_the_new(
    place: Place, fault: Callable[[], None]
) -> None:
    backup(place.root, place.archive, False)
    ends = []

    def check(end: str) -> None:
        ends.append(end)
        whole = set(KEPT) <= set(files(place.root))
        assert whole
        (place.root / "calibration.json").write_text(f"changed {len(ends)}")
        asides = list(place.root.parent.glob("home.before-*"))
        for aside in asides:
            assert set(KEPT) <= set(files(aside))
            os.rename(aside, place.root.parent / f"checked-{len(ends)}-{aside.name}")
        restore(place.archive, place.root, True)
        assert not list(place.root.parent.glob(".home.restored-*"))
        for aside in place.root.parent.glob("home.before-*"):
            os.rename(aside, place.root.parent / f"again-{len(ends)}-{aside.name}")

    struck(lambda: restore(place.archive, place.root, True), fault, check)
    assert {"done", "killed" if fault is kill else "refused"} == set(ends)


def test_the_commands_say_where_it_is_and_what_comes_next(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKMATE_HOME", str(place.root))
    made = CliRunner().invoke(cli, ["backup", str(place.archive)])
    assert made.exit_code == 0
    assert f"next: deskmate restore {place.archive} --into FOLDER" in made.output
    done = CliRunner().invoke(cli, ["restore", str(place.archive), "--into", str(place.into), "--json"])
    assert json.loads(done.output)["files"] == len(KEPT)
