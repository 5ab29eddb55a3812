"""The last to catch an error: a plain sentence for whoever asks, and for the log its kind and place, never its words.

What an error says may quote a question, a form or a statement of the database.
"""

import logging
import traceback

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.harden import HEADERS

UNEXPECTED = "Something went wrong on our side. It was logged; please try again."

log = logging.getLogger("deskmate.web")


class Faults:
    """An ASGI application around others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; answer with 500 where an error comes back before an answer does."""
        begun, held = False, list[Message]()

        async def noting(message: Message) -> None:
            """Pass on, but hold a 500 back: it may be a framework's, which has the error come after it."""
            nonlocal begun
            if held or message.get("status") == 500:
                held.append(message)
                return
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # the outermost loop
            if scope["type"] != "http":
                raise
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("a %s failed: %s\n%s", scope["method"], type(error).__name__, frames)
            if not begun:
                await PlainTextResponse(UNEXPECTED, 500, HEADERS)(scope, receive, send)
        else:
            for message in held:
                await send(message)
