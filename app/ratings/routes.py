"""The addresses under `/rate`: from a request to the ratings' store and to a page.

Small on purpose: what is shown to whom is `app.ratings.plan`'s matter, how it looks `app.ratings.page`'s.
"""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from app.ratings import page as page
from app.ratings.plan import Asked, Pair, evaluations, plan, questions_of
from app.ratings.store import LONGEST_NAME, VERDICTS, Ratings, rater_name
from app.web.forms import read_form
from app.web.harden import HEADERS
from ingest.errors import DeskmateError

COOKIE = "deskmate_rater"
KEPT_SECONDS = 180 * 24 * 3600

LONGEST_BODY = 2_000
"""Bytes of a form: a name, or a pair's id with two verdicts."""

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
POLICY += "base-uri 'none'; frame-ancestors 'none'"
"""Stricter than the chat's: nothing inline runs here."""


router = APIRouter()


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a form, read no further than a form of ours can be long."""
    too_long = f"the form is too long; a name has at most {LONGEST_NAME} characters"
    return dict(await read_form(request, LONGEST_BODY, too_long))


Fields = Annotated[dict[str, str], Depends(_fields)]


class _Visit:
    """One request for one evaluation: its questions, its ratings, and who asks.

    Raises:
        HTTPException: there is no such evaluation.
    """

    def __init__(self, name: str, request: Request) -> None:
        reports: Path = request.app.state.reports
        if name not in evaluations(reports):  # so that no path is ever made of what was asked for
            raise HTTPException(404, f"there is no evaluation called {name[:80]!r}")
        self.name = name
        self.title: str = request.app.state.title
        self.questions: tuple[Asked, ...] = questions_of(reports / name)
        self.ratings = Ratings(reports / name)
        self.rater = _rater(request)

    def pairs(self) -> dict[str, Pair]:
        """What this rater is to see, in order, by the pairs' ids."""
        return {pair.id: pair for pair in plan(self.questions, self.rater)}

    def home(self) -> Response:
        """Back to what is next."""
        return RedirectResponse(f"/rate/{quote(self.name)}", 303)

    def pair(self, fields: dict[str, str]) -> Pair:
        """The pair that a form is about."""
        if not self.rater:
            raise HTTPException(422, "it is not known who you are; open the evaluation again and give your name")
        pair = self.pairs().get(fields.get("pair", ""))
        if pair is None:
            raise HTTPException(404, "there is no such pair for you; open the evaluation again to go on")
        return pair


Visit = Annotated[_Visit, Depends()]


def _rater(request: Request) -> str:
    """Who asks, by the cookie; empty where nobody has given a name, or where the cookie is not one of ours."""
    try:
        return rater_name(unquote(request.cookies.get(COOKIE, "")))
    except DeskmateError:
        return ""


def mount_ratings(app: FastAPI, reports: Path, title: str) -> None:
    """Put the pages under `/rate` into an application.

    They are an application of their own, as refusals are pages here and nowhere else.

    Args:
        app: the whole one.
        reports: the folder with an evaluation's folder each.
        title: what the help desk is called.
    """
    pages = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    pages.state.reports, pages.state.title = reports, title
    pages.include_router(router)

    @pages.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> HTMLResponse:
        return _show(page.error_page(title, error.detail), error.status_code)

    @pages.exception_handler(DeskmateError)
    def failed(request: Request, error: DeskmateError) -> HTMLResponse:
        return _show(page.error_page(title, str(error)), 500)

    app.add_route("/rate", lambda request: RedirectResponse("/rate/"))
    app.mount("/rate", pages)


def _show(text: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status, HEADERS | {"content-security-policy": POLICY, "cache-control": "no-store"})


@router.get("/")
def _index(request: Request) -> HTMLResponse:
    return _show(page.index_page(request.app.state.title, evaluations(request.app.state.reports)))


@router.get("/{name}")
def _next(visit: Visit) -> HTMLResponse:
    """What is next for this rater: to give a name, to rate a pair, or nothing more."""
    pairs = visit.pairs()
    if pairs and not visit.rater:
        return _show(page.name_page(visit.title, visit.name, len(pairs)))
    ids = {pair.key: pair.id for pair in pairs.values()}
    rated = [ids[rating.key] for rating in visit.ratings.of(visit.rater) if rating.key in ids]
    left = [pair for pair in pairs.values() if pair.id not in rated]
    last = rated[-1] if rated else ""
    if not left:
        return _show(page.done_page(visit.title, visit.name, visit.rater, len(rated), last))
    return _show(page.pair_page(visit.title, visit.name, visit.rater, left[0], (len(rated), len(pairs)), last))


@router.post("/{name}/name")
def _name(visit: Visit, fields: Fields) -> Response:
    try:
        rater = rater_name(fields.get("rater", ""))
    except DeskmateError as error:
        text = page.name_page(visit.title, visit.name, len(visit.pairs()), str(error), fields.get("rater", ""))
        return _show(text, 422)
    back = visit.home()
    # Other sites' forms come without a Lax cookie, so none of them can rate in a rater's name.
    back.set_cookie(COOKIE, quote(rater), max_age=KEPT_SECONDS, path="/rate", httponly=True, samesite="lax")
    return back


@router.post("/{name}/leave")
def _leave(visit: Visit) -> Response:
    back = visit.home()
    back.delete_cookie(COOKIE, path="/rate", httponly=True, samesite="lax")
    return back


@router.post("/{name}/pair")
def _rate(visit: Visit, fields: Fields) -> Response:
    pair = visit.pair(fields)
    tone, correctness = fields.get("tone"), fields.get("correctness")
    if tone not in VERDICTS or correctness not in VERDICTS:
        raise HTTPException(422, "say for tone and for correctness whether A is better, B is, or neither")
    visit.ratings.rate(visit.rater, pair, tone, correctness)
    return visit.home()


@router.post("/{name}/undo")
def _undo(visit: Visit, fields: Fields) -> Response:
    key = visit.pair(fields).key
    for rating in visit.ratings.of(visit.rater):
        if rating.key == key:  # a second click finds nothing more to take back
            visit.ratings.add(rating.withdrawn())
    return visit.home()
