"""Which files there are, who may read them, and what changed."""

import os
from pathlib import Path

import pytest

from ingest.errors import DeskmateError
from ingest.scan import Known, Scan, compare, content_hash, scan

EVERYONE = frozenset({"everyone"})


def write(folder: Path, *names: str, text: str = "text") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def access(folder: Path, *groups: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".access").write_text("\n".join(groups))


def docs(found: Scan) -> list[str]:
    return [file.doc for file in found.files]


def labels(found: Scan) -> dict[str, set[str]]:
    return {file.doc: set(file.access) for file in found.files}


def known(found: Scan, readable: bool = True) -> dict[Path, Known]:
    """What the index would hold after an ingest of what was found."""
    return {
        file.path: Known(file.path, file.root, file.doc, content_hash(file.path), file.access, readable)
        for file in found.files
    }


# Names and kinds of files


def test_documents_are_named_by_their_path_below_the_folder_in_a_stable_order(tmp_path: Path) -> None:
    write(tmp_path, "b.md", "a/z.md", "a/b/c.txt", "README")
    found = scan([tmp_path], [])
    assert docs(found) == ["README", "b.md", "a/z.md", "a/b/c.txt"]
    assert all(file.root == tmp_path and file.access == EVERYONE for file in found.files)


def test_a_file_given_by_itself_is_named_by_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, "a/b.md", "a/c.md")
    assert docs(scan([tmp_path / "a" / "b.md"], [])) == ["b.md"]


def test_names_may_be_in_any_script(tmp_path: Path) -> None:
    names = ["Übersicht 2026.md", "политика.md", "休暇規程.md", "إجازة.md", "emoji 🏖️.md", "a'b\"c;d.md", "[x].md"]
    write(tmp_path, *names)
    assert sorted(docs(scan([tmp_path], []))) == sorted(names)


def test_a_name_that_is_no_unicode_is_refused_with_a_reason_and_can_be_stored(tmp_path: Path) -> None:
    write(tmp_path, "good.md")
    bad = os.fsencode(tmp_path) + b"/caf\xe9.md"
    with open(bad, "w") as file:
        file.write("text")
    os.makedirs(os.fsencode(tmp_path) + b"/d\xe9p\xf4t")
    with open(os.fsencode(tmp_path) + b"/d\xe9p\xf4t/a.md", "w") as file:
        file.write("text")
    os.symlink("/etc/hostname", os.fsencode(tmp_path) + b"/l\xefnk.md")
    found = scan([tmp_path], [])
    assert docs(found) == ["good.md"]
    refused = {entry.doc: entry.reason for entry in found.refused}
    assert set(refused) == {r"caf\xe9.md", r"d\xe9p\xf4t/a.md", r"l\xefnk.md"}
    assert "not valid Unicode; rename it" in refused[r"caf\xe9.md"]
    assert "leads out of the folder" in refused[r"l\xefnk.md"]
    for entry in found.refused:
        f"{entry.path}{entry.root}{entry.doc}".encode()


def test_a_given_folder_whose_name_is_no_unicode_is_an_error(tmp_path: Path) -> None:
    bad = os.fsencode(tmp_path) + b"/d\xe9p\xf4t"
    os.makedirs(bad)
    with pytest.raises(DeskmateError, match=r"d\\xe9p\\xf4t is not valid Unicode; rename it"):
        scan([Path(os.fsdecode(bad))], [])


def test_hidden_files_and_editors_lock_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, ".hidden.md", ".git/config.md", "~$report.docx", "seen.md", "sub/.secret/x.md")
    found = scan([tmp_path], [])
    assert docs(found) == ["seen.md"]
    assert not found.refused
    assert not found.skipped


def test_files_of_other_types_are_counted_by_extension(tmp_path: Path) -> None:
    write(tmp_path, "a.exe", "b.EXE", "c.zip", "d.MD", "e.Html", "no-extension")
    found = scan([tmp_path], [])
    assert found.skipped == {".exe": 2, ".zip": 1}
    assert sorted(docs(found)) == ["d.MD", "e.Html", "no-extension"]


def test_what_can_be_read_only_once_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(DeskmateError, match=r"pipe\.md is neither a folder nor a plain file"):
        scan([tmp_path / "pipe.md"], [])
    write(tmp_path, "a.md")
    assert docs(scan([tmp_path], [])) == ["a.md"]


# Links


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    write(folder, "real.md", "sub/deep.md")
    write(tmp_path, "outside.md", "elsewhere/secret.md")
    (folder / "out.md").symlink_to(tmp_path / "outside.md")
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "in.md").symlink_to(folder / "real.md")
    (folder / "loop").symlink_to(folder)
    found = scan([folder], [])
    assert docs(found) == ["real.md", "sub/deep.md"]
    assert {entry.doc for entry in found.refused} == {"out.md", "out"}
    assert {entry.reason for entry in found.refused} == {"a symbolic link that leads out of the folder"}


# Who may read


