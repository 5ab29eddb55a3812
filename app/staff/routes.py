"""The help desk's pages put together under `/staff`. They are an application of their own: refusals are pages here."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from app.staff import adapters, compare, corrections_routes, documents, gaps_routes, health, job_pages, queue_routes
from app.staff.frame import error_page
from app.staff.request import Colleague, Workplace, frame_of, respond
from app.staff.workplace import Staff
from ingest.errors import DeskmateError


def mount_staff(app: FastAPI, staff: Staff) -> None:
    """Put the pages under `/staff` into an application.

    Args:
        app: the whole one; whoever asks has been set by `app.accounts.door` before.
        staff: the workplace.
    """
    pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    pages.state.staff = staff

    @pages.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> HTMLResponse:
        return respond(error_page(error.detail, frame_of(request)), error.status_code)

    @pages.exception_handler(DeskmateError)
    def failed(request: Request, error: DeskmateError) -> HTMLResponse:
        return respond(error_page(str(error), frame_of(request)), 422)

    @pages.exception_handler(RequestValidationError)
    @pages.exception_handler(OverflowError)  # a number that no database can count to
    def nowhere(request: Request, error: Exception) -> HTMLResponse:
        return respond(
            error_page("There is no such page, or something of the form is missing.", frame_of(request)), 404
        )

    @pages.get("/counts")
    def counts(person: Colleague, staff: Workplace) -> JSONResponse:
        return JSONResponse(dict(staff.counts()), headers={"cache-control": "no-store"})

    @pages.get("/")
    def home() -> RedirectResponse:
        return RedirectResponse("/staff/queue")

    for loop in (documents, job_pages, adapters, health, compare):
        pages.include_router(loop.router)
    # The sections.
    pages.include_router(queue_routes.router)
    pages.include_router(corrections_routes.router)
    pages.include_router(gaps_routes.router)

    app.add_route("/staff", lambda request: RedirectResponse("/staff/queue"))
    app.mount("/staff", pages)
