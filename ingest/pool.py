"""Many files into documents, in worker processes with limits on time and memory. One bad file costs one file.

Knows processes and reasons; what a file means, `ingest.load` knows.
"""

import hashlib
import multiprocessing
import os
import resource
import signal
import stat
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from ingest.errors import DeskmateError
from ingest.load import parse
from ingest.records import Parsed
from ingest.settings import IngestSettings

Key = TypeVar("Key")
Parser = Callable[[bytes, str, IngestSettings], Parsed]

FORMATS = ("markdown", "plain", "html")
PRELOADED = ["ingest.silence", "__main__", "ingest.pool", *(f"ingest.formats.{name}" for name in FORMATS)]
"""What the server that workers are forked from has imported: what most files need, once instead of in each worker."""
FILES_A_WORKER = 2000
"""Files after which a worker is replaced, so that what libraries leak does not pile up."""
LOOK_AHEAD = 2
"""Files per worker that are under way or done and not yet taken."""
ASK_AFTER = 1.0
"""Seconds without a result after which the pool is asked whether it still works."""
LONGEST_REASON = 300
"""Characters of a reason."""
START_ATTEMPTS = 3
"""How many pools may break one after the other, without any file done, before the rest is given up."""


@dataclass(frozen=True, slots=True)
class ParseOutcome(Generic[Key]):
    """What became of one file: a document, or the reason why there is none. Exactly one of the two is None.

    `sha256` is of the file's bytes, in hexadecimal, "" if they could not be read. `size` is in bytes. `seconds` is the
    time that the file took in its worker, reading included.
    """

    key: Key
    sha256: str
    size: int
    parsed: Parsed | None
    reason: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class _Result:
    """What a worker sends back; the key stays at home."""

    sha256: str
    size: int
    parsed: Parsed | None
    reason: str | None
    seconds: float


def parse_files(
    paths: Iterable[tuple[Key, Path]], settings: IngestSettings, *, parser: Parser = parse
) -> Iterator[ParseOutcome[Key]]:
    """Parse files in `settings.workers` processes, and yield each outcome as soon as it is there, in any order.

    A file that is too large, broken, hostile or gone, that takes too long, too much memory or its worker's life, is
    yielded with the reason; the others go on. At most twice as many files as there are workers are in memory at a time:
    `paths` is read no faster than outcomes are taken. Closing the iterator, or Ctrl-C, stops the workers.

    Args:
        paths: pairs of a key, which comes back with the outcome, and the file's path.
        settings: number of workers and limits.
        parser: what turns bytes, name and settings into a document; a function of a module, for workers to import.

    Yields:
        One outcome for each pair.
    """
    waiting: Iterator[tuple[Key, Path]] = iter(paths)
    failures = 0
    while failures < START_ATTEMPTS:
        first = next(waiting, None)
        if first is None:
            return
        finished, unfinished = yield from _run(chain([first], waiting), settings, parser)
        waiting = chain(unfinished, waiting)
        failures = 1 if finished else failures + 1
    for key, path in waiting:
        yield _given_up(key, path, "no parsing process could be kept running; is there enough memory?")


def _run(
    paths: Iterator[tuple[Key, Path]], settings: IngestSettings, parser: Parser
) -> Generator[ParseOutcome[Key], None, tuple[int, list[tuple[Key, Path]]]]:
    """Parse files in one pool until none is left or the pool breaks; return how many were done, and those not.

    A worker that dies while it has no file, as in its own start, breaks Pebble's pool. Files that are given to it in
    that moment are never heard of again, so it is asked now and then whether it still works.
    """
    pool = ProcessPool(settings.workers, FILES_A_WORKER, _limit, (settings.parse_memory_mb,), _context())
    running: dict[Future[_Result], tuple[Key, Path]] = {}
    finished = 0
    try:
        while True:
            for key, path in islice(paths, LOOK_AHEAD * settings.workers - len(running)):
                future = _schedule(pool, path, settings, parser)
                running[future] = (key, path)
            if not running:
                return finished, []
            done, _ = wait(running, ASK_AFTER, return_when=FIRST_COMPLETED)
            broken = not done and not pool.active
            for future in done:
                if isinstance(future.exception(), BrokenProcessPool):
                    broken = True
                    continue
                key, path = running.pop(future)
                finished += 1
                yield _outcome(key, path, future, settings)
            if broken:
                return finished, list(running.values())
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def _schedule(pool: ProcessPool, path: Path, settings: IngestSettings, parser: Parser) -> Future[_Result]:
    """Give a file to the pool; to one that broke a moment ago as well, so that every file is in the books."""
    try:
        return pool.schedule(_read_and_parse, (path, settings, parser), timeout=settings.parse_seconds)
    except RuntimeError as error:
        refused: Future[_Result] = Future()
        refused.set_exception(BrokenProcessPool(str(error)))
        return refused


