"""Every format, good and bad: what the text reads like, and which plain reason a file is refused for."""

import csv
import datetime
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from documents import W, docx, item, paragraph, pdf, table, zipped
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.styles import Font
from pptx import Presentation
from pptx.util import Inches
from test_ingest_markdown import blocks, check_laws

from ingest.errors import DeskmateError
from ingest.load import parse
from ingest.records import Parsed
from ingest.settings import IngestSettings

SETTINGS = IngestSettings()
ROOT = Path(__file__).parent.parent


def read(data: bytes | str, name: str, settings: IngestSettings = SETTINGS) -> Parsed:
    parsed = parse(data if isinstance(data, bytes) else data.encode(), name, settings)
    check_laws(parsed)
    return parsed


def refusal(data: bytes, name: str, settings: IngestSettings = SETTINGS) -> str:
    with pytest.raises(DeskmateError) as caught:
        parse(data, name, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# HTML


def test_a_page_of_an_intranet_is_read_without_its_frame_and_hidden_parts() -> None:
    parsed = read(
        """<!doctype html><html><head><title>Sick leave - People - Intranet</title><style>p{}</style></head><body>
        <header><nav><a href=/>Home</a></nav></header>
        <div class="breadcrumb">Home &gt; People</div>
        <main><h1>Sick leave</h1><p>Ring <a href="mailto:hr@x.example">your manager</a>, <b>don't</b> write.<br>By 9:00.
        <div style="display: none">secret 1</div><p hidden>secret 2</p><span aria-hidden="true">secret 3</span>
        <p style="font-size:0px">secret 4</p><p style="position:absolute; left:-9999px">secret 5</p>
        <p style="opacity:0">secret 6</p><template>secret 7</template><!-- secret 8 --><script>secret(9)</script>
        <h2>Certificates</h2><ul><li>Porto<ol start=3><li>day three<li>day four</ol><li>Denver: none</ul>
        <table><caption>Pay</caption><tr><th>Site<th>Days<th>Rate<tr><td rowspan=2>RTM<td>1-26<td>100%
        <tr><td>27-52<td>85%</table>
        <dl><dt>FMLA<dd>American law<dt>UWV</dt><dd>Dutch office</dd></dl>
        <pre>a\n  b</pre><details><summary>Ill abroad?</summary>Get a statement.</details>
        <p><strong>Doctor or dentist</strong></p><p>Two hours.</p>
        <form><label>Useful?</label><button>Yes</button><select><option>No</option></select></form>
        <aside>Related pages</aside></main><footer>Imprint</footer></body></html>""",
        "sick.html",
    )
    assert parsed.title == "Sick leave"
    assert "secret" not in parsed.text
    assert blocks(parsed) == [
        ("heading", "Sick leave"),
        ("paragraph", "Ring your manager (hr@x.example), don't write.\nBy 9:00."),
        ("heading", "Certificates"),
        ("list", "- Porto\n  3. day three\n  4. day four\n- Denver: none"),
        ("paragraph", "Pay"),
        ("table", "Site | Days | Rate\nRTM | 1-26 | 100%\nRTM | 27-52 | 85%"),
        ("list", "FMLA: American law\nUWV: Dutch office"),
        ("code", "a\n  b"),
        ("heading", "Ill abroad?"),
        ("paragraph", "Get a statement."),
        ("heading", "Doctor or dentist"),
        ("paragraph", "Two hours."),
        ("paragraph", "Useful?"),
    ]


def test_a_fragment_of_html_is_a_page_too() -> None:
    parsed = read("<h2>Our office</h2><p>It has 12 floors.</p>", "010-office.html")
    assert (parsed.title, parsed.text) == ("Our office", "Our office\n\nIt has 12 floors.")


def test_tables_that_lay_out_a_page_are_read_cell_by_cell() -> None:
    parsed = read(
        "<table><tr><td><h2>News</h2><p>All well.</p></td><td><table><tr><td>1<td>2</table></td></tr></table>", "a.html"
    )
    assert blocks(parsed) == [("heading", "News"), ("paragraph", "All well."), ("table", "1 | 2")]


def test_a_form_around_a_whole_page_hides_nothing() -> None:
    assert (
        "Content"
        in read("<html><body><form id=aspnet><div><p>Content</p></div></form></body></html>", "a.aspx.html").text
    )


def test_tags_that_are_never_closed_cost_the_structure_but_not_the_words() -> None:
    parsed = read("<p>start</p>" + "<div><font>" * 3000 + "the end", "deep.html")
    assert "start" in parsed.text
    assert "the end" in parsed.text


@given(st.recursive(st.text(max_size=8), lambda inner: st.builds(
    lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>",
    st.sampled_from("p div ul ol li table tr td th dl dt dd pre h1 h3 b span a br details summary blockquote".split()),
    st.lists(inner, max_size=4),
), max_leaves=25))  # fmt: skip
def test_blocks_obey_their_laws_for_any_html(source: str) -> None:
    try:
        read(f"<html><body>{source}", "any.html")
    except DeskmateError as error:
        assert "no text" in str(error) or "binary" in str(error)


# Plain text and reStructuredText


def test_plain_text_keeps_headings_lists_tables_and_joins_wrapped_lines() -> None:
    parsed = read(
        """\
ON-CALL RUNBOOK
===============

1. ROTA
One week, monday to monday. The handover is a short call of about fifteen
minutes, always, also when nothing at all has happened in the whole past
week.

owner: lena
phone: 4911

2.1 What to do
- ring the secondary person and if there is no answer at all after some time
  ring the manager
- wait

    Card          month       cash
    Traveller     EUR 2,500   none, and
                              no exceptions
    Executive     EUR 9,000   EUR 500
""",
        "runbook.txt",
    )
    assert blocks(parsed) == [
        ("heading", "ON-CALL RUNBOOK"),
        ("heading", "1. ROTA"),
        (
            "paragraph",
            "One week, monday to monday. The handover is a short call of about fifteen minutes, always, also when "
            "nothing at all has happened in the whole past week.",
        ),
        ("paragraph", "owner: lena\nphone: 4911"),
        ("paragraph", "2.1 What to do"),
        (
            "list",
            "- ring the secondary person and if there is no answer at all after some time ring the manager\n- wait",
        ),
        (
            "table",
            "Card | month | cash\nTraveller | EUR 2,500 | none, and no exceptions\nExecutive | EUR 9,000 | EUR 500",
        ),
    ]


def test_the_subject_of_a_memo_is_its_title() -> None:
    assert read("MEMO\n\nFrom: A\nSubject: Closing 2026\n\nText follows here.\n", "memo.txt").title == "Closing 2026"


@given(
    st.lists(
        st.sampled_from(["", "A HEADING", "===", "- item", "> q", "a   b   c", "1. Go", "x" * 60, "  in", "| a | b |"])
    )
)
def test_blocks_obey_their_laws_for_any_text(lines: list[str]) -> None:
    try:
        read("\n".join(lines), "any.txt")
    except DeskmateError as error:
        assert str(error) in {"it is empty", "it holds no text"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "utf-32"])