def test_everyone_may_read_unless_access_is_given(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    assert labels(scan([tmp_path], [])) == {"a.md": {"everyone"}}
    assert labels(scan([tmp_path], [], frozenset({"hr", "board"}))) == {"a.md": {"hr", "board"}}


def test_the_nearest_access_file_wins_over_those_above_and_over_the_command_line(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "hr/b.md", "hr/pay/c.md", "hr/open/d.md", "hr/open/e/f.md")
    access(tmp_path / "hr", "hr")
    access(tmp_path / "hr" / "open", "everyone")
    found = scan([tmp_path], [], frozenset({"staff"}))
    assert labels(found) == {
        "a.md": {"staff"},
        "hr/b.md": {"hr"},
        "hr/pay/c.md": {"hr"},
        "hr/open/d.md": {"everyone"},
        "hr/open/e/f.md": {"everyone"},
    }


def test_access_files_above_a_part_of_an_ingested_folder_hold_for_the_part(tmp_path: Path) -> None:
    write(tmp_path, "hr/pay/c.md")
    access(tmp_path / "hr", "hr")
    whole = known(scan([tmp_path], []))
    for part in ("hr/pay", "hr/pay/c.md"):
        assert labels(scan([tmp_path / part], whole.values())) == {"hr/pay/c.md": {"hr"}}


def test_an_access_file_may_have_comments_commas_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    (tmp_path / ".access").write_bytes("\ufeff# who\r\nhr  # people\r\n\r\nboard, führung\r\n".encode())
    assert labels(scan([tmp_path], [])) == {"a.md": {"hr", "board", "führung"}}


@pytest.mark.parametrize("content", [b"", b"\n# nobody\n", b" , ,\n", b"\xff\xfe\x00h", b"\x80\x81"])
def test_an_access_file_that_names_nobody_or_is_no_text_is_an_error(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "sub/a.md")
    (tmp_path / "sub" / ".access").write_bytes(content)
    with pytest.raises(DeskmateError, match=r"sub/\.access (names no group|cannot be read)"):
        scan([tmp_path], [])


def test_an_access_file_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".access").mkdir()
    with pytest.raises(DeskmateError, match=r"\.access cannot be read .*decides who may see"):
        scan([tmp_path], [])


# Roots and missing paths


def test_a_part_of_an_ingested_folder_keeps_the_names_of_its_documents(tmp_path: Path) -> None:
    write(tmp_path, "a/b.md", "c.md")
    whole = known(scan([tmp_path], []))
    assert docs(scan([tmp_path / "a"], whole.values())) == ["a/b.md"]
    assert docs(scan([tmp_path / "a" / "b.md"], whole.values())) == ["a/b.md"]


def test_paths_that_overlap_find_every_file_once_under_the_outer_name(tmp_path: Path) -> None:
    write(tmp_path, "a/b.md", "c.md")
    for paths in ([tmp_path, tmp_path / "a"], [tmp_path / "a" / "b.md", tmp_path / "a", tmp_path, tmp_path]):
        assert sorted(docs(scan(paths, []))) == ["a/b.md", "c.md"]


def test_a_path_that_never_was_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeskmateError, match=r"there is no file or folder .*nothing; check the path"):
        scan([tmp_path / "nothing"], [])


def test_a_path_that_was_ingested_and_has_vanished_means_that_its_documents_are_gone(tmp_path: Path) -> None:
    write(tmp_path, "a/b.md", "c.md")
    index = known(scan([tmp_path], []))
    (tmp_path / "a" / "b.md").unlink()
    for path in ("a/b.md", "a"):
        if path == "a":
            (tmp_path / "a").rmdir()
        found = scan([tmp_path / path], index.values())
        assert [entry.doc for entry in compare(found, index).gone] == ["a/b.md"]


def test_two_files_of_one_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, "x/guide.md", "y/guide.md")
    with pytest.raises(DeskmateError, match=r"both be called 'guide\.md'; ingest the folder above"):
        scan([tmp_path / "x", tmp_path / "y"], [])
    first = known(scan([tmp_path / "x"], []))
    with pytest.raises(DeskmateError, match=r"x/guide\.md and .*y/guide\.md would both"):
        scan([tmp_path / "y"], first.values())


# What changed


def test_new_changed_unchanged_and_gone_are_told_apart_by_content(tmp_path: Path) -> None:
    write(tmp_path, "same.md", "touched.md", "changed.md", "gone.md")
    index = known(scan([tmp_path], []))
    os.utime(tmp_path / "touched.md", (1, 1))
    write(tmp_path, "changed.md", text="TEXT")
    write(tmp_path, "new.md")
    (tmp_path / "gone.md").unlink()
    changes = compare(scan([tmp_path], index.values()), index)
    assert [file.doc for file in changes.new] == ["new.md"]
    assert [file.doc for file in changes.changed] == ["changed.md"]
    assert [entry.doc for entry in changes.gone] == ["gone.md"]
    assert changes.unchanged == 2


def test_other_readers_make_a_document_changed(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    index = known(scan([tmp_path], []))
    changes = compare(scan([tmp_path], index.values(), frozenset({"hr"})), index)
    assert [file.doc for file in changes.changed] == ["a.md"]


def test_what_lies_outside_the_given_paths_is_never_gone(tmp_path: Path) -> None:
    write(tmp_path, "a/x.md", "ab/y.md")
    index = known(scan([tmp_path], []))
    (tmp_path / "ab" / "y.md").unlink()
    assert compare(scan([tmp_path / "a"], index.values()), index).gone == ()
    assert [entry.doc for entry in compare(scan([tmp_path], index.values()), index).gone] == ["ab/y.md"]


def test_files_to_be_read_again_count_as_changed(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.md")
    index = known(scan([tmp_path], []))
    changes = compare(scan([tmp_path], index.values()), index, {tmp_path / "b.md"})
    assert [file.doc for file in changes.changed] == ["b.md"]
    assert changes.unchanged == 1


def test_a_folder_that_cannot_be_listed_is_refused_with_the_reason(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path, "a.md", "locked/b.md")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = scan([tmp_path], [])
    assert docs(found) == ["a.md"]
    assert [(entry.doc, entry.reason) for entry in found.refused] == [
        ("locked", "the folder cannot be read: Permission denied")
    ]
