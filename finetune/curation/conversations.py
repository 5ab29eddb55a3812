"""A company's own question-answer files, read as conversations: JSON lines, JSON, CSV and transcripts.

Says file and line of whatever it cannot read. Knows nothing of pairs, voices or personal data.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from finetune.template import Turn
from ingest.errors import DeskmateError
from ingest.formats.decode import decode
from ingest.jsonl import read_jsonl
from ingest.normalise import normalise

Role = Literal["user", "assistant"]

_ASKS = "customer user client caller employee human requester requestor visitor guest asker q question frage prompter"
_ANSWERS = (
    "agent assistant support helpdesk servicedesk desk advisor adviser operator rep representative bot gpt model staff "
    "technician supporter a answer antwort ai chatbot it"
)
ROLES: dict[str, Role] = {
    **dict.fromkeys(_ASKS.split(), "user"),
    **dict.fromkeys(_ANSWERS.split(), "assistant"),
}
"""Words of a speaker's label that say which side speaks."""
HEAD = 200
"""Characters of a line in which its speaker is looked for."""
LABEL = 4
"""Words of a speaker's label at most."""
SILENT = frozenset({"system", "developer", "tool", "function", "observation", "info", "bot notice"})
"""Speakers that are no party to a conversation."""

_LISTS = ("messages", "conversations", "conversation", "turns", "dialogue", "dialog", "transcript", "chat")
_SPEAKERS = ("role", "from", "speaker", "author", "sender", "name")
_TEXTS = ("content", "value", "text", "message", "body", "utterance")
_QUESTIONS = ("question", "q", "query", "prompt", "instruction", "questions", "frage", "customer", "user")
_REPLIES = ("answer", "a", "response", "output", "completion", "reply", "answers", "antwort", "agent", "assistant")
_NO_SPEAKERS = (
    "note step tip warning error subject from to date re ps attention important address phone mail email option answer "
    "http https hint example url link time status priority reason cause result fix solution steps see also"
)
_NEVER = frozenset(_NO_SPEAKERS.split())

