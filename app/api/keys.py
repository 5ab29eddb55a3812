"""API keys: who may ask over HTTP, what they may read and do. One file in the workspace, which holds no key itself.

A key is 32 random bytes, shown once. Its SHA-256 is kept, not a slow hash such as argon2: nobody can try 2^256 keys
however fast the hash, and a slow one would be paid for with every request. Knows nothing of HTTP.
"""

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ingest.errors import DeskmateError
from ingest.workspace import explain_disk_error, write_atomic, writer_lock

KEYS, USED = "keys.json", "used.json"
PREFIX = "dm_"
SCOPES = frozenset({"chat", "search", "adapters", "metrics"})
"""`chat` and `search` are the two routes; `adapters` lets a request name one that is not promoted; `metrics` reads
figures where they are not open to all."""

TOUCH_S = 60.0
"""Shortest time between two notes that a key was used."""

_NAME = re.compile(r"[A-Za-z0-9][\w .@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is kept. `sha256` is that of the whole key as it is sent; `expires` is empty for never."""

    id: str
    name: str
    sha256: str
    groups: tuple[str, ...]
    scopes: tuple[str, ...]
    created: str
    expires: str = ""

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return bool(self.expires) and datetime.fromisoformat(self.expires) <= now


class Keys:
    """The folder `keys` of a workspace. Any process may read while one writes; changes count at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int, int], tuple[Key, ...]] | None = None
        self._touched: dict[str, float] = {}

    def all(self) -> tuple[Key, ...]:
        """Every key, the oldest first; read again only when the file was replaced.

        Raises:
            DeskmateError: the file cannot be read or is none of ours; nobody is let in then.
        """
        path = self.folder / KEYS
        try:
            fact = path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise explain_disk_error(error, "reading the API keys") from error
        version = (fact.st_ino, fact.st_mtime_ns, fact.st_size)
        with self._lock:
            if self._read is None or self._read[0] != version:
                self._read = (version, _parse(path))
            return self._read[1]

    def find(self, sent: str) -> Key | None:
        """The key that was sent, if there is such a one and its time is not over.

        Every key is compared, each in constant time, so that the time taken tells nothing of which came near.

        Raises:
            DeskmateError: as `all`.
        """
        digest = hashlib.sha256(sent.encode()).hexdigest()
        matches = [key for key in self.all() if hmac.compare_digest(key.sha256, digest)]
        return matches[0] if matches and not matches[0].expired(datetime.now(UTC)) else None

    def add(self, name: str, groups: Sequence[str], scopes: Sequence[str], days: int | None = None) -> tuple[Key, str]:
        """Make a key.

        Args:
            name: what people call it; one name, one key.
            groups: what it may read besides what is for everyone.
            scopes: some of `SCOPES`.
            days: after which it expires; never by default.

        Returns:
            The key as it is kept, and the key itself, which is kept nowhere.

        Raises:
            DeskmateError: a bad or taken name, no or unknown scopes, or the disk refuses.
        """
        if not _NAME.fullmatch(name):
            raise DeskmateError(f"{name!r} is no name for a key; use letters, digits, space and _ . @ -, at most 64")
        if not scopes or not SCOPES.issuperset(scopes):
            wrong = ", ".join(sorted(set(scopes) - SCOPES)) or "none"
            raise DeskmateError(f"{wrong}: no such scope; give some of {', '.join(sorted(SCOPES))}")
        secret = PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        key = Key(
            id=secrets.token_hex(4),
            name=name,
            sha256=hashlib.sha256(secret.encode()).hexdigest(),
            groups=tuple(sorted(set(groups))),
            scopes=tuple(sorted(set(scopes))),
            created=now.isoformat(timespec="seconds"),
            expires="" if days is None else (now + timedelta(days=days)).isoformat(timespec="seconds"),
        )
        with writer_lock(self.folder):
            known = self.all()
            if any(one.name == name for one in known):
                raise DeskmateError(f"there is a key {name!r} already; choose another name, or revoke it first")
            self._write((*known, key))
        return key, secret

    def revoke(self, name: str) -> Key:
        """Remove a key by its name or id, from the next request on.

        Raises:
            DeskmateError: there is none, or the disk refuses.
        """
        with writer_lock(self.folder):
            known = self.all()
            gone = next((key for key in known if name in (key.name, key.id)), None)
            if gone is None:
                there = ", ".join(key.name for key in known) or "none"
                raise DeskmateError(f"there is no key {name!r}; there are: {there}")
            self._write(tuple(key for key in known if key != gone))
        return gone

    def due(self, key: Key) -> bool:
        """Whether `touch` would note anything: it is not worth a thread otherwise."""
        now = time.monotonic()
        return now - self._touched.get(key.id, now - TOUCH_S) >= TOUCH_S

    def touch(self, key: Key) -> None:
        """Note that a key was used, at most once a minute.

        Without a lock: of two servers that write in the same moment one loses a minute, and nobody waits.
        """
        now = time.monotonic()
        with self._lock:
            if now - self._touched.get(key.id, now - TOUCH_S) < TOUCH_S:
                return
            self._touched[key.id] = now
        ids = {one.id for one in self.all()}
        used = self.used() | {key.id: datetime.now(UTC).isoformat(timespec="seconds")}
        kept = {one: when for one, when in used.items() if one in ids}
        try:
            write_atomic(self.folder / USED, (json.dumps(kept) + "\n").encode())
        except OSError:
            return  # a full disk must not turn anybody away

    def used(self) -> dict[str, str]:
        """When each key was last used, by id."""
        try:
            return _USED.validate_json((self.folder / USED).read_bytes())
        except (OSError, ValidationError):
            return {}

    def _write(self, keys: tuple[Key, ...]) -> None:
        try:
            write_atomic(self.folder / KEYS, _FILE.dump_json(list(keys), indent=1) + b"\n")  # with mode 0600
        except OSError as error:
            raise explain_disk_error(error, "writing the API keys") from error


_FILE: TypeAdapter[list[Key]] = TypeAdapter(list[Key])
_USED: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


def _parse(path: Path) -> tuple[Key, ...]:
    try:
        return tuple(_FILE.validate_json(path.read_bytes()))
    except OSError as error:
        raise explain_disk_error(error, "reading the API keys") from error
    except ValidationError:
        # Its own message would quote the file.
        raise DeskmateError(f"{path} holds no API keys; restore it, or remove it and make new keys") from None
