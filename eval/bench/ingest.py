"""Ingesting measured: our pipeline against the plain LangChain recipe, then runs in which little or nothing changed.

The recipe is the one of every tutorial, without its packages, which are no dependencies of ours. What they do:
`TextLoader` reads a file as UTF-8; `RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)` cuts by
characters; `HuggingFaceEmbeddings` (langchain_huggingface 1.2) turns line breaks into spaces, calls
`SentenceTransformer(…).encode` with its defaults (float32, batches of 32) and makes Python lists of the result;
`FAISS.from_documents` (langchain_community 0.4) puts them into an `IndexFlatL2` beside a dictionary of documents.

Every run is a process of its own. The recipe keeps nothing on disk; ours also hashes, indexes words and publishes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.embedded import MINILM
from ingest.errors import DeskmateError
from ingest.records import Chunk
from ingest.scan import READ
from ingest.workspace import Workspace

if TYPE_CHECKING:
    from app.desk import Desk
    from retrieval.embed import Embedder

ROUNDS = 2
SIZE, OVERLAP = 1000, 200
"""Characters of a chunk of the recipe, and those that two chunks share."""
COMMAND = "from app.cli import main; main()"
Row = dict[str, Any]


def bench_ingest(desk: "Desk", folder: Path) -> list[Row]:
    """Ingest a folder by both, interleaved; then again unchanged, and with one file changed.

    Returns:
        Rows with the same names; None where a figure does not apply. `seconds` are medians over whole processes,
        `beyond_help` without the time of `deskmate --help`, `work_seconds` without imports. Ratios are the recipe's
        time through ours, the median over rounds. Uncovered characters are those, white space aside, of our parsers'
        text that no chunk brings within the embedder's window; for both on the documents that are UTF-8 files.

    Raises:
        DeskmateError: an embedder that is no sentence-transformers model, no readable documents, a run that failed.
    """
    model = model_folder(desk)
    timed: dict[str, list[tuple[float, Row]]] = {"deskmate": [], "langchain recipe": []}
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        for number in range(ROUNDS):
            runs = [
                ("deskmate", ["ours", folder], here / f"round-{number}"),
                ("langchain recipe", ["recipe", folder, model], here),
            ]
            for name, arguments, home in runs[:: -1 if number % 2 else 1]:
                command = [sys.executable, "-m", "eval.bench.ingest", *map(str, arguments)]
                timed[name].append(_run(desk, command, home))
        ours, recipe = _uncovered(Workspace(here / "round-0"), folder, desk.embedder)
        return [
            _row("langchain recipe", timed, recipe),
            _row("deskmate", timed, ours),
            *_again(desk, folder, here / "home", here / "copy"),
        ]


def _row(name: str, timed: dict[str, list[tuple[float, Row]]], uncovered: int) -> Row:
    seconds = [wall for wall, _ in timed[name]]
    work = [data["seconds"] for _, data in timed[name]]
    recipe = timed["langchain recipe"]
    chunks = timed[name][0][1]["chunks"]
    return {
        "name": name,
        "seconds": round(float(np.median(seconds)), 2),
        "beyond_help": None,
        "work_seconds": round(float(np.median(work)), 2),
        "chunks": chunks,
        "embedded": chunks,
        "published": None,
        "chunks_per_s": round(chunks / float(np.median(seconds)), 1),
        "uncovered_chars": uncovered,
        "ratio": round(float(np.median([wall / mine for (wall, _), mine in zip(recipe, seconds, strict=True)])), 2),
        "work_ratio": round(float(np.median([d["seconds"] / m for (_, d), m in zip(recipe, work, strict=True)])), 2),
    }


def _again(desk: "Desk", folder: Path, home: Path, copy: Path) -> Iterator[Row]:
    """The command itself, as it is typed: at first, unchanged, and with a paragraph more in one file."""
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".*"))
    for access in folder.rglob(".access"):
        shutil.copyfile(access, copy / access.relative_to(folder))
    command = [sys.executable, "-c", COMMAND, "ingest", str(copy), "--json"]
    _run(desk, command, home)
    changed = next((path for path in _files(copy) if path.suffix.lower() in (".md", ".txt", ".rst", ".html")), None)
    if changed is None:
        raise DeskmateError(f"{folder} has no text file that the benchmark could change")
    for name, edited in (("unchanged", None), ("one file changed", changed)):
        start, seconds = [], []
        data: Row = {}
        for number in range(ROUNDS):
            if edited is not None:
                with open(edited, "a", encoding="utf-8") as file:
                    file.write(f"\n\nThe paragraph that was added in round {number}.\n")
            start.append(_run(desk, [sys.executable, "-c", COMMAND, "--help"], home)[0])
            wall, data = _run(desk, command, home)
            seconds.append(wall)
        yield {
            "name": name,
            "seconds": round(float(np.median(seconds)), 2),
            "beyond_help": round(float(np.median(np.subtract(seconds, start))), 2),
            "work_seconds": round(data["seconds"], 2),
            "chunks": data["chunks"],
            "embedded": data["embedded"],
            "published": data["published"],
            "chunks_per_s": None,
            "uncovered_chars": None,
            "ratio": None,
            "work_ratio": None,
        }


def _run(desk: "Desk", command: Sequence[str], home: Path) -> tuple[float, Row]:
    """Wall seconds of a process, and the JSON that it printed."""
    models = os.path.abspath(desk.settings.models_folder)
    environment = {**os.environ, "DESKMATE_HOME": str(home), "DESKMATE_MODELS": models, "COLUMNS": "100"}
    begun = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    wall = time.perf_counter() - begun
    if done.returncode != 0:
        raise DeskmateError(f"a run of the benchmark failed: {done.stderr.strip()[-500:]}")
    data: Row = {} if command[-1] == "--help" else json.loads(done.stdout.splitlines()[-1])
    return wall, data


def model_folder(desk: "Desk") -> Path:
    """Where the embedder's weights lie.

    Raises:
        DeskmateError: it has none.
    """
    name = desk.settings.retrieval.embedder
    if name == "hashing":
        raise DeskmateError("the recipe needs a sentence-transformers model; set retrieval.embedder to one")
    desk.embedder  # noqa: B018  fetches the embedded one
    return desk.settings.models_folder / MINILM.name if name == MINILM.name else Path(name).expanduser()


def _files(folder: Path) -> list[Path]:
    """The files that `deskmate ingest` would read, in a stable order."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix.lower() in READ)
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _load_text(path: Path) -> str | None:
    """What `TextLoader` makes of a file; None where it fails."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return None


def _uncovered(workspace: Workspace, folder: Path, embedder: "Embedder") -> tuple[int, int]:
    """Uncovered characters of ours and of the recipe, both on the text that our parsers made of the documents."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    from retrieval.store import Store

    splitter = RecursiveCharacterTextSplitter(chunk_size=SIZE, chunk_overlap=OVERLAP, add_start_index=True)
    table = Store(workspace).open().table
    everybody = frozenset(group for state in table.documents() for group in state.access)
    chunks: dict[str, list[Chunk]] = {}
    for one in table.all_chunks():
        chunks.setdefault(one.doc, []).append(one)
    ours = recipe = 0
    for doc, mine in chunks.items():
        document = table.document(doc, everybody)
        if document is None or _load_text(folder / doc) is None:
            continue
        own = [(one.start, read_until(one.embedded_text, one.start, one.text, embedder)) for one in mine]
        ours += uncovered(document.text, own)
        theirs = [
            (one.metadata["start_index"], read_until(one.page_content, one.metadata["start_index"], None, embedder))
            for one in splitter.create_documents([document.text])
        ]
        recipe += uncovered(document.text, theirs)
    table.close()
    return ours, recipe


