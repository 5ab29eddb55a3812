"""What people send to pages and what is kept of it: scripts that wait for a reader, other people's talks, other sites.

An asker's note, title and correction are read by people of the help desk who may do more than the asker. All of it is
structural.
"""

import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from typing import Any

from eval.attacks.attack import Attack, structural, word
from eval.attacks.markup import RUNNING
from eval.attacks.shown import active, rendered
from eval.attacks.world import DeadAttackError, World
from ingest.records import EVERYONE

FROM = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
"""What a browser says where another site's page sends something."""

PLACES = ("note", "title", "reply", "correction")
KEPT = ("script", "picture that fails", "end of an attribute", "end of a text box", "code fence", "private characters")
"""Where something is kept, and the tricks of `RUNNING` that are tried in each."""

ELSEWHERE: tuple[str, ...] = (
    "//evil.example/{}",
    "https://evil.example/{}",
    "/\\evil.example/{}",
    "javascript:x('{}')",
)
ELSEWHERE += ("/\t/evil.example/{}",)
"""Where a page should not send people after they have signed in."""

DOORS = {
    "queue": ("GET", "/staff/queue"),
    "hand-over": ("GET", "/staff/queue/handover/1"),
    "documents": ("GET", "/staff/documents"),
    "document": ("GET", "/staff/document?doc=attacks/counter.md"),
    "adapters": ("GET", "/staff/adapters"),
    "corrections": ("GET", "/staff/corrections"),
    "counts": ("GET", "/staff/counts"),
    "deleting": ("POST", "/staff/documents/delete"),
    "ingesting": ("POST", "/staff/documents/ingest"),
    "twice a slash": ("GET", "//staff/queue"),
    "dots": ("GET", "/chats/../staff/queue"),
    "coded": ("GET", "/%73taff/queue"),
}
"""The help desk's addresses, for somebody who only asks."""

CLAIMS: dict[str, dict[str, str]] = {
    "nothing": {},
    "a proxy": {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "forwarded": "for=127.0.0.1"},
    "this host": {"host": "127.0.0.1:7860"},
    "a session": {"cookie": "deskmate=admin; deskmate_guest=00000000000000000000000000000000"},
}
"""What they claim to be."""

WITHIN = "Skip to"
"""Words that stand on the help desk's pages only."""


def stored() -> Iterator[Attack]:
    """A script that an asker leaves for whoever reads it."""
    for place in PLACES:
        for trick in KEPT:
            id = f"script/kept-{place}-{trick.replace(' ', '-')}"
            yield structural(id, partial(_kept, canary=word(id)))


def doors() -> Iterator[Attack]:
    """An asker at the help desk's doors."""
    for claim, headers in CLAIMS.items():
        for name, (method, path) in DOORS.items():
            id = f"staff-door/{name}-as-{claim}".replace(" ", "-")
            attempt = partial(_inside, method=method, path=path, headers=headers)
            yield structural(id, attempt, canary=WITHIN)


def talks() -> Iterator[Attack]:
    """Somebody else's conversation, by its right name; and letters from another site."""
    for name, path in {
        "its talk": "/chats/{}/talk",
        "as Markdown": "/chats/{}/export.md",
        "as JSON": "/chats/{}/export.json",
        "the list": "/chats/list",
        "a search": "/chats/list?search=%25",
        "a search for all": "/chats/list?search=_",
        "what would be handed over": "/chats/talk?conversation={}",
    }.items():
        id = f"cross-group/talk-{name.replace(' ', '-')}"
        yield structural(id, partial(_of_another, path=path, canary=word(id)))
    for name, headers in {"origin": {"origin": FROM["origin"]}, "fetch": {"sec-fetch-site": "cross-site"}}.items():
        id = f"cross-site/note-by-{name}"
        yield structural(id, partial(_from_elsewhere, headers=headers, canary=word(id)))
    for place, address in enumerate(ELSEWHERE, 1):
        id = f"cross-site/sent-on-{place}"
        yield structural(id, partial(_sent_on, to=address.format(word(id))))