def test_the_encoding_of_a_text_is_found(encoding: str) -> None:
    assert read("Überstunden: 40 € für Zoë, naïve café\n".encode(encoding), "a.txt").text.startswith(
        "Überstunden: 40 € für"
    )


def test_text_in_another_script_is_found_as_well() -> None:
    text = "Отпуск составляет двадцать восемь календарных дней в году для каждого сотрудника компании."
    assert read(text.encode("cp1251"), "a.txt").text == text


def test_restructured_text_is_read_without_its_markup() -> None:
    parsed = read(
        """\
Guide
=====
:Author: Lena

See :ref:`the rules <rules>`, ``code`` and `site <https://x.example>`_.

Steps
-----
.. note:: Back up first.
.. image:: a.png
   :alt: none
.. a comment

1. One
2. Two

.. code-block:: sh

   run --it

=====  ====
Site   Desk
=====  ====
Porto  4
=====  ====
""",
        "guide.rst",
    )
    assert [block.level for block in parsed.blocks if block.level] == [1, 2]
    assert parsed.text.split("\n\n") == [
        *("Guide", "Author: Lena", "See the rules, code and site.", "Steps", "Note: Back up first.", "1. One\n2. Two"),
        *("run --it", "Site | Desk\nPorto | 4"),
    ]


