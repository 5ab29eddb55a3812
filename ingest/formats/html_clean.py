"""What of a web page is not its content: scripts, menus, banners, form controls and whatever nobody sees.

Takes a parsed page and prunes it in place. Knows nothing of blocks or documents.
"""

import re
from collections.abc import Callable

from bs4 import BeautifulSoup, Comment, Tag
from bs4.element import PreformattedString

from ingest.formats.hidden import hides

_NEVER_READ = (
    "script style noscript template nav iframe object embed applet svg canvas audio video map dialog head input "
    "select textarea option datalist progress meter frame frameset noframes link meta base del s strike rp rt "
)
_NEVER = _NEVER_READ.split()
"""Elements whose text is no part of the page as read; struck-out text does not hold any more."""

_ROLES = "navigation banner contentinfo search complementary menu menubar toolbar tooltip dialog "
_CLUTTER_ROLES = frozenset(_ROLES.split())
_NAMES = (
    "breadcrumb breadcrumbs breadcrumb-section breadcrumbs-section navheader navfooter navbar nav-bar toc toc-"
    "macro table-of-contents tableofcontents skip-link skiplink skip-to-content pagination pager cookie cookies "
    "cookie-banner cookie-consent cookie-notice site-header site-footer page-footer site-nav site-navigation "
    "sidebar-nav related-links related-pages share-buttons social-share print-hidden noprint feedback-widget mw-"
    "editsection "
)
_CLUTTER_NAMES = frozenset(_NAMES.split())
"""Classes and ids of what content systems put around a page (Confluence, SharePoint, Drupal, DocBook, MediaWiki)."""

_ASIDE_CONTENT = re.compile(r"note|tip|warn|info|callout|admonition|important|hint|caution", re.IGNORECASE)
_LABELLING = ["h1", "h2", "h3", "h4", "h5", "h6", "summary", "dt"]


def clean(soup: BeautifulSoup) -> Tag:
    """Prune a page and find its content.

    A `<main>` or `<article>` is preferred to the whole body if it holds a fair part of the text. Pruning by class and
    id is taken back where it would leave nothing: a page may be one big "sidebar".

    Returns:
        The element that holds the content.
    """
    for comment in soup.find_all(string=lambda text: isinstance(text, Comment | PreformattedString)):
        comment.extract()
    _remove(soup, lambda tag: tag.name in _NEVER or _is_hidden(tag))
    _remove(soup, lambda tag: tag.name == "button" and tag.find_parent(_LABELLING) is None)
    _remove(soup, _is_page_frame)
    content = _content(soup)
    if any(_is_clutter(tag) for tag in content.find_all(True)):
        kept = [tag for tag in content.find_all(True) if not _is_clutter(tag) and not tag.find_parent(_is_clutter)]
        if any(string.strip() for tag in [content, *kept] for string in tag.find_all(string=True, recursive=False)):
            _remove(content, _is_clutter)
    return content


def _remove(root: Tag, unwanted: Callable[[Tag], bool]) -> None:
    """Take out every element that matches; what is inside one goes with it."""
    for tag in root.find_all(unwanted):
        if not tag.decomposed:
            tag.decompose()


def _is_hidden(tag: Tag) -> bool:
    """Whether an element's own attributes hide it."""
    attrs = tag.attrs
    if not attrs or tag.name in {"html", "body"}:
        return False
    if "hidden" in attrs and str(attrs["hidden"]).lower() != "until-found":
        return True
    if str(attrs.get("aria-hidden", "")).lower() == "true":
        return True
    style = attrs.get("style")
    return bool(style and hides(str(style)))


def _is_page_frame(tag: Tag) -> bool:
    """Headers and footers of the page itself, menus and side columns."""
    role = str(tag.get("role", "")).lower()
    if role in _CLUTTER_ROLES and tag.find("main") is None and tag.name != "main":
        return not (role == "banner" and _holds_only_title(tag))
    match tag.name:
        case "footer":
            return tag.find_parent(["main", "article", "section", "blockquote"]) is None
        case "header":
            return tag.find_parent(["main", "article", "section"]) is None and not _holds_only_title(tag)
        case "aside":
            return not _ASIDE_CONTENT.search(" ".join(_names(tag)))
    return False


def _holds_only_title(tag: Tag) -> bool:
    """Whether a page's header holds the one top heading of the page; that must stay."""
    heading = tag.find("h1")
    if heading is None:
        return False
    root = next(parent for parent in [*tag.parents][::-1])
    return not any(other is not heading for other in root.find_all("h1"))


def _is_clutter(tag: Tag) -> bool:
    return bool(tag.attrs) and not _CLUTTER_NAMES.isdisjoint(_names(tag))


def _names(tag: Tag) -> list[str]:
    """An element's classes and id, in small letters."""
    classes = tag.get("class")
    names = classes if isinstance(classes, list) else str(classes or "").split()
    return [name.lower() for name in [*names, str(tag.get("id", ""))] if name]


def _content(soup: BeautifulSoup) -> Tag:
    """The element to read."""
    body = soup.body or soup
    whole = _weight(body)
    for found in (body.find_all(["main"]), body.find_all(role="main"), body.find_all("article")):
        outer = [tag for tag in found if tag.find_parent(tag.name) is None]
        if len(outer) == 1 and _weight(outer[0]) >= 0.3 * whole:
            return outer[0]
    return body


def _weight(tag: Tag) -> int:
    return sum(len(string.strip()) for string in tag.strings)