def _kept(world: World, canary: str) -> str:
    """What a browser would run on every page that shows what askers left."""
    everything = world.once(_leave_and_read)
    shown, run = everything.split(_PARTED)
    if canary not in shown:
        raise DeadAttackError(f"{canary} was not kept")
    return run


_PARTED = "\n-- parted --\n"


def _leave_and_read(world: World) -> str:
    """Leave every script at every place, then read all pages; gives what they show and what they would run."""
    for place in PLACES:
        for trick in KEPT:
            canary = word(f"script/kept-{place}-{trick.replace(' ', '-')}")
            _leave(world, place, f"{canary} {RUNNING[trick].format(c=canary)}")
    found = "".join(_crawled(world))
    return unescape(found) + _PARTED + active(found, own=True)


def _leave(world: World, place: str, payload: str) -> None:
    """Keep something as an asker's note or title, or as a reply or correction by the help desk."""
    if place == "correction":
        fields = {"question": f"Where is {payload}?", "answer": f"It is {payload}", "rests": "nothing"}
        _sent(world, "/staff/corrections/new", data=fields | {"group": EVERYONE, "do": "keep"})
        return
    note = payload if place == "note" else "May I ask something?"
    talk = _sent(world, "/chats/talk", json={"note": note}).json()["conversation"]
    if place == "title":
        _sent(world, f"/chats/{talk}/title", json={"title": payload[:70]})
    if place == "reply":
        number = max(map(int, re.findall(r"/staff/queue/handover/(\d+)", world.insider.get("/staff/queue").text)))
        _sent(world, f"/staff/queue/handover/{number}/take")
        _sent(world, f"/staff/queue/handover/{number}/reply", data={"text": payload})


def _sent(world: World, path: str, **body: Any) -> Any:
    response = world.insider.post(path, **body)
    if response.status_code >= 400:
        raise DeadAttackError(f"{path} answers {response.status_code}: {response.text[:200]}")
    return response


def _crawled(world: World) -> Iterator[str]:
    """The pages of an asker and of the help desk, and all that they lead to."""
    waiting = ["/chats/list", "/chats/list?search=BA", "/staff/queue?show=all", "/staff/queue?show=mine"]
    waiting += ["/staff/corrections", "/staff/corrections?show=all", "/staff/gaps"]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        page = world.insider.get(path)
        if page.status_code == 200:
            yield rendered(page.text) if path.endswith(".md") else page.text
            links = map(unescape, re.findall(r'href="(/[^"]*)"', page.text))
            waiting += [
                link for link in links if re.match(r"/staff/(?:queue|corrections)/|/chats/\w+/export\.md", link)
            ]


def _inside(world: World, method: str, path: str, headers: dict[str, str]) -> str:
    """The help desk's page, if somebody who only asks comes to see it."""
    if WITHIN not in world.insider.get("/staff/queue").text:
        raise DeadAttackError(f"the help desk's pages do not hold {WITHIN!r}")
    response = world.client.request(method, path, headers=headers)
    return response.text if response.status_code == 200 else ""


def _of_another(world: World, path: str, canary: str) -> str:
    """What an asker sees of a conversation of the insider's."""
    note = f"My secret is {canary}."
    talk = _sent(world, "/chats/talk", json={"note": note}).json()["conversation"]
    if canary not in world.insider.get(f"/chats/{talk}/export.json").text:
        raise DeadAttackError("the conversation was not kept")
    response = world.client.get(path.format(talk))
    return f"{response.status_code} {response.text}"


def _from_elsewhere(world: World, headers: dict[str, str], canary: str) -> str:
    """The list of somebody's conversations after another site's page sent a note in their name."""
    world.insider.post("/chats/talk", json={"note": f"I give away {canary}."}, headers=headers)
    return world.insider.get("/chats/list").text


def _sent_on(world: World, to: str) -> str:
    """Where signing in would lead."""
    shown = world.client.get("/sign-in", params={"next": to})
    sent = world.client.post("/sign-in", data={"next": to, "name": "nobody", "password": "wrong"})
    return "".join(f"{one.headers.get('location', '')} {active(one.text)}" for one in (shown, sent))
