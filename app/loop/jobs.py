"""Long work beside the chat: commands of the command line as processes of low priority, one job at a time.

A job is a folder: what was started, what it printed, how it ended. Nobody has to watch it, and no server has to live
as long as it does: the process that runs it holds a lock, which the kernel drops with it, and notes how it ended. A job
that neither ended nor holds the lock is lost. Knows nothing of what the commands do.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO

from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, write_atomic

PROGRESS = "JOB_PROGRESS"
"""The variable that names the file in which a command of a job notes how far it is, see `app.console`."""

JOB, LOG, END, STOP, FAR = "job.json", "log.txt", "end.json", "stop", "progress.json"
STOPPED = 130
POLL_S = 0.2
GRACE_S = 20.0
"""From the first, polite signal to the one that nothing survives."""

NICE = 13
"""A twentieth of a core that somebody else wants (sched(7): each step is a factor of 1.25)."""

KEPT = 100
"""Jobs whose folders are kept."""

MOST_LOG = 64_000
"""Characters of a log that are read, its end."""

_ID = re.compile(r"\d{8}-\d{6}-\d{6}")


class State(StrEnum):
    """How a job stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Job:
    """A job. `commands` are those of `deskmate`, run in turn; `who` is the id of the person who started it.

    `ended` is None while it runs and where it was lost, `stopping` says that somebody wants it to end.
    """

    id: str
    kind: str
    title: str
    commands: tuple[tuple[str, ...], ...]
    who: str
    started: float
    state: State
    code: int | None = None
    ended: float | None = None
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Far:
    """How far a stage of a job is: so many things of so many."""

    stage: str
    done: int
    total: int


