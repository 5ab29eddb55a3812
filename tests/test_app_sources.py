"""Where documents came from, and what lies there that the index lacks."""

import os
from pathlib import Path

import pytest
from office import POLICIES, Office

from app.loop.sources import Pending, Source, Sources, pending
from ingest.errors import DeskmateError


@pytest.fixture
def indexed(office: Office) -> Office:
    office.write(POLICIES)
    office.ingest()
    return office


def look(office: Office, *sources: Source) -> Pending:
    generation = office.store.open()
    given = sources or (Source(office.docs, None),)
    return pending(given, generation.table.known(), generation.manifest.created)


def test_after_an_ingest_nothing_is_pending(indexed: Office) -> None:
    assert (len(look(indexed)), str(look(indexed))) == (0, "nothing")


def test_new_changed_and_vanished_files_are_told_apart(indexed: Office) -> None:
    indexed.write({"it/mail.md": "# Mail", "it/vpn.md": "# VPN\n\nNew text.\n"})
    (indexed.docs / "hr/leave.md").unlink()
    found = look(indexed)
    assert found == Pending(("it/mail.md",), ("it/vpn.md",), ("hr/leave.md",))
    assert str(found) == "1 new, 1 changed, 1 gone"
    indexed.ingest()
    assert not look(indexed)


def test_a_file_that_was_touched_and_one_copied_over_are_judged_by_content(indexed: Office) -> None:
    path = indexed.docs / "it/vpn.md"
    os.utime(path)
    assert not look(indexed)
    path.write_text("# VPN\n\nOther.\n")
    os.utime(path, (1, 1))  # as `cp -p` of an older version leaves it
    assert look(indexed).changed == ("it/vpn.md",)


def test_other_readers_are_a_change(indexed: Office) -> None:
    (indexed.docs / "hr" / ".access").write_text("hr\n")
    assert look(indexed).changed == ("hr/leave.md", "hr/managers/bonus.md")
    assert len(look(indexed, Source(indexed.docs, frozenset({"it"}))).changed) == 4


def test_a_folder_that_is_gone_takes_its_documents_along(indexed: Office) -> None:
    indexed.docs.rename(indexed.docs.with_name("moved"))
    assert len(look(indexed).gone) == 4


def test_sources_are_remembered_and_become_commands_again(tmp_path: Path) -> None:
    sources = Sources(tmp_path / "sources.json")
    assert sources.all() == []
    sources.remember([tmp_path / "docs"], None)
    sources.remember([tmp_path / "docs" / "it"], None)  # lies in docs, for the same readers
    sources.remember([tmp_path / "docs" / "hr"], frozenset({"hr", "managers"}))
    sources.remember([tmp_path / "more"], None)
    assert sources.commands() == [
        ("ingest", "--", f"{tmp_path}/docs", f"{tmp_path}/more"),
        ("ingest", "--access", "hr", "--access", "managers", "--", f"{tmp_path}/docs/hr"),
    ]
    assert sources.commands([tmp_path / "more", tmp_path / "up"])[0][-2:] == (f"{tmp_path}/more", f"{tmp_path}/up")
    sources.remember([tmp_path / "docs" / "hr"], frozenset({"hr"}))  # the last word counts
    assert sources.all()[1] == Source(tmp_path / "docs" / "hr", frozenset({"hr"}))


def test_a_damaged_note_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sources.json").write_text('[{"path": 1}]')
    with pytest.raises(DeskmateError, match="remove it, then ingest your folders again"):
        Sources(tmp_path / "sources.json").all()
