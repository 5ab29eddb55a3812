"""Uploaded documents: names that cannot be trusted, types told by content, and nothing that appears half."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from office import POLICIES, Office

from app.loop.uploads import LONGEST_NAME, TakenError, Uploads, folder_name, readers, safe_name
from app.settings import UploadSettings
from ingest.errors import DeskmateError
from ingest.scan import READ, read_access
from ingest.settings import IngestSettings


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "home" / "uploads", UploadSettings(max_file_mb=1, max_total_mb=2), IngestSettings())


def take(uploads: Uploads, name: str, data: bytes | str = "Some text.", *groups: str, replace: bool = False):
    source = io.BytesIO(data if isinstance(data, bytes) else data.encode())
    return uploads.take(name, groups or ("everyone",), source, replace)


def files(uploads: Uploads) -> list[str]:
    paths = uploads.folder.rglob("*")
    return sorted(path.relative_to(uploads.folder).as_posix() for path in paths if path.is_file())


@given(st.text(max_size=300), st.sampled_from(sorted(READ)))
def test_a_safe_name_is_one_plain_file_name_and_stays_as_it_is(name: str, suffix: str) -> None:
    try:
        safe = safe_name(name + suffix)
    except DeskmateError:
        return
    assert not {"/", "\\", "\0", "\n"} & set(safe)
    assert not safe.startswith((".", "~"))
    assert len(safe.encode()) <= LONGEST_NAME
    assert Path(safe).suffix.lower() in READ
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\ann\\Leave 2026.pdf", "Leave 2026.pdf"),
        ("a\0b\u202e.md", "ab.md"),
        (".access.txt", "access.txt"),
        ('a<b>:"c.md', "a_b___c.md"),
        ("ü" * 200 + ".docx", "ü" * 87 + ".docx"),
    ],
)
def test_names_from_browsers_become_names_of_files(sent: str, kept: str) -> None:
    assert safe_name(sent) == kept


@pytest.mark.parametrize("name", ["", "..", ".access", "run.exe", "notes", "/", ".md"])
def test_a_name_that_no_document_has_is_refused(name: str) -> None:
    with pytest.raises(DeskmateError, match=r"without a name|is not read"):
        safe_name(name)


@given(st.sets(st.text(min_size=1, max_size=12), min_size=1, max_size=4), st.sets(st.text(min_size=1, max_size=12)))
def test_other_groups_are_another_folder(one: set[str], other: set[str]) -> None:
    for groups in (one, other):
        assert "/" not in folder_name(frozenset(groups))
    if one != other:
        assert folder_name(frozenset(one)) != folder_name(frozenset(other))


def test_everyone_is_wider_than_any_group_and_nobody_is_no_choice() -> None:
    assert readers(["hr", "everyone"]) == {"everyone"}
    with pytest.raises(DeskmateError, match="choose who may read it"):
        readers([])
    with pytest.raises(DeskmateError, match="cannot be named"):
        readers(["hr, it"])


def test_a_file_lies_beside_the_names_of_who_may_read_it(uploads: Uploads) -> None:
    one = take(uploads, "bonus.md", "# Bonus\n\n4 percent.", "managers", "hr")
    assert files(uploads) == ["uploaded/hr+managers/.access", "uploaded/hr+managers/bonus.md"]
    assert read_access(one.path.parent / ".access") == {"hr", "managers"}
    assert uploads.all() == [one]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.md", b"", "a.md is empty"),
        ("a.pdf", b"just words", "it is called .pdf but is none"),
        ("a.txt", b"\x7fELF\x02\x01", "it is a program"),
        ("a.md", b"\x89PNG\r\n", "it is a picture"),
        ("a.txt", b"PK\x03\x04" + bytes(40), "it is a zip archive"),
        ("a.docx", b"PK\x03\x04" + bytes(40), "it is damaged"),
        ("a.txt", b"x" * (1 << 20) + b"y", "a.txt is larger than 1 MiB"),
    ],
)
def test_what_is_refused_is_named_and_leaves_nothing(uploads: Uploads, name: str, data: bytes, why: str) -> None:
    with pytest.raises(DeskmateError, match=why):
        take(uploads, name, data)
    assert files(uploads) == ["uploaded/everyone/.access"]


def test_an_office_file_is_taken(uploads: Uploads) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    assert take(uploads, "a.docx", made.getvalue()).size == len(made.getvalue())


def test_an_upload_that_breaks_off_leaves_nothing(uploads: Uploads) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            if self.tell_count:
                raise OSError(5, "the line is dead")
            self.tell_count = 1
            return b"half of it"

        tell_count = 0

    with pytest.raises(DeskmateError, match="the line is dead"):
        uploads.take("a.md", ["everyone"], Broken())  # type: ignore[arg-type]
    assert files(uploads) == ["uploaded/everyone/.access"]


def test_all_files_together_have_a_limit(uploads: Uploads) -> None:
    take(uploads, "a.txt", "a" * (1 << 20))
    take(uploads, "b.txt", "b" * (1 << 20))
    with pytest.raises(DeskmateError, match="uploads may take 2 MiB together"):
        take(uploads, "c.txt", "c")


def test_nobodys_document_is_replaced_without_asking(uploads: Uploads) -> None:
    first = take(uploads, "a.md", "first")
    with pytest.raises(TakenError, match=r"a\.md for these readers already"):
        take(uploads, "a.md", "second")
    assert first.path.read_text() == "first"
    take(uploads, "a.md", "for some", "hr")  # other readers: another document
    take(uploads, "a.md", "second", replace=True)
    assert first.path.read_text() == "second"


def test_only_what_was_uploaded_can_be_deleted(uploads: Uploads, tmp_path: Path) -> None:
    one = take(uploads, "a.md")
    elsewhere = tmp_path / "b.md"
    elsewhere.write_text("b")
    for path in (elsewhere, one.path.parent / ".access", one.path.parent / ".." / "everyone" / "a.md"):
        assert not uploads.holds(path)
        with pytest.raises(DeskmateError, match="was not uploaded"):
            uploads.remove(path)
    assert uploads.holds(one.path)
    uploads.remove(one.path)
    uploads.remove(one.path)  # a second click
    assert uploads.all() == []


def test_uploads_are_one_more_folder_beside_what_was_ingested(office: Office) -> None:
    office.write(POLICIES)
    office.ingest()
    uploads = Uploads(office.workspace.root / "uploads", UploadSettings(), office.settings)
    one = take(uploads, "leave.md", "# Parental leave\n\nParental leave is 16 weeks.", "hr")
    summary = office.ingest(uploads.folder)
    assert (summary.new, summary.gone, summary.documents) == (("uploaded/hr/leave.md",), (), 5)
    assert "uploaded/hr/leave.md" in office.found("parental leave", "hr")
    assert "uploaded/hr/leave.md" not in office.found("parental leave")
    known = office.store.open().table.known()
    assert uploads.holds(next(path for path, entry in known.items() if entry.doc == "uploaded/hr/leave.md"))
    uploads.remove(one.path)
    assert office.ingest(uploads.folder).gone == ("uploaded/hr/leave.md",)
    assert "hr/leave.md" in office.found("annual leave")