def read_until(embedded: str, start: int, tail: str | None, embedder: "Embedder") -> int:
    """Where in its document the embedder stops reading a chunk.

    Args:
        embedded: the text as it is embedded.
        start: where in the document the chunk begins.
        tail: the part of `embedded`, at its end, that is the chunk's own; None for all of it.
        embedder: whose tokens and window count.
    """
    head = 0 if tail is None else len(embedded) - len(tail)
    tokens = embedder.offsets(embedded.replace("\n", " "))
    end = len(embedded) if len(tokens) <= embedder.window else tokens[embedder.window - 1][1]
    return start + max(0, end - head)


def uncovered(text: str, spans: Iterable[tuple[int, int]]) -> int:
    """How many characters of `text`, white space aside, lie in none of the spans."""
    covered = np.zeros(len(text), dtype=bool)
    for start, end in spans:
        covered[start:end] = True
    return sum(not covered[match.start()] for match in re.finditer(r"\S", text))


def _ours(folder: Path) -> Callable[[], int]:
    """Our pipeline, imported and ready to go."""
    import faiss  # noqa: F401
    import langchain_text_splitters  # noqa: F401
    import tantivy  # noqa: F401
    import torch  # noqa: F401

    from app.console import SilentProgress
    from app.desk import Desk
    from app.settings import load_settings

    return lambda: Desk(load_settings()).ingest(SilentProgress()).run([folder]).chunks


def _recipe(folder: Path, model: Path) -> Callable[[], int]:
    """The recipe, imported and ready to go."""
    import uuid

    import faiss
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from sentence_transformers import SentenceTransformer

    def work() -> int:
        texts = [text for path in _files(folder) if (text := _load_text(path)) is not None]
        splitter = RecursiveCharacterTextSplitter(chunk_size=SIZE, chunk_overlap=OVERLAP)
        documents = splitter.create_documents(texts)
        contents = [document.page_content for document in documents]
        embeddings = SentenceTransformer(str(model)).encode([text.replace("\n", " ") for text in contents]).tolist()
        index = faiss.IndexFlatL2(len(embeddings[0]))
        index.add(np.array(embeddings, dtype=np.float32))
        docstore = {str(uuid.uuid4()): document for document in documents}
        return len(docstore)

    return work


def main(what: str, folder: str, *model: str) -> None:
    """One run in this process: print the number of chunks and the seconds that it took after the imports."""
    work = _ours(Path(folder)) if what == "ours" else _recipe(Path(folder), Path(model[0]))
    begun = time.perf_counter()
    chunks = work()
    sys.stdout.write(json.dumps({"chunks": chunks, "seconds": time.perf_counter() - begun}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
