"""What nobody sees is not read; what looks hidden and is not stays."""

import io

import openpyxl
import pytest

from eval.attacks import files as files
from ingest.formats.hidden import hides
from ingest.load import parse
from ingest.settings import IngestSettings

LINES = ("Opening hours", "The counter is open from eight to ten.")
LIMITS = IngestSettings()


def text_of(data: bytes, kind: str) -> str:
    return parse(data, f"x.{kind}", LIMITS).text


@pytest.mark.parametrize(
    "style",
    [
        "color:#fff;background:#003366",
        "color:white",
        "font-size:10px",
        "font-size:1.2em",
        "opacity:0.9",
        "color:inherit",
    ]
    + [
        "display:block",
        "background-color:white",
        "color:rgba(0,0,0,.5)",
        "color:rgb(255,0,0)",
        "left:-5px",
        "height:10px",
    ]
    + ["background:transparent", "transform:translateX(-50%)", "color:hsl(0 0% 0%)"],
)
def test_ordinary_styles_hide_nothing(style: str) -> None:
    assert not hides(style)


@pytest.mark.parametrize(
    "style",
    ["color:#FFF; background-color: White", "color:rgba(0,0,0,0)", "color: rgb(0 0 0 / 0%)", "font-size:0.5px"]
    + ["COLOR : transparent !important", "display:none", "transform: translate(-9999px)", "clip-path: circle(0)"],
)
def test_styles_that_leave_nothing_to_see_hide(style: str) -> None:
    assert hides(style)


def test_invisible_words_under_a_picture_are_what_was_recognised_in_a_scan() -> None:
    picture = "q 500 0 0 700 40 60 cm BI /W 1 /H 1 /CS /G /BPC 8 ID A EI Q\n"
    read = files.pdf_text("Recognised words of a scan.", "3 Tr")
    assert "Recognised words" in text_of(files.pdf(LINES, picture + read), "pdf")
    assert "Recognised words" not in text_of(files.pdf(LINES, read), "pdf")


def test_rows_that_a_filter_hides_are_still_rows() -> None:
    book = openpyxl.load_workbook(io.BytesIO(files.xlsx(LINES, "Closed on Fridays.", "row")))
    book.worksheets[0].auto_filter.ref = "A1:B3"
    out = io.BytesIO()
    book.save(out)
    assert "Closed on Fridays" in text_of(out.getvalue(), "xlsx")


def test_runs_of_a_hidden_style_are_left_out_and_switched_on_ones_stay() -> None:
    plain = files.word_run("Seen all the same.", '<w:vanish w:val="0"/>')
    hidden = files.word_run("Not seen.", "<w:vanish/>")
    text = text_of(files.docx(LINES, plain + hidden), "docx")
    assert "Seen all the same." in text
    assert "Not seen." not in text
    assert LINES[1] in text


def test_boxes_that_reach_over_the_slide_are_seen() -> None:
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation(io.BytesIO(files.pptx(LINES)))
    box = deck.slides[0].shapes.add_textbox(Inches(-1), Inches(1), Inches(3), Inches(1))
    box.text_frame.text = "Half on the slide."
    out = io.BytesIO()
    deck.save(out)
    assert "Half on the slide." in text_of(out.getvalue(), "pptx")
