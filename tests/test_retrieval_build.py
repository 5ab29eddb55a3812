"""A run of ingestion: what it embeds, what it publishes, what it refuses, and what is left when it is stopped."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from documents import pdf
from office import POLICIES, Office, OtherEmbedder

from ingest.errors import DeskmateError
from ingest.settings import IngestSettings
from ingest.workspace import writer_lock

TESTS = Path(__file__).parent

BROKEN_PDF = b"%PDF-1.7\nnot really"


# Nothing is done twice


def test_unchanged_documents_are_neither_embedded_nor_published_again(office: Office) -> None:
    office.write(POLICIES)
    first = office.ingest()
    assert (first.published, first.documents, len(first.new), first.embedded) == (True, 4, 4, 4)
    office.embedder.texts.clear()
    files = {path: path.stat().st_mtime_ns for path in office.workspace.index.rglob("*") if path.is_file()}
    second = office.ingest()
    assert not second.published
    assert (second.generation, second.unchanged, second.documents) == (first.generation, 4, 4)
    assert office.embedder.texts == []
    assert files == {path: path.stat().st_mtime_ns for path in office.workspace.index.rglob("*") if path.is_file()}


def test_a_changed_document_replaces_its_own_chunks_and_no_others(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    before = office.rows()
    office.embedder.texts.clear()
    office.write({"it/vpn.md": "# VPN\n\nThere is no VPN any more.\n"})
    summary = office.ingest()
    after = office.rows()
    assert summary.changed == ("it/vpn.md",)
    assert [text.split("\n")[-1] for text in office.embedder.texts] == ["There is no VPN any more."]
    kept = {text: place for text, place in before.items() if "809" not in text}
    assert len(kept) == 3
    assert {text: after[text] for text in kept} == kept
    assert set(after) - set(kept) == {"VPN\n\nThere is no VPN any more."}
    for method in ("hybrid", "dense", "bm25"):
        hits = office.searcher().search("Error 809, port 4500 and the VPN", method=method, k=100).hits
        assert all("809" not in hit.chunk.text for hit in hits)
        assert len({hit.chunk.id for hit in hits}) == len(hits)


def test_a_document_that_comes_back_is_taken_from_the_cache(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    (office.docs / "it/vpn.md").unlink()
    office.ingest()
    office.embedder.texts.clear()
    office.write(POLICIES)
    summary = office.ingest()
    assert (summary.new, summary.embedded, summary.reused) == (("it/vpn.md",), 0, 1)
    assert office.embedder.texts == []


def test_a_vanished_document_is_removed_everywhere(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    (office.docs / "it/printers.md").unlink()
    summary = office.ingest()
    assert summary.gone == ("it/printers.md",)
    for method in ("hybrid", "dense", "bm25"):
        assert "it/printers.md" not in office.found("badge paper for the printer", method=method)
    assert office.searcher().document("it/printers.md") is None


def test_other_readers_are_written_down_without_embedding_anything(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    assert "hr/managers/bonus.md" in office.found("bonus pool")
    office.embedder.texts.clear()
    office.write({"hr/managers/.access": "managers\n"})
    summary = office.ingest()
    assert (summary.changed, summary.embedded) == (("hr/managers/bonus.md",), 0)
    assert office.embedder.texts == []
    assert "hr/managers/bonus.md" not in office.found("bonus pool")
    assert "hr/managers/bonus.md" in office.found("bonus pool", "managers")


def test_paths_that_overlap_are_read_once(office: Office) -> None:
    office.write(POLICIES)
    summary = office.ingest(office.docs, office.docs / "it", office.docs / "it" / "vpn.md")
    assert (summary.documents, summary.chunks) == (4, 4)
    assert set(office.found("VPN error", k=100)) == set(POLICIES)
    assert not office.ingest().published


def test_documents_may_exchange_their_names(office: Office) -> None:
    """When the folder above is ingested, `sub/a.md` stops being `a.md`, and another document becomes it."""
    office.write({"sub/a.md": "# Notice\n\nKeep the doors shut.\n", "a.md": "# Notice\n\nKeep the doors shut.\n"})
    office.ingest(office.docs / "sub")
    summary = office.ingest(office.docs)
    assert (summary.new, summary.changed, summary.documents) == (("a.md",), ("sub/a.md",), 2)
    assert set(office.found("doors")) == {"a.md", "sub/a.md"}


# Removing much


def test_a_run_that_would_remove_more_than_half_stops_until_it_is_allowed(office: Office) -> None:
    office.write(POLICIES)
    first = office.ingest()
    for name in list(POLICIES)[:3]:
        (office.docs / name).unlink()
    with pytest.raises(DeskmateError, match=r"3 of 4 documents would be removed.*--allow-shrink"):
        office.ingest()
    assert office.store.current_name() == first.generation
    assert len(office.found("leave, VPN, printers, bonus")) == 4
    assert office.ingest(allow_shrink=True).documents == 1


def test_half_of_the_documents_may_go(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    for name in list(POLICIES)[:2]:
        (office.docs / name).unlink()
    assert office.ingest().documents == 2


def test_many_files_that_become_unreadable_stop_the_run_as_well(office: Office) -> None:
    office.write(POLICIES)
    first = office.ingest()
    office.write(dict.fromkeys(list(POLICIES)[:3], b"\x00\x01\x02\x00" * 300))
    with pytest.raises(DeskmateError, match=r"3 of 4 documents would be removed"):
        office.ingest()
    assert office.store.current_name() == first.generation
    assert office.leftovers() == []
    assert len(office.found("leave, VPN, printers, bonus")) == 4
    summary = office.ingest(allow_shrink=True)
    assert (summary.documents, len(summary.quarantined)) == (1, 3)


def test_unreadable_files_that_vanish_are_no_loss(office: Office) -> None:
    office.write({"a.md": "Text.", **{f"{n}.pdf": BROKEN_PDF for n in range(3)}})
    assert len(office.ingest().quarantined) == 3
    for n in range(3):
        (office.docs / f"{n}.pdf").unlink()
    summary = office.ingest()
    assert (summary.documents, len(summary.gone), summary.quarantined) == (1, 3, ())


def test_a_rebuild_counts_what_is_lost_too(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    for name in list(POLICIES)[:3]:
        (office.docs / name).unlink()
    office.embedder = OtherEmbedder()
    with pytest.raises(DeskmateError, match=r"3 of 4 documents would be removed"):
        office.ingest()


# Files that cannot be read


def test_reasons_are_kept_and_a_broken_file_is_not_tried_again(office: Office) -> None:
    office.write({"good.md": "Text.", "bad.pdf": BROKEN_PDF})
    os.symlink("/etc/hostname", office.docs / "out.md")
    first = office.ingest()
    reasons = dict(first.quarantined)
    assert set(reasons) == {"bad.pdf", "out.md"}
    assert all(reasons.values())
    second = office.ingest()
    assert not second.published
    assert dict(second.quarantined) == reasons
    states = {state.doc: state.reason for state in office.store.open().table.documents()}
    assert states == {"good.md": None, **reasons}


def test_a_broken_file_that_is_mended_is_read(office: Office) -> None:
    office.write({"good.md": "Text.", "bad.pdf": BROKEN_PDF})
    office.ingest()
    office.write({"bad.pdf": pdf([[(72, 700, 12, "Parking is free for all of us.")]])})
    summary = office.ingest()
    assert (summary.changed, summary.quarantined) == (("bad.pdf",), ())
    assert "bad.pdf" in office.found("parking")


def test_a_raised_limit_tries_quarantined_files_again_and_only_those(office: Office) -> None:
    office.settings = IngestSettings(max_file_mb=0.001)
    office.write({"small.md": "Text.", "large.md": "Parking is free. " * 100})
    assert dict(office.ingest().quarantined)["large.md"].startswith("it is larger than")
    office.settings = IngestSettings(max_file_mb=1)
    summary = office.ingest()
    assert (summary.changed, summary.quarantined) == (("large.md",), ())
    assert not office.ingest().published


def test_names_that_are_no_unicode_are_quarantined_once(office: Office) -> None:
    office.write({"good.md": "Text."})
    with open(os.fsencode(office.docs) + b"/caf\xe9.md", "w") as file:
        file.write("text")
    assert dict(office.ingest().quarantined) == {r"caf\xe9.md": "its name is not valid Unicode; rename it"}
    assert not office.ingest().published


# Another recipe


@pytest.mark.parametrize("change", ["embedder", "chunk size"])
def test_another_embedder_or_chunk_size_builds_everything_anew(office: Office, change: str) -> None:
    office.write(POLICIES)
    office.ingest()
    if change == "embedder":
        office.embedder = OtherEmbedder()
    else:
        office.settings = IngestSettings(chunk_tokens=64)
    summary = office.ingest()
    assert summary.published
    assert sorted(summary.changed) == sorted(POLICIES)
    assert summary.documents == 4
    assert len(office.found("leave, VPN, printers, bonus")) == 4
    assert not office.ingest().published


def test_a_rebuild_names_the_folders_that_are_missing(office: Office) -> None:
    office.write({"one/a.md": "Text.", "two/b.md": "Other text."})
    office.ingest(office.docs / "one")
    office.ingest(office.docs / "two")
    office.embedder = OtherEmbedder()
    with pytest.raises(DeskmateError, match=rf"ingest these folders together: {office.docs}/two$"):
        office.ingest(office.docs / "one")
    assert office.ingest(office.docs / "one", office.docs / "two").documents == 2


def test_no_documents_at_all_make_an_empty_index(office: Office) -> None:
    summary = office.ingest()
    assert (summary.published, summary.documents, summary.chunks) == (True, 0, 0)
    assert office.found("anything") == []


# One writer


def test_a_second_ingest_at_the_same_time_gets_a_clear_error(office: Office) -> None:
    office.write(POLICIES)
    program = (
        "import sys; from pathlib import Path; from ingest.workspace import writer_lock\n"
        f"with writer_lock(Path({str(office.workspace.index)!r})):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DeskmateError, match=r"another deskmate is writing to .*; wait until it has finished"):
            office.ingest()
        holder.kill()
    assert office.ingest().documents == 4, "a dead writer leaves no stale lock"


def test_a_writer_in_another_thread_counts_too(office: Office) -> None:
    with writer_lock(office.workspace.index), pytest.raises(DeskmateError, match="another deskmate is writing"):
        office.ingest()


# Disks


def test_a_workspace_that_cannot_be_written_is_a_clear_error(office: Office) -> None:
    office.workspace.root.write_text("a file where the workspace should be")
    with pytest.raises(DeskmateError, match="while ingesting"):
        office.ingest()


OLD, NEW = ["a.md", "b.md", "c.md"], ["a.md", "b.md", "d.md"]


@pytest.fixture
def runs(office: Office):
    """Prepare two generations and changed documents; ingest them with a fault at one place after another."""
    office.write({"a.md": "# Ports\n\nPort 4500 is blocked.\n", "b.md": "# Leave\n\n25 days of leave.\n"})
    office.ingest()
    office.write({"c.md": "# Printers\n\nA printer on floor two.\n"})
    office.ingest()
    office.write({"a.md": "# Ports\n\nPort 443 is open.\n", "d.md": "# Parking\n\nParking is free.\n"})
    (office.docs / "c.md").unlink()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # tens of copies: not on a disk where it can be

    def _runs(mode: str, which: str):
        with tempfile.TemporaryDirectory(dir=memory) as scratch:
            done = subprocess.run(
                [sys.executable, TESTS / "crashing.py", mode, which, office.docs.parent, scratch],
                capture_output=True,
                text=True,
            )
        assert done.returncode == 0, done.stderr
        first, *others = map(json.loads, done.stdout.splitlines())
        assert (first["end"], first["after"]) == ("done", ["done", [NEW, 3, NEW, []]])
        return others

    return _runs


@pytest.mark.parametrize("which", ["some", pytest.param("all", marks=pytest.mark.slow)])
def test_kill_9_at_any_write_leaves_an_index_that_serves_and_the_next_ingest_succeeds(runs, which: str) -> None:
    seen = runs("kill", which)
    assert len(seen) > 15
    for run in seen:
        assert run["end"] == "killed", run
        assert run["after"] in (["done", [OLD, 3, NEW, []]], ["done", [NEW, 3, NEW, []]]), run
    served = [run["after"][1][0] for run in seen]
    assert served == sorted(served), "old until the pointer moves, new ever after"
    assert OLD in served
    assert NEW in served


@pytest.mark.parametrize("which", ["some", pytest.param("all", marks=pytest.mark.slow)])
def test_a_full_disk_at_any_write_is_a_clear_error_and_loses_nothing(runs, which: str) -> None:
    seen = runs("full", which)
    refused = [run for run in seen if run["end"] != "done"]
    assert len(refused) > 12
    for run in refused:
        assert run["end"] == "refused", run
        assert run["value"] == "the disk is full while ingesting; free some space and run this again: nothing was lost"
        assert run["leftovers"] == []
        # Where the pointer has moved and only syncing its folder failed, the new generation serves, whole.
        assert run["after"] in (["done", [OLD, 3, NEW, []]], ["done", [NEW, 3, NEW, []]]), run
    assert sum(run["after"][1][0] == NEW for run in refused) <= 1


def test_a_disk_that_refuses_what_libraries_write_is_a_clear_error_as_well(runs) -> None:
    for run in runs("small", "all"):
        assert run["end"] == "refused", run
        assert "nothing was lost" in run["value"]
        assert "\n" not in run["value"]
        assert run["leftovers"] == []
        assert run["after"] == ["done", [OLD, 3, NEW, []]], run


def test_a_forgotten_access_flag_opens_nothing_to_everyone(office: Office) -> None:
    office.write({"a.md": "# Pay\n\nThe bands are secret.\n"})
    office.ingest(access=frozenset({"hr"}))
    with pytest.raises(DeskmateError, match="would be opened to everyone; say for whom they are: --access hr, or"):
        office.ingest()
    assert office.searcher().search("secret bands").hits == ()
    office.ingest(access=frozenset({"everyone"}))
    assert office.searcher().search("secret bands").hits
