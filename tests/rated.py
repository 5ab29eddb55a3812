"""An evaluation's folder as `deskmate eval` leaves it, small enough to count by hand."""

import json
from pathlib import Path
from typing import Any

MODES = ("hybrid", "rag-only", "hybrid [house/v1, gold]")


def answer_line(number: int, mode: str, text: str, **more: Any) -> dict[str, Any]:
    quote = "You carry over up to 5 days."
    cited = {"n": 1, "doc": "hr/leave.pdf", "heading": "Leave › Carrying over", "page": 3, "quote": quote}
    line = {"id": f"q{number}", "question": f"Question {number}?", "mode": mode, "answer": text, "citations": [cited]}
    return line | more


def evaluation(reports: Path, name: str = "autumn", modes: tuple[str, ...] = MODES, questions: int = 12) -> Path:
    """Answers of every mode to every question, all different."""
    folder = reports / name
    folder.mkdir(parents=True)
    for at, mode in enumerate(modes):
        lines = [answer_line(number, mode, f"Text {at} to {number} [1].") for number in range(questions)]
        write(folder / f"results-{at}.jsonl", lines)
    return folder


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