def _context() -> BaseContext:
    """Fork from a clean server: quick, and safe where this process has threads, open databases or a GPU."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # A terminal sends Ctrl-C to all processes. With it blocked, and the block inherited, no child can be hit
    # while it starts and print a traceback; this process gets it a moment later and stops them.
    resource_tracker.ensure_running()  # before: it guards itself, and unblocks the signal when it has started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _outcome(key: Key, path: Path, future: Future[_Result], settings: IngestSettings) -> ParseOutcome[Key]:
    """What a finished future says of its file."""
    try:
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    match error:
        case None:
            result = future.result()
            return ParseOutcome(key, result.sha256, result.size, result.parsed, result.reason, result.seconds)
        case TimeoutError():
            return _given_up(key, path, f"parsing it took longer than {settings.parse_seconds:g} s (parse_seconds)")
        case ProcessExpired():
            return _given_up(key, path, f"parsing it ended the process ({_end(error.exitcode)})")
    # The worker catches all errors, so this is one that is none (SystemExit), or one in sending the result.
    return _given_up(key, path, f"parsing it failed ({type(error).__name__}: {error})"[:LONGEST_REASON])


def _end(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name}, out of memory?" if name == "SIGKILL" else name


def _given_up(key: Key, path: Path, reason: str) -> ParseOutcome[Key]:
    """The outcome of a file whose worker could not tell its hash any more."""
    try:
        with open(path, "rb") as file:
            digest, size = hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
    except OSError:
        digest, size = "", 0
    return ParseOutcome(key, digest, size, None, reason, 0.0)


def _limit(memory_mb: int) -> None:
    """Prepare a worker: limit its memory, leave no core file, say nothing on standard error."""
    # Must be set before numpy is imported (by openpyxl): its pools of threads reserve address space for every core.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    warnings.simplefilter("ignore")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _read_and_parse(path: Path, settings: IngestSettings, parser: Parser) -> _Result:
    """Read and parse one file, in a worker. Raises nothing: whatever goes wrong is the file's reason."""
    start = time.perf_counter()
    digest, size, parsed, reason = "", 0, None, None
    try:
        data, digest, size = _read(path, settings)
        if data is None:
            raise DeskmateError(f"it is larger than {settings.max_file_mb:g} MiB (max_file_mb)")
        parsed = parser(data, path.name, settings)
    except DeskmateError as error:
        reason = str(error)
    except FileNotFoundError:
        reason = "vanished between listing and reading"
    except OSError as error:
        reason = f"it cannot be read: {error.strerror or error}"
    except MemoryError:
        reason = f"parsing it takes more than {settings.parse_memory_mb} MiB of memory (parse_memory_mb)"
    except RecursionError:
        reason = "it is nested too deeply"
    except Exception as error:  # noqa: BLE001  the edge of a worker: a library's surprise costs one file, not the run
        reason = f"its parser failed ({type(error).__name__}: {error})"
    if reason is not None:
        reason = " ".join(reason.split())[:LONGEST_REASON]
    return _Result(digest, size, parsed, reason, time.perf_counter() - start)


def _read(path: Path, settings: IngestSettings) -> tuple[bytes | None, str, int]:
    """Read and hash a file; no content if it is too large to hold.

    Raises:
        DeskmateError: it is no plain file. A pipe would block for ever.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise DeskmateError("it is not a plain file")
    with open(descriptor, "rb") as file:
        if found.st_size > settings.max_file_mb * 2**20:
            return None, hashlib.file_digest(file, "sha256").hexdigest(), found.st_size
        data = file.read()
    return data, hashlib.sha256(data).hexdigest(), len(data)
