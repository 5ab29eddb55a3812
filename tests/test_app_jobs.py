"""Jobs: one at a time, outliving whoever started them, with a fake command in the place of deskmate."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from app.loop.jobs import PROGRESS, Job, Jobs, State
from ingest.errors import DeskmateError

FAKE = """
import json, os, sys, time
what = sys.argv[1:]
print(" ".join(what), flush=True)
if what[0] == "sleep":
    try:
        time.sleep(float(what[1]))
    except KeyboardInterrupt:
        print("stopped politely")
        sys.exit(130)
elif what[0] == "tell":
    while os.sched_getscheduler(0) != os.SCHED_BATCH:
        time.sleep(0.01)
    facts = {"nice": os.nice(0), "threads": os.environ["OMP_NUM_THREADS"], "policy": os.sched_getscheduler(0)}
    print(json.dumps(facts))
    open(os.environ[PROGRESS], "w").write('{"read": [3, 12]}')
elif what[0] == "fail":
    sys.exit("deskmate: it did not work")
""".replace("PROGRESS", repr(PROGRESS))


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path / "jobs", (sys.executable, "-c", FAKE))


def start(jobs: Jobs, *commands: str) -> Job:
    return jobs.start("test", "A test", [command.split() for command in commands], "user-1")


def ended(jobs: Jobs, job: Job) -> Job:
    for _ in range(1200):  # half a minute: a job is the last to get a processor
        found = jobs.find(job.id)
        assert found
        if found.state is not State.RUNNING:
            return found
        time.sleep(0.025)
    raise AssertionError("the job does not end")


def test_a_job_runs_its_commands_in_turn_behind_the_chat(jobs: Jobs) -> None:
    job = start(jobs, "first one", "tell all")
    assert job.state is State.RUNNING
    done = ended(jobs, job)
    assert (done.state, done.code, done.who) == (State.DONE, 0, "user-1")
    assert done.ended is not None
    assert done.ended >= done.started
    first, second, facts = jobs.log(done).splitlines()
    assert (first, second) == ("first one", "tell all")
    told = json.loads(facts)
    assert told["nice"] == 13
    assert told["policy"] == os.SCHED_BATCH
    assert int(told["threads"]) == max(1, (os.cpu_count() or 1) // 2)
    assert [(one.stage, one.done, one.total) for one in jobs.far(done)] == [("read", 3, 12)]


def test_the_first_command_that_fails_is_the_last(jobs: Jobs) -> None:
    done = ended(jobs, start(jobs, "fail", "never"))
    assert (done.state, done.code) == (State.FAILED, 1)
    assert jobs.log(done) == "fail\ndeskmate: it did not work\n"


def test_there_is_one_at_a_time_and_it_can_be_stopped(jobs: Jobs) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a server that a shell started in the background
    try:
        job = start(jobs, "sleep 60", "never")
    finally:
        signal.signal(signal.SIGINT, before)
    while "sleep" not in jobs.log(job):
        time.sleep(0.02)
    assert jobs.running() == jobs.find(job.id)
    with pytest.raises(DeskmateError, match="'A test' is running, and there is one at a time"):
        start(jobs, "another")
    jobs.stop(job)
    done = ended(jobs, job)
    assert (done.state, done.code) == (State.STOPPED, 130)
    assert "stopped politely" in jobs.log(job)
    assert "never" not in jobs.log(job)
    assert jobs.running() is None
    assert ended(jobs, start(jobs, "another")).state is State.DONE
    assert [one.kind for one in jobs.all()] == ["test", "test"]


def test_another_server_finds_a_job_that_runs_and_one_that_is_lost(jobs: Jobs) -> None:
    job = start(jobs, "sleep 60")
    again = Jobs(jobs.folder)  # as after a restart of the server
    assert again.running() == job
    while "sleep" not in jobs.log(job):
        time.sleep(0.02)
    [runner] = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and runs(entry, job.id)]
    command = int(Path(f"/proc/{runner}/task/{runner}/children").read_text())
    for process in (runner, command):
        os.kill(process, signal.SIGKILL)
    lost = ended(again, job)
    assert (lost.state, lost.code, lost.ended) == (State.LOST, None, None)
    assert again.running() is None


def runs(process: Path, name: str) -> bool:
    try:
        return name in (process / "cmdline").read_text()
    except OSError:
        return False


def test_a_folder_that_is_no_job_is_not_one(jobs: Jobs) -> None:
    assert jobs.all() == []
    assert jobs.find("../..") is None
    (jobs.folder / "20260101-000000-000001").mkdir(parents=True)
    (jobs.folder / "elsewhere").mkdir()
    assert jobs.all() == []
