"""A small company to evaluate: three documents, one of them closed, four questions, fakes, and adapters of no base."""

import hashlib
import json

from adapters import bare

from app.console import SilentProgress
from app.desk import Desk
from app.settings import load_settings
from finetune.adapters.tuned_on import write_tuned_on

TEXTS = {
    "leave.md": "# Annual leave\n\nAnnual leave is 25 days a year for everyone in the company.\n",
    "vpn.md": "# VPN error codes\n\nError 809 on the vpn means that port 4500 is blocked by the network.\n",
    "managers/pay.md": "# Salary bands\n\nThe salary band of a manager ends at 90000 euros.\n",
}


def question(id, text, *, gold=(), facts=(), answerable=True, kind="single"):
    return {
        "id": id, "question": text, "answerable": answerable, "gold_docs": list(gold), "answer": "",
        "key_facts": [list(group) for group in facts], "kind": kind, "style": "plain",
    }  # fmt: skip


LEAVE = question("leave", "How many days is annual leave a year?", gold=["leave.md"], facts=[["25 days"], ["weekends"]])
VPN = question("vpn", "What does error 809 on the vpn mean?", gold=["vpn.md"], facts=[["4500"]])
NONE = question("none", "zzyzx qwrtp", answerable=False, kind="out of scope")
PAY = question(
    "pay", "Where does the salary band of a manager end?", answerable=False, facts=[["90000"]], kind="restricted"
)
QUESTIONS = [LEAVE, VPN, NONE, PAY]


def make_desk(tmp_path, **settings):
    folder = tmp_path / "docs"
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "managers" / ".access").write_text("managers\n")
    chat = {"backend": "echo", "confidence": 0.05} | settings.pop("chat", {})
    desk = Desk(load_settings(home=tmp_path / "home", retrieval={"embedder": "hashing"}, chat=chat, **settings))
    desk.ingest(SilentProgress()).run([folder])
    return desk


def write_set(path, questions=None):
    path.write_text("".join(json.dumps(one) + "\n" for one in (QUESTIONS if questions is None else questions)))
    return path


def publish(desk, tmp_path, name="house", docs=("leave.md",), tuned_on=None):
    """An adapter that was tuned on some documents, and carries the questions it was tuned on."""
    hashes = {doc: hashlib.sha256((tmp_path / "docs" / doc).read_bytes()).hexdigest() for doc in docs}
    source = desk.workspace.adapters / ".source"
    source.mkdir(parents=True, exist_ok=True)
    if tuned_on is not None:
        write_tuned_on(source, tuned_on)
    return bare(desk.workspace.adapters, name, documents=hashes)


def lines_of(out, mode):
    return [json.loads(line) for line in (out / f"results-{mode}.jsonl").read_text().splitlines()]
