"""`/staff/documents`: what is in the index and what is not, documents as the model sees them, uploads.

Everybody here is an administrator, and still reads only what their groups may read.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from app.accounts import audit
from app.desk import Desk
from app.loop.sources import Pending, pending
from app.loop.uploads import TakenError, TooLargeError, Upload
from app.people import Person
from app.staff import documents_page as page
from app.staff.job_pages import news, start_job
from app.staff.request import Admin, Fields, Workplace, back, show
from app.staff.workplace import Staff
from finetune.adapters.card import Adapter
from ingest.errors import DeskmateError
from ingest.records import EVERYONE
from ingest.scan import content_hash
from retrieval.chunks import DocumentState

router = APIRouter()

TOGETHER = 4
"""A form without script sends so many of the largest files at once; with script, each file comes alone."""

MOST_FILES = 200


@router.get("/documents")
def _documents(
    request: Request,
    person: Admin,
    staff: Workplace,
    q: Annotated[str, Query(max_length=200)] = "",
    show_only: Annotated[str, Query(alias="show")] = "all",
    at: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> HTMLResponse:
    desk, groups = staff.desk, _groups(person)
    overview, rows = _look(desk, groups)
    kinds = {key: [row for row in rows if _is(row, key)] for key in page.SHOWN}
    shown = show_only if show_only in kinds else "all"
    words = q.casefold().split()
    found = [row for row in kinds[shown] if all(word in _searched(row) for word in words)]
    listing = page.Listing(found, {key: len(of) for key, of in kinds.items()}, shown, q, at)
    uploading = page.Uploading(sorted(person.groups), desk.uploads.largest)
    busy = desk.jobs.running() is not None
    body = page.documents_body(overview, listing, uploading, (news(desk.jobs, frozenset({"ingest"})), busy))
    return show(request, "Documents", "documents", body)


@router.get("/document")
def _document(
    request: Request,
    person: Admin,
    staff: Workplace,
    doc: str,
    at: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> HTMLResponse:
    desk, groups = staff.desk, _groups(person)
    row = _row(desk, _state(desk, doc), groups, Pending())
    first = (at - 1) * page.LISTED
    chunks = desk.searcher.open().table.chunks_of(doc, groups)[first : first + page.LISTED]
    passages = [page.Passage(chunk, len(desk.embedder.offsets(chunk.embedded_text))) for chunk in chunks]
    stale = [one.id for one in _adapters(desk) if doc in desk.serving.standing(one).stale.changed]
    title = row.state.title if row.readable and row.state.title else doc
    return show(request, title, "documents", page.document_body(row, passages, desk.embedder.window, at, stale))


@router.post("/documents/upload")
async def _upload(request: Request, person: Admin, staff: Workplace) -> Response:
    """Take files in. With script each comes alone and is answered in JSON; without, all come at once."""
    form = await _form(request, staff.desk.uploads.largest * TOGETHER)
    try:
        return await run_in_threadpool(_take, request, person, staff, form)
    finally:
        await form.close()


def _take(request: Request, person: Person, staff: Staff, form: FormData) -> Response:
    access = frozenset(str(group) for group in form.getlist("access"))
    if not access <= _groups(person):
        raise HTTPException(403, "you can open documents to everyone and to groups of yours only")
    files = [file for file in form.getlist("file") if isinstance(file, UploadFile) and file.filename]
    taken: list[Upload] = []
    refused: list[DeskmateError] = []
    for file in files:
        try:
            one = staff.desk.uploads.take(file.filename or "", access, file.file, bool(form.get("replace")))
        except DeskmateError as error:
            refused.append(error)
            continue
        taken.append(one)
        with staff.database.writing() as connection:
            about = {"sha256": content_hash(one.path), "bytes": one.size, "open": EVERYONE in one.access}
            audit.note(connection, person.id, "document.uploaded", about)
    status = _status(refused[0]) if refused and not taken else 200
    if "application/json" in request.headers.get("accept", ""):
        names = [one.name for one in taken]
        why = [{"why": str(error), "taken": isinstance(error, TakenError)} for error in refused]
        return JSONResponse({"taken": names, "refused": why}, status)
    note = _ingest_uploads(staff, person) if taken else ""
    if not files:
        refused.append(DeskmateError("choose a file first"))
    body = page.uploaded_body([one.name for one in taken], [str(error) for error in refused], note)
    return show(request, "Documents", "documents", body, status)


@router.post("/documents/ingest")
def _ingest(person: Admin, staff: Workplace, fields: Fields) -> RedirectResponse:
    """Read everything again, or only what was uploaded."""
    if ("what", "uploads") in fields:
        start_job(staff, person, "ingest", "Taking in uploaded documents", [_uploads_command(staff.desk)])
        return back("/staff/documents")
    uploads = staff.desk.uploads.folder
    commands = staff.desk.sources.commands([uploads] if uploads.exists() else [])
    if not commands:
        raise DeskmateError("nothing was ingested yet; upload documents, or run: deskmate ingest FOLDER")
    start_job(staff, person, "ingest", "Reading everything again", commands)
    return back("/staff/documents")


@router.post("/documents/delete")
def _delete(person: Admin, staff: Workplace, fields: Fields) -> RedirectResponse:
    doc = dict(fields).get("doc", "")
    desk = staff.desk
    state = _state(desk, doc)
    if state.access and not _groups(person) & state.access:
        raise HTTPException(403, "this document is not for you; someone who may read it can delete it")
    desk.uploads.remove(state.path)
    with staff.database.writing() as connection:
        audit.note(connection, person.id, "document.deleted", {"sha256": state.sha256})
    try:
        # What was deleted was confirmed; nothing else in that folder can vanish by it.
        command = _uploads_command(desk, "--allow-shrink")
        start_job(staff, person, "ingest", "Taking out a deleted document", [command])
    except DeskmateError:
        return back("/staff/documents", "deleted-later")
    return back("/staff/documents", "deleted")


def _ingest_uploads(staff: Staff, person: Person) -> str:
    """Start taking in what was uploaded; says what comes next."""
    try:
        start_job(staff, person, "ingest", "Taking in uploaded documents", [_uploads_command(staff.desk)])
    except DeskmateError as error:
        return f"Not taken in yet: {error}."
    return "They are being taken in."


def _uploads_command(desk: Desk, *options: str) -> tuple[str, ...]:
    return ("ingest", *options, "--", str(desk.uploads.folder))


async def _form(request: Request, most: int) -> FormData:
    """A form with files, read to disk piece by piece and no further than `most` bytes.

    Raises:
        HTTPException: it is longer, or no form.
    """
    too_large = HTTPException(413, f"together these files are larger than {most / 2**20:g} MiB; send fewer at a time")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most:
        raise too_large

    async def limited() -> AsyncIterator[bytes]:
        count = 0
        async for part in request.stream():
            count += len(part)
            if count > most:
                raise too_large
            yield part

    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(415, "files are uploaded as a form; use the page, or multipart/form-data")
    try:
        return await MultiPartParser(request.headers, limited(), max_files=MOST_FILES, max_fields=100).parse()  # type: ignore[arg-type]
    except (MultiPartException, KeyError) as error:
        raise HTTPException(400, "the upload arrived broken; nothing of it was kept, send it once more") from error


def _look(desk: Desk, groups: frozenset[str]) -> tuple[page.Overview, list[page.Row]]:
    """Everything there is to say of the documents."""
    if desk.store.current_name() is None:
        return page.Overview(0, 0, 0, "", "", Pending(), (), len(desk.sources.all())), []
    generation = desk.searcher.open()
    manifest, sources = generation.manifest, desk.sources.all()
    waits = pending(sources, generation.table.known(), manifest.created)
    rows = [_row(desk, one, groups, waits) for one in generation.table.documents()]
    stale = [(one.id, str(mark)) for one in _adapters(desk) if (mark := desk.serving.standing(one).stale)]
    counts = (manifest.documents, manifest.chunks, manifest.quarantined, manifest.generation, manifest.created)
    return page.Overview(*counts, waits, stale, len(sources)), rows


def _row(desk: Desk, state: DocumentState, groups: frozenset[str], waits: Pending) -> page.Row:
    try:
        touched: float | None = state.path.stat().st_mtime
    except OSError:
        touched = None
    moved = "changed" if state.doc in waits.changed else "gone" if state.doc in waits.gone else ""
    return page.Row(state, bool(groups & state.access), desk.uploads.holds(state.path), moved, touched)


def _state(desk: Desk, doc: str) -> DocumentState:
    """A document by its name.

    Raises:
        HTTPException: there is none.
    """
    states = desk.searcher.open().table.documents() if desk.store.current_name() else ()
    state = next((one for one in states if one.doc == doc), None)
    if state is None:
        raise HTTPException(404, "there is no such document; it may have been removed meanwhile")
    return state


def _adapters(desk: Desk) -> list[Adapter]:
    return [one for one in desk.registry.all() if isinstance(one, Adapter)]


def _is(row: page.Row, kind: str) -> bool:
    match kind:
        case "indexed":
            return row.state.reason is None
        case "unread":
            return row.state.reason is not None
        case "uploaded":
            return row.uploaded
        case "pending":
            return bool(row.pending)
    return True


def _searched(row: page.Row) -> str:
    """What a search looks through; a title is part of the text."""
    return f"{row.state.doc}\n{row.state.title if row.readable else ''}".casefold()


def _groups(person: Person) -> frozenset[str]:
    return person.groups | {EVERYONE}


def _status(error: DeskmateError) -> int:
    return 413 if isinstance(error, TooLargeError) else 409 if isinstance(error, TakenError) else 415
