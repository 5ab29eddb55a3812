"""Versions of adapters on disk: whole or not at all, checked by their hashes, promoted and rolled back."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from adapters import bare

import finetune.adapters.registry
from finetune.adapters.card import Adapter, Staleness, open_adapter, staleness
from finetune.adapters.registry import Registry
from ingest.errors import DeskmateError
from ingest.workspace import writer_lock

FILES = {"README.md", "adapter_config.json", "adapter_model.safetensors", "card.json"}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "adapters"


def test_a_published_version_has_its_files_and_a_card_that_lists_them(root):
    adapter = bare(root, access=(("everyone",), ("hr", "board")), documents={"a.md": "0" * 64})
    assert adapter.id == "house/v1"
    assert {path.name for path in adapter.folder.iterdir()} == FILES
    assert set(adapter.card.files) == FILES - {"card.json"}
    again = Registry(root).find("house")
    assert again == adapter
    assert again.card.access == (("everyone",), ("hr", "board"))
    assert all(len(again.read(name)) == fact.size for name, fact in again.card.files.items())
    assert "hr` or `board" in (adapter.folder / "README.md").read_text()


def test_no_path_of_the_machine_that_tuned_is_published(root):
    adapter = bare(root)
    assert json.loads(adapter.read("adapter_config.json"))["base_model_name_or_path"] == "tiny"


def test_versions_count_up_and_names_are_separate(root):
    assert [bare(root).id, bare(root).id, bare(root, "other").id] == ["house/v1", "house/v2", "other/v1"]
    registry = Registry(root)
    assert (registry.names(), registry.versions("house")) == (["house", "other"], [1, 2])
    assert registry.find("house").id == "house/v2"
    assert registry.find("house/v1").id == "house/v1"
    assert [one.id for one in registry.all()] == ["house/v1", "house/v2", "other/v1"]


@pytest.mark.parametrize("name", ["", "House", "../x", "a/b", ".hidden", "a b", "x" * 65])
def test_a_name_that_is_no_folders_is_refused(root, name):
    with pytest.raises(DeskmateError, match="no name for an adapter"):
        bare(root, name)


@pytest.mark.parametrize("reference", ["none", "house/v9", "house/v01", "house/latest", "../house", "house/v1/x", ""])
def test_an_adapter_that_is_not_there_is_said_with_those_that_are(root, reference):
    bare(root)
    with pytest.raises(DeskmateError, match="there are house/v1"):
        Registry(root).find(reference)


def test_an_empty_registry_says_what_to_do(root):
    registry = Registry(root)
    assert (registry.names(), registry.all(), registry.served()) == ([], [], None)
    with pytest.raises(DeskmateError, match="run deskmate tune"):
        registry.find("house")


# Promotion


def test_promotions_are_remembered_and_rolled_back_one_by_one(root):
    registry = Registry(root)
    one, two = bare(root), bare(root)
    registry.promote(one)
    registry.promote(two)
    registry.promote(two)
    assert registry.served() == two
    assert registry.rollback() == "house/v1"
    assert registry.served() == one
    assert registry.rollback() is None
    assert registry.served() is None
    with pytest.raises(DeskmateError, match="nothing to go back from"):
        registry.rollback()


def test_what_was_damaged_is_not_promoted_and_the_old_one_goes_on_serving(root):
    registry = Registry(root)
    one, two = bare(root), bare(root)
    registry.promote(one)
    flip(two.folder / "adapter_model.safetensors")
    with pytest.raises(DeskmateError, match="was changed since it was published"):
        registry.promote(two)
    assert registry.served() == one


def test_a_served_version_that_was_removed_says_how_to_go_back(root):
    registry = Registry(root)
    one, two = bare(root), bare(root)
    registry.promote(one)
    registry.promote(two)
    for path in two.folder.iterdir():
        path.unlink()
    two.folder.rmdir()
    with pytest.raises(DeskmateError, match="run deskmate adapters rollback"):
        registry.served()
    registry.rollback()
    assert registry.served() == one


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[1]", '"house/v1"'])
def test_a_pointer_that_cannot_be_read_is_a_clear_error(root, text):
    bare(root)
    (root / "SERVED").write_text(text)
    with pytest.raises(DeskmateError, match="SERVED cannot be read; remove it"):
        Registry(root).served()


# Damage


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", sorted(FILES - {"card.json"}))
@pytest.mark.parametrize("harm", ["flip", "cut", "grow", "remove"])
def test_a_file_that_was_changed_is_never_returned(root, name, harm):
    adapter = bare(root)
    path = adapter.folder / name
    match harm:
        case "flip":
            flip(path)
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case "grow":
            path.write_bytes(path.read_bytes() + b"x")
        case "remove":
            path.unlink()
    with pytest.raises(DeskmateError, match=r"house/v1 .* cannot be used"):
        adapter.read(name)


def test_every_flipped_byte_of_a_card_is_noticed(root):
    """A card whose labels or hashes could be changed would guard nothing."""
    card = bare(root, access=(("managers",),)).folder / "card.json"
    good = card.read_bytes()
    for at in range(0, len(good), 7):
        if good[at : at + 1].isspace():
            continue
        card.write_bytes(good)
        flip(card, at)
        with pytest.raises(DeskmateError, match=r"card\.json cannot be used"):
            open_adapter(card.parent)


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b'{"format": 2}', b'{"format": 1}'])
def test_what_is_no_card_is_a_clear_error(root, text):
    folder = bare(root).folder
    (folder / "card.json").write_bytes(text)
    with pytest.raises(DeskmateError, match=r"card\.json cannot be used"):
        open_adapter(folder)
    (found,) = Registry(root).all()
    assert isinstance(found, DeskmateError)


def test_a_folder_without_a_card_and_a_pickle_in_the_weights_place_are_refused(root):
    folder = bare(root).folder
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(DeskmateError, match=r"adapter_model\.bin is a pickle"):
        open_adapter(folder)
    (folder / "card.json").unlink()
    with pytest.raises(DeskmateError, match=r"is no adapter: it has no card\.json"):
        open_adapter(folder)


# Writers


def test_a_source_with_a_pickle_or_without_its_files_is_not_published(root):
    bare(root)
    source = root / ".source"
    registry, card = Registry(root), Registry(root).find("house").card
    (source / "training.bin").write_bytes(b"x")
    with pytest.raises(DeskmateError, match=r"training\.bin may be a pickle"):
        registry.publish("house", source, card)
    (source / "training.bin").unlink()
    (source / "adapter_model.safetensors").write_bytes(b"\x80\x04")
    with pytest.raises(DeskmateError, match="a pickle under another name"):
        registry.publish("house", source, card)
    (source / "adapter_model.safetensors").unlink()
    with pytest.raises(DeskmateError, match=r"has no adapter_model\.safetensors"):
        registry.publish("house", source, card)
    assert registry.versions("house") == [1]


def test_what_belongs_to_the_adapter_comes_along_and_peft_readme_does_not(root):
    bare(root)
    source = root / ".source"
    (source / "loss.png").write_bytes(b"picture")
    (source / "README.md").write_text("[More Information Needed]")
    (source / "checkpoints").mkdir()
    adapter = Registry(root).publish("house", source, Registry(root).find("house").card)
    assert set(adapter.card.files) == FILES - {"card.json"} | {"loss.png"}
    assert "![loss.png](loss.png)" in adapter.read("README.md").decode()


def test_a_full_disk_publishes_nothing(root, monkeypatch):
    bare(root)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(finetune.adapters.registry, "write_card", full)
    with pytest.raises(DeskmateError, match="the disk is full while publishing"):
        bare(root)
    assert Registry(root).versions("house") == [1]
    assert leftovers(root) == []


def leftovers(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob(".*") if path.name.startswith((".staged", ".SERVED")))


@pytest.mark.parametrize("place", ["write_card", "staged"])
def test_a_killed_writer_leaves_nothing_that_counts_and_the_next_one_clears_up(root, place):
    bare(root)
    code = (
        "import os, signal, sys, ingest.workspace as w, finetune.adapters.registry as r\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        + ("r.write_card = die\n" if place == "write_card" else "w.fsync_folder = die\n")
        + f"from adapters import bare\nfrom pathlib import Path\nbare(Path({str(root)!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    assert leftovers(root)
    assert [one.id for one in Registry(root).all()] == ["house/v1"]
    assert bare(root).id == "house/v2"
    assert leftovers(root) == []


def test_there_is_one_writer_at_a_time(root):
    adapter = bare(root)
    registry = Registry(root)
    with writer_lock(root):
        for write in (lambda: bare(root), lambda: registry.promote(adapter), registry.rollback):
            with pytest.raises(DeskmateError, match="another deskmate is writing"):
                write()


# Staleness and access


def test_changed_and_vanished_documents_make_it_stale_and_moved_ones_do_not(root):
    card = bare(root, documents={"a.md": "1", "b.md": "2", "c.md": "3"}).card
    assert not staleness(card, {"a.md": ["1"], "b.md": ["2"], "c.md": ["3"], "new.md": ["9"]})
    assert not staleness(card, {"moved/a.md": ["1"], "b.md": ["0", "2"], "c.md": ["3"]})
    found = staleness(card, {"a.md": ["1"], "b.md": ["7"]})
    assert found == Staleness(changed=("b.md",), gone=("c.md",))
    assert str(found) == "stale: 1 changed and 1 gone of its training documents"
    assert str(Staleness()) == ""


@pytest.mark.parametrize(
    ("access", "groups", "cleared"),
    [
        ([["everyone"]], [], True),
        ([["everyone"], ["hr"]], [], False),
        ([["everyone"], ["hr"]], ["hr"], True),
        ([["everyone", "hr"]], [], True),
        ([["hr", "board"], ["it"]], ["board"], False),
        ([["hr", "board"], ["it"]], ["board", "it"], True),
        ([[]], ["hr"], False),
        ([], [], True),
    ],
)
def test_an_asker_must_be_cleared_for_every_document(root, access, groups, cleared):
    adapter: Adapter = bare(root, access=tuple(map(tuple, access)))
    assert adapter.cleared(groups) is cleared
    assert not adapter.cleared(groups, [["closed since then"]])


def test_a_version_is_deleted_unless_it_serves_or_would_after_a_rollback(root):
    first, second, third = bare(root), bare(root), bare(root)
    registry = Registry(root)
    registry.promote(first)
    registry.promote(second)
    for kept in (first, second):
        with pytest.raises(DeskmateError, match="roll back beyond it first"):
            registry.remove(kept)
    registry.remove(third)
    assert registry.versions("house") == [1, 2]
    assert [path.name for path in (root / "house").iterdir() if path.name.startswith(".")] == []
    registry.rollback()
    registry.remove(second)
    assert [one.id for one in registry.all()] == ["house/v1"]