class Jobs:
    """The folder `jobs` of a workspace."""

    def __init__(self, folder: Path, program: Sequence[str] = (sys.executable, "-P", "-m", "app.cli")) -> None:
        """Remember where jobs lie.

        Args:
            folder: is made with the first job.
            program: what a job's commands are commands of.
        """
        self.folder = folder
        self._program = tuple(program)

    def start(self, kind: str, title: str, commands: Sequence[Sequence[str]], who: str) -> Job:
        """Start a job and leave it to itself.

        Args:
            kind: such as `ingest`.
            title: for people.
            commands: arguments of `deskmate`, one command after the other; the first that fails is the last.
            who: id of the person who wants it.

        Raises:
            DeskmateError: another job is running, or the disk refuses.
        """
        with self._lock() as lock:
            now = datetime.now(UTC)
            job = Job(
                now.strftime("%Y%m%d-%H%M%S-%f"),  # under the lock: no two are the same, and the newest comes last
                kind,
                title,
                tuple(map(tuple, commands)),
                who,
                now.timestamp(),
                State.RUNNING,
            )
            folder = self.folder / job.id
            try:
                write_atomic(folder / JOB, (json.dumps(asdict(job) | {"program": self._program}) + "\n").encode())
                self._forget_old()
                # -P: a folder `app` where the server was started is none of ours.
                runner = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-P", "-m", "app.loop.jobs", str(folder.absolute())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(lock.fileno(),),
                    start_new_session=True,
                )
                threading.Thread(target=runner.wait, daemon=True).start()  # so that no dead process stays behind
            except OSError as error:
                raise explain_disk_error(error, f"starting {title}") from error
        return job

    def all(self) -> list[Job]:
        """Every job, the newest first."""
        names = sorted(self._names(), reverse=True)
        busy = bool(names) and self._busy()
        return [job for at, name in enumerate(names) if (job := self._read(name, busy and at == 0))]

    def find(self, name: str) -> Job | None:
        """A job by its id."""
        return next((job for job in self.all() if job.id == name), None)

    def running(self) -> Job | None:
        """The job that runs now."""
        newest = self.all()[:1]
        return newest[0] if newest and newest[0].state is State.RUNNING else None

    def log(self, job: Job) -> str:
        """What a job printed; the end of it where that is long."""
        try:
            with open(self.folder / job.id / LOG, "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - MOST_LOG))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def far(self, job: Job) -> list[Far]:
        """How far a job's stages are, where its command says so."""
        try:
            stages = json.loads((self.folder / job.id / FAR).read_bytes())
            return [Far(str(stage), int(done), int(total)) for stage, (done, total) in stages.items()]
        except (OSError, ValueError, TypeError, AttributeError):
            return []

    def stop(self, job: Job) -> None:
        """Ask a job to end; what it has written by then is whole, as after Ctrl-C."""
        try:
            (self.folder / job.id / STOP).touch()
        except OSError as error:
            raise explain_disk_error(error, f"stopping {job.title}") from error

    @contextmanager
    def _lock(self) -> Iterator[IO[bytes]]:
        """The lock that the running job holds. Whoever only looks holds it for a moment: so it is tried for a while."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "ab") as file:
            for _ in range(20):
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.01)
            else:
                job = self.running()
                raise DeskmateError(
                    f"{f'{job.title!r}' if job else 'a job'} is running, and there is one at a time; wait until it "
                    "has ended, or stop it"
                )
            yield file

    def _busy(self) -> bool:
        with open(self.folder / ".lock", "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return [path.name for path in self.folder.iterdir() if _ID.fullmatch(path.name)]

    def _read(self, name: str, busy: bool) -> Job | None:
        folder = self.folder / name
        try:
            data = json.loads((folder / JOB).read_bytes())
            del data["program"]
            data["commands"] = tuple(map(tuple, data["commands"]))
            end = json.loads((folder / END).read_bytes()) if (folder / END).exists() else {}
            state, code = State.RUNNING if busy else State.LOST, end.get("code")
            if code is not None:
                state = {0: State.DONE, STOPPED: State.STOPPED}.get(code, State.FAILED)
            return Job(**{**data, "state": state, "code": code, "ended": end.get("at")} | _wanted(folder, state))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # of another version, or cut short by a full disk

    def _forget_old(self) -> None:
        for name in sorted(self._names(), reverse=True)[KEPT:]:
            for path in (self.folder / name).iterdir():
                path.unlink(missing_ok=True)
            (self.folder / name).rmdir()


def _wanted(folder: Path, state: State) -> dict[str, bool]:
    return {"stopping": state is State.RUNNING and (folder / STOP).exists()}


def step_back(pid: int) -> None:
    """Let the chat go before a process: it never takes turns with it, and of a busy core it gets a twentieth.

    Less would be none: with SCHED_IDLE, ingesting one document beside a busy chat took minutes.
    """
    with suppress(OSError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
        Path(f"/proc/{pid}/oom_score_adj").write_text("500")  # in short memory it goes, not the chat
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))


def environment(folder: Path) -> Mapping[str, str]:
    """What a job's commands are told: half of the cores, no colours, and where to note how far they are."""
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    limits = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    return {**os.environ, **limits, "NO_COLOR": "1", "COLUMNS": "120", PROGRESS: str(folder / FAR)}


def run(folder: Path) -> int:
    """Run a job's commands to the end and note it; in a process of its own. Returns the exit code."""
    data = json.loads((folder / JOB).read_bytes())
    code = 0
    with open(folder / LOG, "ab", buffering=0) as log:
        for command in data["commands"]:
            (folder / FAR).unlink(missing_ok=True)
            code = _run_one([*data["program"], *command], folder, log)
            if code:
                break
    write_atomic(folder / END, json.dumps({"code": code, "at": time.time()}).encode())
    return code


def _run_one(command: Sequence[str], folder: Path, log: IO[bytes]) -> int:
    """Run one command in a process group of its own, so that all of it can be ended."""
    child = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(folder), start_new_session=True
    )
    step_back(child.pid)  # it alone: whoever watches it must not starve
    asked = 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            code = child.wait(POLL_S)
            return STOPPED if asked and code else code
        if not asked and (folder / STOP).exists():
            asked = time.monotonic()
            child.send_signal(signal.SIGINT)
        elif asked and time.monotonic() - asked > GRACE_S:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    # A server started in the background hands on that Ctrl-C is ignored; the commands are to heed it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(run(Path(sys.argv[1])))
