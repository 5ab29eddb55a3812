"""What sites write around and into Markdown: front matter, Liquid tags, admonitions, footnotes. Text in, text out."""

import html
import re

_FRONT_YAML = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_FRONT_TOML = re.compile(r"\A\ufeff?\s*\+\+\+[ \t]*\r?\n(.*?)^\+\+\+[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_FRONT_LINE = re.compile(r"\s*(?:#.*|-(?:\s.*)?|[\w.\"'-]+\s*[:=].*|[\]}\[{].*)?|\s+.*")
_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(.*)$(?:\r?\n((?:[ \t]+\S.*\r?\n?)+))?", re.MULTILINE | re.IGNORECASE)

_FENCE = r"^(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t>]*(?P=fence)[`~]*[ \t]*$|\Z)"
_CODE_SPAN = r"(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"
_CODE = f"(?P<code>{_FENCE}|{_CODE_SPAN})"
_LIQUID = re.compile(
    _CODE
    + r"|\{%-?\s*raw\s*-?%\}(?P<raw>.*?)\{%-?\s*endraw\s*-?%\}"
    + r"|\{%-?\s*comment\b.*?\{%-?\s*endcomment\s*-?%\}"
    + r"|\{%-?\s*(?P<tag>[\w-]+)(?P<arguments>(?:(?!\{%).)*?)-?%\}"
    + r"|(?P<link>(?<=\]\()|(?<=\]\(<))?\{\{(?P<variable>[^{}\n]*)\}\}",
    re.DOTALL | re.MULTILINE,
)
_RAW_MARKS = re.compile(r"\{%-?\s*(?:end)?raw\s*-?%\}")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")

_ADMONITION = re.compile(
    _CODE + r"|^(?P<mark>[ ]{0,3}(?:!!!|\?\?\?\+?)[ ]+(?P<sort>[\w-]+)[^\n\"]*(?:\"(?P<head>[^\"\n]*)\")?[ \t]*)\n"
    r"(?P<body>(?:[ \t]*\n|(?:    |\t)[^\n]*(?:\n|\Z))*)",
    re.DOTALL | re.MULTILINE,
)
_FENCED_DIV = re.compile(_CODE + r"|^[ ]{0,3}:{3,}[ \t]*(?P<div>[^\n]*)$", re.DOTALL | re.MULTILINE)
_ALERT = re.compile(
    r"^(\s*>\s*)\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION|INFO)\][-+]?[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE
)
_ODDMENTS = re.compile(
    _CODE
    + r"|^[ ]{0,3}\[\^(?P<note>[^\]\s]+)\]:[ \t]*"  # a footnote; CommonMark would swallow it as a link's address
    + r"|\[\^(?P<reference>[^\]\s]+)\]"
    + r"|!?\[\[(?P<page>[^\[\]|\n]+)(?:\|(?P<shown>[^\[\]\n]+))?\]\]"  # a wiki's link
    + r"|[ \t]*\{:?[ \t]*(?:[.#][\w-]+[ \t]*|[\w-]+=(?:\"[^\"\n]*\"|[\w-]+)[ \t]*)+\}(?=[ \t]*$)",  # {#id .class}
    re.DOTALL | re.MULTILINE,
)


def front_matter(text: str) -> tuple[str, str]:
    """Split the YAML or TOML block at the top off.

    Returns:
        The title it gives, or "", and the text below. Text whose first block is not front matter is left alone.
    """
    match = _FRONT_YAML.match(text) or _FRONT_TOML.match(text)
    if not match or not all(_FRONT_LINE.fullmatch(line) for line in match[1].splitlines()):
        return "", text
    return _front_title(match[1]), text[match.end() :]


def _front_title(block: str) -> str:
    """The value of `title`, unquoted; folded ones (`title: >`) and ones over several lines are joined."""
    match = _TITLE.search(block)
    if not match:
        return ""
    value = match[1].strip()
    if value in {"", ">", "|", ">-", "|-", ">+", "|+"} or (value[0] in "\"'" and value.count(value[0]) == 1):
        value = " ".join([value.strip(">|+-"), *(match[2] or "").split()]).strip()
    quoted = re.match(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^']|'')*)'", value)
    if quoted:
        value = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted[1] is not None else quoted[2].replace("''", "'")
    else:
        value = re.sub(r"\s#.*$", "", value)
    return html.unescape(value).strip()


def plain_markdown(text: str) -> str:
    """Turn the additions of site generators and wikis into CommonMark, outside of code.

    Liquid tags (Jekyll, Eleventy) go, but the words that they would show stay: a channel's name, an alert's heading,
    an image's text. Admonitions and alerts become a line with their heading, footnotes a line "Note 1: ...".
    """
    if "{%" in text or "{{" in text:
        text = _LIQUID.sub(_liquid, text)
    if "!!!" in text or "???" in text:
        text = _ADMONITION.sub(_admonition, text)
    if ":::" in text:
        text = _FENCED_DIV.sub(_fenced_div, text)
    if "[!" in text:
        text = _ALERT.sub(lambda m: f"{m[1]}**{m[3] or m[2].capitalize()}:**", text)
    if "[^" in text or "[[" in text or "{" in text:
        text = _ODDMENTS.sub(_oddment, text)
    return text


def _liquid(match: re.Match[str]) -> str:
    """What stays of a Liquid tag."""
    if match["code"] is not None:
        return _RAW_MARKS.sub("", str(match["code"]))
    if match["raw"] is not None:
        return str(match["raw"])
    if match["variable"] is not None:
        # In a link's address it would break the link; in text it is a placeholder to fill in, which is content.
        return "" if match["link"] is not None else str(match[0])
    words = [str(first or second) for first, second in _QUOTED.findall(match["arguments"] or "")]
    match match["tag"]:
        case "slack_channel" if words:
            return words[1] if len(words) > 1 else "#" + words[0].lstrip("#")
        case "alert" if words and words[0]:
            return f"**{words[0]}**\n"
        case "image" | "image_with_class" | "figure" if len(words) > 1:
            return words[-1]
    return ""


def _admonition(match: re.Match[str]) -> str:
    """`!!! note "Head"` and its indented body, as plain paragraphs."""
    if match["code"] is not None:
        return str(match["code"])
    head = match["head"] if match["head"] is not None else match["sort"].capitalize()
    body = re.sub(r"^(?: {4}|\t)", "", match["body"], flags=re.MULTILINE)
    return (f"**{head}:**\n\n" if head else "") + body


def _fenced_div(match: re.Match[str]) -> str:
    """`:::note Head` and the closing `:::` of Docusaurus, VuePress and Pandoc."""
    if match["code"] is not None:
        return str(match["code"])
    words = re.sub(r"\{.*?\}", "", match["div"]).replace("[", " ").replace("]", " ").split()
    if not words:
        return ""
    head = " ".join(words[1:]) or words[0].capitalize()
    return f"\n**{head}:**"


def _oddment(match: re.Match[str]) -> str:
    """Footnotes, wiki links and attribute lists."""
    if match["code"] is not None:
        return str(match["code"])
    if match["note"] is not None:
        return f"Note {match['note']}: "
    if match["page"] is not None:
        return str(match["shown"] or match["page"].split("#")[0] or match["page"])
    return ""