# PDF


def body(
    text: str, top: float, left: float = 70, size: float = 11, lead: float = 14
) -> list[tuple[float, float, float, str]]:
    return [(left, top - lead * at, size, line) for at, line in enumerate(text.split("\n"))]


def test_a_pdf_policy_reads_as_it_was_written() -> None:
    def page(number: int, *lines: tuple[float, float, float, str]) -> list[tuple[float, float, float, str]]:
        return [(60, 805, 8, "Travel policy, version 3"), *lines, (280, 30, 8, f"Page {number} of 3")]

    parsed = read(
        pdf(
            [
                page(1, (70, 760, 20, "*Travel policy"), (70, 720, 14, "*1. Flights"),
                     *body("Economy class for flights of up to eight hours, and then busi-\n"
                           "ness class with the approval of the head of department. This\nends here.", 700)),
                page(2, (70, 760, 14, "*2. Hotels"), (70, 740, 11, "• In Europe 140 euros a night and in the rest of"),
                     (82, 726, 11, "the world 190 dollars"), (70, 706, 11, "• Breakfast included"),
                     (70, 670, 9, "City"), (200, 670, 9, "Cap"), (70, 655, 9, "Paris"), (200, 655, 9, "195 euros, more"),
                     (200, 645, 9, "in fair weeks"), (70, 630, 9, "Rome"), (200, 630, 9, "160 euros")),
                page(3, *body("The last page holds nothing but a paragraph of some words.", 760)),
            ],
            title="Travel policy",
        ),
        "policy.pdf",
    )  # fmt: skip
    assert parsed.title == "Travel policy"
    assert blocks(parsed) == [
        ("heading", "Travel policy"),
        ("heading", "1. Flights"),
        (
            "paragraph",
            "Economy class for flights of up to eight hours, and then business class with the approval of the head of "
            "department. This ends here.",
        ),
        ("heading", "2. Hotels"),
        ("list", "- In Europe 140 euros a night and in the rest of the world 190 dollars\n- Breakfast included"),
        ("table", "City | Cap\nParis | 195 euros, more in fair weeks\nRome | 160 euros"),
        ("paragraph", "The last page holds nothing but a paragraph of some words."),
    ]
    assert [block.page for block in parsed.blocks] == [1, 1, 1, 2, 2, 2, 3]
    assert [block.level for block in parsed.blocks if block.level] == [1, 2, 2]


@pytest.mark.parametrize("across", [True, False], ids=["drawn line by line", "drawn column by column"])
def test_two_columns_are_read_one_after_the_other(across: bool) -> None:
    left = [(60, 700 - 14 * n, 10, f"left number {n} of the first column") for n in range(12)]
    right = [(320, 700 - 14 * n, 10, f"right number {n} of the other column") for n in range(12)]
    lines = [line for pair in zip(left, right, strict=True) for line in pair] if across else left + right
    text = read(pdf([[(60, 760, 18, "*News"), *lines]]), "news.pdf").text
    assert " | " not in text
    assert text.index("left number 11") < text.index("right number 0")


def test_a_paragraph_that_goes_on_over_the_page_is_one() -> None:
    first = body("This sentence begins on the first page and it has no full stop at", 100)
    second = body("its end until the second page.", 760)
    assert blocks(read(pdf([first, second]), "a.pdf")) == [
        (
            "paragraph",
            "This sentence begins on the first page and it has no full stop at its end until the second page.",
        )
    ]


def test_a_pdf_under_another_name_is_a_pdf() -> None:
    assert read(pdf([body("Still a PDF.", 700)]), "notes.txt").blocks[0].page == 1


def test_a_pdf_without_text_a_broken_and_an_encrypted_one_are_refused() -> None:
    assert "no text (a scan?); run text recognition" in refusal(pdf([[]]), "scan.pdf")
    assert "is damaged" in refusal(b"%PDF-1.7\n" + b"rubbish " * 50, "broken.pdf")
    secret = pdf([body("Secret.", 700)], encrypt=True)
    assert refusal(secret, "secret.pdf") == "it is password-protected; save a copy without a password"


