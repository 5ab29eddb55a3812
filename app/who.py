"""Whose request it is: what the door at the front has found out, for every page behind it. Decides nothing itself."""

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from app.people import Person, Role

_KEY = "deskmate.person"


def set_person(scope: Scope, person: Person) -> None:
    """Note who asks. Only `app.accounts.door` calls it, before anything else sees the request."""
    scope[_KEY] = person


def person_of(request: HTTPConnection) -> Person:
    """Who asks."""
    person: Person = request.scope[_KEY]
    return person


def needs(role: Role) -> Callable[[Request], Person]:
    """A dependency of FastAPI: who asks, if they may do what `role` may; else 403."""

    def person(request: Request) -> Person:
        who = person_of(request)
        if not who.may(role):
            raise HTTPException(403, f"this page is for people with the role {role}; ask an administrator for it")
        return who

    return person
