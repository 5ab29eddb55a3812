"""Generations on disk: whole, checked before use, and never a mix."""

import json
import threading
from pathlib import Path

import faiss
import numpy as np
import pytest
from office import POLICIES, Office

from ingest.errors import DeskmateError
from retrieval.store import Store, _checksum, _sha256


def flip(path: Path, place: float) -> None:
    """Change one bit of a file, at a part of its length."""
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def generation(office: Office) -> Path:
    return office.workspace.index / office.store.current_name()


def sign_again(folder: Path) -> None:
    """Make the manifest fit the files, as an attacker or a foreign program could."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    data.pop("checksum")
    data["files"] = {name: _sha256(folder / name) for name in data["files"]}
    path.write_text(json.dumps({**data, "checksum": _checksum(data)}))


def test_there_is_nothing_before_the_first_ingest(office: Office) -> None:
    assert office.store.current_name() is None
    assert office.store.manifest() is None
    with pytest.raises(DeskmateError, match="there is no index yet; run: deskmate ingest FOLDER"):
        office.store.open()


def test_a_manifest_says_what_the_generation_holds(office: Office) -> None:
    office.write({**POLICIES, "bad.pdf": b"%PDF-1.7\nnot really"})
    office.ingest()
    manifest = office.store.manifest()
    folder = generation(office)
    assert (manifest.documents, manifest.chunks, manifest.quarantined) == (4, 4, 1)
    assert manifest.recipe.embedder == "hashing-256"
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(manifest.files) == {name for name in on_disk if not name.endswith(".lock")} - {"manifest.json"}
    assert not [name for name in on_disk if name.endswith((".pkl", ".pickle"))]


def test_two_generations_are_kept(office: Office) -> None:
    for n in range(4):
        office.write({"a.md": f"Text {n}."})
        office.ingest()
    assert sorted(path.name for path in office.workspace.index.glob("gen-*")) == ["gen-000003", "gen-000004"]


def test_the_newest_generations_are_kept_when_their_numbers_grow_longer(office: Office) -> None:
    office.write({"a.md": "Text."})
    office.ingest()
    old = generation(office)
    new = old.with_name("gen-999999")
    old.rename(new)
    manifest = json.loads((new / "manifest.json").read_text()) | {"generation": new.name}
    (new / "manifest.json").write_text(json.dumps(manifest))
    sign_again(new)
    (office.workspace.index / "CURRENT").write_text("gen-999999\n")
    for n in range(2):
        office.write({"a.md": f"Text {n}."})
        office.ingest()
    assert office.store.current_name() == "gen-1000001"
    assert sorted(path.name for path in office.workspace.index.glob("gen-*")) == ["gen-1000000", "gen-1000001"]


@pytest.mark.parametrize("place", [0.0, 0.4, 1.0])
def test_one_flipped_bit_in_any_file_is_one_clear_error_that_says_how_to_rebuild(office: Office, place: float) -> None:
    office.write(POLICIES)
    office.ingest()
    files = [path for path in generation(office).rglob("*") if path.is_file() and path.stat().st_size]
    assert {"chunks.db", "dense.faiss", "manifest.json", "meta.json"} < {path.name for path in files}
    for path in files:
        if path.suffix == ".lock":
            continue
        whole = path.read_bytes()
        flip(path, place)
        for use in (office.store.open, office.ingest):
            with pytest.raises(DeskmateError) as caught:
                use()
            message = str(caught.value)
            assert "cannot be used: " in message, path
            assert f"remove the folder {office.workspace.index} and ingest your documents again" in message
        path.write_bytes(whole)
    assert office.store.open().manifest.chunks == 4


def test_a_file_that_is_missing_or_foreign_is_noticed(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    (generation(office) / "lexical" / "extra.bin").write_bytes(b"x")
    with pytest.raises(DeskmateError, match=r"lexical/extra\.bin is missing, foreign or changed"):
        office.store.open()
    (generation(office) / "lexical" / "extra.bin").unlink()
    (generation(office) / "dense.faiss").unlink()
    with pytest.raises(DeskmateError, match=r"cannot be used: .*dense\.faiss"):
        office.store.open()


@pytest.mark.parametrize("content", ["gen-000099\n", "", "../../etc\n", "\u00e9\n", "gen-00000x"])
def test_a_pointer_that_names_nothing_is_a_clear_error(office: Office, content: str) -> None:
    office.write(POLICIES)
    office.ingest()
    (office.workspace.index / "CURRENT").write_bytes(content.encode("latin-1"))
    for use in (office.store.open, office.ingest):
        with pytest.raises(DeskmateError, match=f"cannot be used: .*remove the folder {office.workspace.index} and"):
            use()


def test_a_pointer_that_cannot_be_read_is_a_clear_error(office: Office) -> None:
    (office.workspace.index / "CURRENT").mkdir(parents=True)
    with pytest.raises(DeskmateError, match=r"CURRENT cannot be read: Is a directory"):
        office.store.open()


def test_an_index_of_another_format_is_a_clear_error(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    path = generation(office) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(DeskmateError, match="it has format 99, this deskmate reads format 1"):
        office.store.open()


@pytest.mark.parametrize("factory", ["Flat", "IDMap2,HNSW8", "IDMap,Flat", "IDMap2,SQ8"])
def test_a_foreign_kind_of_faiss_index_is_refused_even_when_its_hash_fits(office: Office, factory: str) -> None:
    office.write(POLICIES)
    office.ingest()
    index = faiss.index_factory(256, factory, faiss.METRIC_INNER_PRODUCT)
    vectors = np.eye(4, 256, dtype=np.float32)
    index.train(vectors)
    if factory.startswith("IDMap"):
        index.add_with_ids(vectors, np.arange(1, 5))
    else:
        index.add(vectors)
    faiss.write_index(index, str(generation(office) / "dense.faiss"))
    sign_again(generation(office))
    with pytest.raises(DeskmateError, match=r"dense\.faiss holds .*, the manifest says .*ingest your documents again"):
        office.store.open()


@pytest.mark.parametrize(("dimension", "count", "metric"), [(128, 4, "IP"), (256, 5, "IP"), (256, 4, "L2")])
def test_vectors_of_another_shape_or_metric_are_refused(
    office: Office, dimension: int, count: int, metric: str
) -> None:
    office.write(POLICIES)
    office.ingest()
    kind = faiss.METRIC_INNER_PRODUCT if metric == "IP" else faiss.METRIC_L2
    index = faiss.index_factory(dimension, "IDMap2,Flat", kind)
    index.add_with_ids(np.eye(count, dimension, dtype=np.float32), np.arange(1, count + 1))
    faiss.write_index(index, str(generation(office) / "dense.faiss"))
    sign_again(generation(office))
    with pytest.raises(DeskmateError, match=r"dense\.faiss holds"):
        office.store.open()


@pytest.mark.parametrize("name", ["dense.faiss", "chunks.db", "lexical/meta.json"])
def test_garbage_whose_hash_fits_is_a_clear_error(office: Office, name: str) -> None:
    office.write(POLICIES)
    office.ingest()
    (generation(office) / name).write_bytes(b"garbage" * 1000)
    sign_again(generation(office))
    with pytest.raises(DeskmateError, match="cannot be used: "):
        office.ingest()


def test_readers_see_one_generation_or_the_next_and_never_a_mix(office: Office) -> None:
    """Every document of generation n says n, so a result with two numbers would be a mix."""

    def edition(n: int) -> dict[str, str | bytes]:
        return {f"{name}.md": f"# Notice {name}\n\nThis is edition{n} of the notice.\n" for name in "abcd"}

    office.write(edition(0))
    office.ingest()
    stop, problems, seen = threading.Event(), [], set()
    searcher = office.searcher()

    def read() -> None:
        while not stop.is_set():
            try:
                result = searcher.search("which edition of the notice", k=100)
                editions = {hit.chunk.text.split("edition")[1].split()[0] for hit in result.hits}
                if len(editions) != 1 or len(result.hits) != 4:
                    problems.append((result.generation, editions))
                seen.add(result.generation)
            except Exception as error:  # noqa: BLE001  whatever a reader meets is what this test is about
                problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(1, 6):
        office.write(edition(n))
        office.ingest()
    stop.set()
    for reader in readers:
        reader.join()
    assert problems == []
    assert len(seen) > 1


def test_an_opened_generation_outlives_its_files(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    opened = office.store.open()
    for n in range(3):
        office.write({"it/vpn.md": f"Edition {n}"})
        office.ingest()
    assert not opened.folder.exists()
    assert opened.lexical.search("badge paper", 10, None)
    rows = [row for row, _ in opened.dense.search(office.embedder.embed(["badge paper"]), 4)[0]]
    assert {chunk.doc for chunk in opened.table.chunks(rows).values()} == set(POLICIES)


def test_opening_tries_again_when_the_generation_was_replaced_meanwhile(office: Office, monkeypatch) -> None:
    office.write(POLICIES)
    office.ingest()
    real = Store.current_name
    names = iter(["gen-000000"])
    monkeypatch.setattr(Store, "current_name", lambda self: next(names, None) or real(self))
    assert office.store.open().manifest.generation == "gen-000001"
