"""What the pages on documents, adapters, comparing and health share: their own style and script."""

import hashlib
from functools import lru_cache

from app.staff.frame import STATIC


@lru_cache(maxsize=1)
def scripts() -> str:
    """The links to both, to stand in a page's body. The address carries the contents' hash."""
    return "".join(
        form.format(f"/desk/{file}?v={hashlib.sha256((STATIC / file).read_bytes()).hexdigest()[:12]}")
        for file, form in (
            ("loop.css", '<link rel="stylesheet" href="{}">'),
            ("loop.js", '<script src="{}" defer></script>'),
        )
    )