def test_a_pdf_of_too_many_pages_is_refused() -> None:
    many = pdf([body("x", 700)] * 4)
    assert "4 pages, more than 3 (max_pages)" in refusal(many, "many.pdf", IngestSettings(max_pages=3))


# Office


def test_a_word_document_keeps_the_numbers_of_its_headings() -> None:
    parsed = read(
        docx(
            paragraph("Security standard", "Title")
            + paragraph("Scope", "H1")
            + paragraph("Rules", "H1")
            + paragraph("Passphrases", "H2")
            + paragraph("At least 14 characters.")
            + item("hardware key", 2)
            + item("app", 2)
            + paragraph("Then:")
            + item("open it", 3)
            + item("close it", 3)
            + table([["Where", "Session"], ["Laptop", "12 hours"]])
            + paragraph("Sessions", "H2")
        ),
        "standard.docx",
    )
    assert parsed.title == "Security standard"
    assert blocks(parsed) == [
        ("heading", "Security standard"),
        ("heading", "1. Scope"),
        ("heading", "2. Rules"),
        ("heading", "2.1 Passphrases"),
        ("paragraph", "At least 14 characters."),
        ("list", "- hardware key\n- app"),
        ("paragraph", "Then:"),
        ("list", "1. open it\n2. close it"),
        ("table", "Where | Session\nLaptop | 12 hours"),
        ("heading", "2.2 Sessions"),
    ]