_TIME = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s?[AaPp]\.?[Mm]\.?)?"
_STAMP = rf"(?:\[[^\]\n]*{_TIME}[^\]\n]*\]|\([^)\n]*{_TIME}[^)\n]*\)|(?:\d{{4}}-\d\d-\d\d[T ])?{_TIME})"
_LINE = re.compile(
    rf"^\s*(?P<before>{_STAMP})?\s*(?:[-–]\s+)?\**(?P<who>[^\W\d_][^:\n\[\]<>*]{{0,39}}?)\**\s*(?P<after>{_STAMP})?\s*"
    r":\**(?:\s+|$)"
)
_BREAK = re.compile(
    r"""
    ^\s*(?:
        [-=*_#~]{3,}(?:[^-=*_#~]{1,60}[-=*_#~]{3,})?                               # -----, === 12 March ===
      | \#*\s*(?:ticket|case|chat|conversation|session|call)\b[^:]{0,60}            # Ticket 4711
    )\s*$
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of user and assistant in turn, from a user's to an assistant's; where they stand; who speaks, by name."""

    where: str
    turns: tuple[Turn, ...]
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Said:
    who: str
    text: str


def read_conversations(path: Path) -> list[Conversation]:
    """Read a company's own questions and answers.

    By its ending a file is JSON lines (`.jsonl`), JSON (`.json`), a table (`.csv`, `.tsv`), else a transcript. Rows are
    `messages`, `question` and `answer`, or `instruction`, `input` and `output`; a transcript has lines such as
    `Agent: …` or `[10:02] Anna: …`, and a line of dashes between conversations.

    Raises:
        DeskmateError: no such file, nothing in it, or a row that is none of these; with file and line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DeskmateError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data.strip(b"\xef\xbb\xbf \t\r\n\0"):
        raise DeskmateError(f"{path} is empty; give a file with questions and answers")
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            found = [
                _conversation(f"{path.name}:{number}", _said(row, f"{path}:{number}"))
                for number, row in read_jsonl(path)
            ]
        case ".json":
            found = list(_json(path, data))
        case ".csv" | ".tsv":
            found = list(_table(path, _text(path, data)))
        case _:
            found = list(_transcript(path, _text(path, data)))
    return found


def _text(path: Path, data: bytes) -> str:
    try:
        return decode(data)
    except DeskmateError as error:
        raise DeskmateError(f"{path} cannot be read: {error}") from None


def _conversation(where: str, said: Sequence[_Said]) -> Conversation:
    """Give everyone a role, join what one side says in a row, and leave out what stands before the first question."""
    said = [one for one in said if one.who.casefold().strip() not in SILENT]
    roles = _roles([one.who for one in said])
    turns: list[Turn] = []
    for one in said:
        role, text = roles[one.who], normalise(one.text).strip()
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] = f"{turns[-1]['content']}\n{text}".strip()
        elif turns or role == "user":
            turns.append(Turn(role=role, content=text))
    if turns and turns[-1]["role"] == "user":
        turns.pop()
    names = frozenset(_name(one.who) for one in said) - {""}
    return Conversation(where, tuple(turns), names)


def _roles(speakers: Sequence[str]) -> dict[str, Role]:
    """Which side each speaker is on. A name says nothing: who speaks first asks, unless the other side is known."""
    roles: dict[str, Role] = {}
    for who in speakers:
        if role := _role(who):
            roles[who] = role
    known = set(roles.values())
    for who in speakers:
        if who not in roles:
            taken = known if len(known) == 1 else set(roles.values())
            roles[who] = "assistant" if "user" in taken else "user"
    return roles


def _role(who: str) -> Role | None:
    """The side that a label names. Of several words the short ones say nothing: "a" is an answer only when alone."""
    for part in (*re.findall(r"\((.*?)\)", who), re.sub(r"\(.*?\)", " ", who)):
        words = re.findall(r"[^\W\d_]+", part.casefold())
        for word in words:
            if word in ROLES and (len(words) == 1 or len(word) > 2):
                return ROLES[word]
    return None


def _name(who: str) -> str:
    """What of a speaker's label is a name."""
    plain = re.sub(r"\(.*?\)", " ", who)
    words = [word for word in re.findall(r"[^\W\d_][\w'’-]*", plain) if word.casefold() not in ROLES]
    return " ".join(words) if words and all(word[0].isupper() for word in words) else ""


# Rows


def _said(row: dict[str, Any], where: str) -> list[_Said]:
    """What is said in a row, whatever its keys are called."""
    keys = {str(key).casefold().strip(): value for key, value in row.items()}
    for name in _LISTS:
        if isinstance(keys.get(name), list):
            return _list(keys[name], where)
    question = next((keys[name] for name in _QUESTIONS if name in keys), None)
    reply = next((keys[name] for name in _REPLIES if name in keys), None)
    if isinstance(question, list) and isinstance(reply, list):
        return _list([*question, *reply], where)
    if question is None or reply is None:
        found = ", ".join(map(str, row)) or "nothing"
        raise DeskmateError(
            f"{where}: no `messages`, no `question` and `answer`, no `instruction` and `output` (found: {found[:200]})"
        )
    if "instruction" in keys and keys.get("input"):
        question = f"{question}\n{keys['input']}"
    before = [_pair_of(one, where) for one in keys.get("history") or []]
    return [
        *(said for pair in before for said in pair),
        _Said("user", _string(question, where)),
        _Said("assistant", _string(reply, where)),
    ]


def _pair_of(one: Any, where: str) -> tuple[_Said, _Said]:
    """An earlier exchange as Alpaca's `history` has it."""
    if not isinstance(one, list) or len(one) != 2:
        raise DeskmateError(f"{where}: `history` is no list of pairs of question and answer")
    return _Said("user", _string(one[0], where)), _Said("assistant", _string(one[1], where))


def _list(turns: Sequence[Any], where: str) -> list[_Said]:
    said = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise DeskmateError(f"{where}: a turn must be an object with `role` and `content`, not {str(turn)[:60]!r}")
        who = next((turn[key] for key in _SPEAKERS if key in turn), None)
        text = next((turn[key] for key in _TEXTS if key in turn), None)
        if who is None or text is None:
            raise DeskmateError(f"{where}: a turn lacks `role` or `content` (found: {', '.join(map(str, turn))[:200]})")
        said.append(_Said(_string(who, where), _string(text, where)))
    return said


def _string(value: Any, where: str) -> str:
    """A text, or the text parts of a message in several parts."""
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return "\n".join(str(part["text"]) for part in value if isinstance(part.get("text"), str))
    if value is None or isinstance(value, str | int | float):
        return "" if value is None else str(value)
    raise DeskmateError(f"{where}: {str(value)[:60]!r} is no text")


def _json(path: Path, data: bytes) -> Iterator[Conversation]:
    try:
        root = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DeskmateError(f"{path} cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise DeskmateError(f"{path}:{error.lineno}: no JSON ({error})") from error
    except (ValueError, RecursionError) as error:
        raise DeskmateError(f"{path}:1: no JSON ({error})") from error
    if isinstance(root, dict):
        inner = next(
            (root[key] for key in ("data", "rows", "items", "tickets", "chats") if isinstance(root.get(key), list)),
            None,
        )
        root = [root] if inner is None else inner
    if not isinstance(root, list):
        raise DeskmateError(f"{path}:1: neither a list of turns nor a list of conversations")
    if all(isinstance(one, dict) and _is_turn(one) for one in root):
        root = [root]
    for number, one in enumerate(root, start=1):
        where = f"{path}, entry {number}"
        if not isinstance(one, list | dict):
            raise DeskmateError(f"{where}: neither a list of turns nor an object")
        said = _list(one, where) if isinstance(one, list) else _said(one, where)
        yield _conversation(f"{path.name}:{number}", said)


def _is_turn(one: dict[str, Any]) -> bool:
    return any(key in one for key in _SPEAKERS) and any(isinstance(one.get(key), str) for key in _TEXTS)


# Tables


def _table(path: Path, text: str) -> Iterator[Conversation]:
    """Rows below a header that names a question and an answer, whatever parts the columns."""
    header = next(line for line in text.lstrip("\ufeff").splitlines() if line.strip())
    delimiter = max(",;\t|", key=lambda one: (_columns(header.split(one)) is not None, header.count(one)))
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    columns: tuple[int, int] | None = None
    line = 1
    try:
        for row in reader:
            where, line = f"{path}:{line}", reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if columns is None:
                columns = _columns(row)
                if columns is None:
                    found = ", ".join(cell.strip() for cell in row)[:200]
                    raise DeskmateError(f"{where}: the first row must name a question and an answer (found: {found})")
                continue
            cells = [row[at] if at < len(row) else "" for at in columns]
            said = [_Said("user", cells[0]), _Said("assistant", cells[1])]
            yield _conversation(f"{path.name}:{where.rpartition(':')[2]}", said)
    except csv.Error as error:
        raise DeskmateError(f"{path}:{line}: the table breaks off here or below ({error})") from error


def _columns(cells: Sequence[str]) -> tuple[int, int] | None:
    names = [cell.strip().strip('"').casefold() for cell in cells]
    question = next((names.index(name) for name in _QUESTIONS if name in names), None)
    answer = next((names.index(name) for name in _REPLIES if name in names), None)
    return None if question is None or answer is None else (question, answer)


# Transcripts


def _transcript(path: Path, text: str) -> Iterator[Conversation]:
    found = False
    for first, lines in _blocks(text):
        if conversation := _block(path, first, lines):
            found = True
            yield conversation
    if not found:
        raise DeskmateError(
            f"{path}:1: no turns; a line begins with who speaks, such as `Agent: …` or `[10:02] Anna: …`"
        )


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines between two lines of dashes, with the number of the first."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n---\n").split("\n")
    first = 0
    for number, line in enumerate([*lines, "---"]):
        if len(line) <= HEAD and _BREAK.match(line):
            yield first + 1, lines[first:number]
            first = number + 1


def _block(path: Path, first: int, lines: Sequence[str]) -> Conversation | None:
    matches = [_LINE.match(line[:HEAD]) for line in lines]
    speakers, stamped = _speakers([match for match in matches if match])
    said: list[_Said] = []
    began = first
    for number, (line, match) in enumerate(zip(lines, matches, strict=True), start=first):
        if match and match["who"].strip() in speakers and (not stamped or _stamp(match)):
            began = began if said else number
            said.append(_Said(match["who"].strip(), line[match.end() :]))
        elif said:
            said[-1] = _Said(said[-1].who, f"{said[-1].text}\n{line}")
    return _conversation(f"{path.name}:{began}", said) if said else None


def _speakers(matches: Sequence[re.Match[str]]) -> tuple[frozenset[str], bool]:
    """The labels that are speakers: all that bear a time, else those that name a side, else those that come back.

    Returns:
        The labels, and whether it was their times that told.
    """
    stamped = {match["who"].strip() for match in matches if _stamp(match)}
    if stamped:
        return frozenset(stamped), True
    labels = Counter(match["who"].strip() for match in matches)
    sides = {who for who in labels if _role(who) and len(who.split()) <= LABEL}
    if {_role(who) for who in sides} == {"user", "assistant"}:
        return frozenset(sides | {who for who in labels if who.casefold() in SILENT}), False
    names = {who for who, count in labels.items() if count > 1 and _name(who) and who.casefold() not in _NEVER}
    return frozenset(sides | names), False


def _stamp(match: re.Match[str]) -> bool:
    return bool(match["before"] or match["after"])
