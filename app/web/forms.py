"""Reading a form that a browser sent, no further than a form of ours can be long."""

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request


async def read_form(request: Request, most: int, too_long: str) -> list[tuple[str, str]]:
    """The fields of a form in their order; a name may come several times.

    Args:
        request: with an URL-encoded body.
        most: bytes of it.
        too_long: what is said of a longer one.

    Raises:
        HTTPException: it is longer (413), or no form (422).
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413, too_long)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200, errors="strict")
    except ValueError as error:
        raise HTTPException(422, "the form cannot be read; go back and send it once more") from error