def test_slides_keep_titles_bullets_tables_notes_and_numbers(tmp_path: Path) -> None:
    deck = Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[0])
    first.shapes.title.text = "Awareness"
    second = deck.slides.add_slide(deck.slide_layouts[1])
    second.shapes.title.text = "Five signs"
    frame = second.placeholders[1].text_frame
    frame.text = "Hurry"
    frame.add_paragraph().text = "A strange sender"
    frame.paragraphs[1].level = 1
    grid = second.shapes.add_table(2, 2, Inches(1), Inches(5), Inches(4), Inches(1)).table
    for at, text in enumerate(["What", "Who", "Phishing", "4911"]):
        grid.cell(at // 2, at % 2).text = text
    second.notes_slide.notes_text_frame.text = "Speak slowly."
    hidden = deck.slides.add_slide(deck.slide_layouts[0])
    hidden.shapes.title.text = "Not shown"
    hidden._element.set("show", "0")
    deck.save(str(tmp_path / "a.pptx"))
    parsed = read((tmp_path / "a.pptx").read_bytes(), "a.pptx")
    assert parsed.title == "Awareness"
    assert [(block.page, *pair) for block, pair in zip(parsed.blocks, blocks(parsed), strict=True)] == [
        (1, "heading", "Awareness"),
        (2, "heading", "Five signs"),
        (2, "list", "- Hurry\n  - A strange sender"),
        (2, "table", "What | Who\nPhishing | 4911"),
        (2, "paragraph", "Notes: Speak slowly."),
    ]


def workbook() -> bytes:
    book = Workbook()
    caps = book.active
    caps.title = "Caps"
    rows: list[list[object]] = [
        ["Hotel caps 2026"],
        ["Owner: Joost, ext. 4250. All amounts include taxes and are per room and night."],
        [],
        ["City", "Cap", "Valid from", "Share"],
        ["Europe"],
        ["Paris", 195.0, datetime.datetime(2026, 1, 1), 0.25],
        ["Rome", 160, None, 1],
        ["* more in fair weeks"],
    ]
    for row in rows:
        caps.append(row)
    caps["D6"].number_format = caps["D7"].number_format = "0%"
    caps["B6"].number_format = '"€"#,##0'
    sites = book.create_sheet("Sites")
    for row in [["Site", "2025", None, "2026", None], [None, "Desks", "People", "Desks", "People"],
                ["RTM", 178, 240, 180, 250], [None, 10, 11, 12, 13]]:  # fmt: skip
        sites.append(row)
    sites.merge_cells("B1:C1")
    sites.merge_cells("D1:E1")
    sites.merge_cells("A3:A4")
    facts = book.create_sheet("About")
    for row in [["Owner", "Finance, room 2"], ["Reviewed", "May 2025"]]:
        facts.append(row)
    faq = book.create_sheet("FAQ")
    for row in [["Question", "Answer"], ["May I?", "Yes"]]:
        faq.append(row)
    faq["A1"].font = faq["B1"].font = Font(bold=True)
    book.create_sheet("Lists").append(["internal"])
    book["Lists"].sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_every_row_of_a_workbook_can_be_read_alone() -> None:
    parsed = read(workbook(), "hotel-caps.xlsx")
    assert parsed.title == "Hotel caps"
    assert blocks(parsed) == [
        ("heading", "Caps"),
        ("heading", "Hotel caps 2026"),
        ("paragraph", "Owner: Joost, ext. 4250. All amounts include taxes and are per room and night."),
        ("heading", "Europe"),
        ("table", "City: Paris | Cap: €195 | Valid from: 2026-01-01 | Share: 25%\nCity: Rome | Cap: 160 | Share: 100%"),
        ("paragraph", "* more in fair weeks"),
        ("heading", "Sites"),
        (
            "table",
            "Site: RTM | 2025 Desks: 178 | 2025 People: 240 | 2026 Desks: 180 | 2026 People: 250\n"
            "Site: RTM | 2025 Desks: 10 | 2025 People: 11 | 2026 Desks: 12 | 2026 People: 13",
        ),
        ("heading", "About"),
        ("table", "Owner: Finance, room 2\nReviewed: May 2025"),
        ("heading", "FAQ"),
        ("table", "Question: May I? | Answer: Yes"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_separated_values_are_read_whatever_parts_them(delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([["Product", "Price, EUR", "Remark"], ["Ledgerly", "58", "one; two, three"], ["Tidal", "92", ""]])
    parsed = read(out.getvalue().encode("cp1252"), "software-list.csv")
    assert parsed.title == "Software list"
    assert parsed.text == (
        "Product: Ledgerly | Price, EUR: 58 | Remark: one; two, three\nProduct: Tidal | Price, EUR: 92"
    )


@given(
    st.lists(st.lists(st.sampled_from(["", "Name", "12", "2025-01-01", "long words here", "nan", "A:"]), max_size=4))
)
def test_blocks_obey_their_laws_for_any_grid(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    try:
        read(out.getvalue(), "any.csv")
    except DeskmateError as error:
        assert str(error) in {"it is empty", "it holds no text"}


# Mail


def test_a_mail_has_its_subject_people_text_and_the_names_of_attachments() -> None:
    parsed = read(
        b"From: =?utf-8?q?Jos=C3=A9?= <jose@x.example>\r\nTo: all@x.example\r\nDate: Fri, 19 Sep 2025 08:52:00 +0200\r\n"
        b"Subject: Re: Canteen\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
        b"--B\r\nContent-Type: multipart/alternative; boundary=A\r\n\r\n--A\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nThe caf=E9 closes at 13:30.\r\n\r\n> When does it close?\r\n"
        b"> Tell me.\r\n\r\n--A\r\nContent-Type: text/html\r\n\r\n<p>not this</p>\r\n--A--\r\n"
        b"--B\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=menu.pdf\r\n\r\nxx\r\n--B--\r\n",
        "mail.eml",
    )
    assert parsed.title == "Re: Canteen"
    assert parsed.text.split("\n\n") == [
        "Re: Canteen",
        "From: José <jose@x.example>\nTo: all@x.example\nDate: Fri, 19 Sep 2025 08:52:00 +0200",
        "The café closes at 13:30.",
        "> When does it close?\n> Tell me.",
        "Attachments: menu.pdf",
    ]


def test_a_mail_of_html_only_is_read() -> None:
    mail = b"Subject: Hi\nMIME-Version: 1.0\nMessage-ID: <1>\nContent-Type: text/html\n\n<p>Come <b>in</b></p><p hidden>x</p>"
    assert read(mail, "saved.txt").text.endswith("Come in")


# What is refused


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"", "a.md", "it is empty"),
        (b" \n\t ", "a.txt", "it is empty"),
        (b"\x00\x01\x02\x03" * 50, "a.md", "it is a binary file, not text"),
        (os.urandom(64) + b"\0" * 64, "a.html", "it is a binary file, not text"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "a.md", "it is a picture, which holds no text to read"),
        (b"{\\rtf1 hello}", "a.txt", "it is an RTF document; save it as docx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, "a.doc", "binary Office file or Outlook mail"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "a.docx",
            "it is password-protected; save a copy without a password",
        ),
        (b"plain text", "a.docx", "it is called .docx but is none"),
        (b"print('x')", "a.py", ".py is a format that is not read; what is read: md, txt"),
        (zipped({"a.txt": b"x"}), "a.zip", "it is a zip archive; unpack it"),
        (zipped({"mimetype": b"application/vnd.oasis.opendocument.text"}), "a.odt", "OpenDocument file; save it as docx"),
        (b"PK\x03\x04 and then rubbish", "a.docx", "it is damaged"),
        (docx(paragraph("x"))[:-40], "a.docx", "it is damaged"),
        (docx("<w:p><w:unclosed></w:p>"), "a.docx", "the document is damaged"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_a_plain_reason(data: bytes, name: str, reason: str) -> None:
    assert reason in refusal(data, name)


def test_a_zip_that_inflates_too_far_is_refused_before_it_does() -> None:
    bomb = docx(paragraph("x"), extra={"word/media/zeros.xml": b"\0" * 3_000_000})
    assert len(bomb) < 10_000
    assert "inflates to more than 1 MiB (max_inflated_mb)" in refusal(bomb, "a.docx", IngestSettings(max_inflated_mb=1))


def test_a_zip_that_lies_about_its_size_is_refused() -> None:
    honest = docx(paragraph("x" * 3_000_000))
    size = zipfile.ZipFile(io.BytesIO(honest)).getinfo("word/document.xml").file_size
    lie = honest.replace(size.to_bytes(4, "little"), (900).to_bytes(4, "little"))
    assert lie != honest
    assert "it is damaged" in refusal(lie, "a.docx", IngestSettings(max_inflated_mb=1))


def test_a_zip_of_too_many_entries_is_refused() -> None:
    many = docx(paragraph("x"), extra={f"x/{at}": b"" for at in range(50)})
    assert "entries, more than 40 (max_zip_entries)" in refusal(many, "a.docx", IngestSettings(max_zip_entries=40))


@pytest.mark.parametrize(
    "prolog",
    [
        '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<?xml version="1.0"?><!DOCTYPE d SYSTEM "file:///etc/passwd">',
    ],
    ids=["billion laughs", "external entity"],
)
def test_entities_in_an_office_file_are_refused(prolog: str) -> None:
    assert "declares a document type or entities" in refusal(docx(paragraph("x"), prolog), "a.docx")


def test_entities_in_an_unusual_encoding_are_refused_as_well() -> None:
    hidden = f'<?xml version="1.0" encoding="utf-16"?><!DOCTYPE d [<!ENTITY a "b">]><w:document {W}/>'.encode("utf-16")
    assert "declares a document type" in refusal(docx("", extra={"word/extra.xml": hidden}), "a.docx")
    assert "encoding utf-7" in refusal(docx(paragraph("x"), '<?xml version="1.0" encoding="utf-7"?>'), "a.docx")


def test_too_large_a_file_and_too_long_a_text_are_refused() -> None:
    assert "larger than 0.001 MiB (max_file_mb)" in refusal(b"x" * 2000, "a.txt", IngestSettings(max_file_mb=0.001))
    assert "longer than 0.001 MiB (max_text_mb)" in refusal(b"x " * 2000, "a.txt", IngestSettings(max_text_mb=0.001))


@pytest.mark.parametrize("name", ["отпуск.md", "休暇規程.md", "إجازة.md", "a b'c\"d.md", "Notes v1.2", "no-extension"])
def test_names_may_be_in_any_script(name: str) -> None:
    assert read("Just words.", name).title


@pytest.mark.parametrize("path", sorted((ROOT / "data/sample").rglob("*.*")), ids=lambda path: path.name)
def test_the_documents_that_come_with_deskmate_are_read(path: Path) -> None:
    if path.name != ".access":
        assert len(read(path.read_bytes(), path.name).text) > 1500


def test_importing_the_loader_imports_no_parser() -> None:
    heavy = {"bs4", "lxml", "pypdfium2", "mammoth", "pptx", "openpyxl", "markdown_it", "markitdown"}
    code = "import sys, ingest.load; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not heavy & set(loaded.split())
