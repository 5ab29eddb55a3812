"""Which styles hide text from people: what nobody sees on a page is not read from it. Knows CSS, no tags.

Only an element's own `style` counts. What a style sheet hides, a script may show again: tabs and folded parts are
hidden that way, and are worth reading.
"""

import re

_HIDING = re.compile(
    r"(?:^|;)\s*(?:"
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all|content-visibility\s*:\s*hidden"
    r"|(?:font-size|opacity|max-height|max-width|height|width|zoom)\s*:\s*(?:0*\.?0+)(?:px|pt|em|rem|%|vh|vw)?"
    r"\s*(?:!important)?\s*(?:;|$)"
    r"|font-size\s*:\s*(?:1(?:\.\d+)?|0?\.\d+)(?:px|pt)\s*(?:!important)?\s*(?:;|$)"
    r"|(?:left|top|right|bottom|text-indent|margin-left|margin-top)\s*:\s*-\s*\d{3,}(?:\.\d+)?(?:px|pt|em|rem|%|vw)?"
    r"|clip\s*:\s*rect\((?:\s*[01](?:px)?[\s,]*){4}\)|clip-path\s*:\s*(?:inset\(\s*(?:50|100)%|circle\(\s*0)"
    r"|transform\s*:\s*(?:scale[xy]?\(\s*0\s*[,)]|translate[xy]?\(\s*-\s*\d{3,})"
    r")",
    re.IGNORECASE,
)
_CLEAR = re.compile(r"transparent|(?:rgb|hsl)a?\(.*[,/]0*\.?0+%?\)")
"""A colour that nobody sees. The alpha is the fourth value, or the one after a slash."""
_SAME = {"white": "#ffffff", "black": "#000000", "#fff": "#ffffff", "#000": "#000000"}
_SAME |= {"rgb(255,255,255)": "#ffffff", "rgb(0,0,0)": "#000000"}


def hides(style: str) -> bool:
    """Whether an element with this `style` is not seen: not shown, outside, too small, or the colour of its ground."""
    if _HIDING.search(style):
        return True
    if "color" not in style.lower():
        return False
    parts = (part.partition(":") for part in style.lower().replace("!important", "").split(";"))
    given = {name.strip(): re.sub(r"\s", "", value) for name, _, value in parts}
    colour, ground = given.get("color", ""), given.get("background-color") or given.get("background", "")
    if _CLEAR.fullmatch(colour) and (colour == "transparent" or "/" in colour or colour.count(",") == 3):
        return True
    return bool(colour) and _SAME.get(colour, colour) == _SAME.get(ground, ground)
