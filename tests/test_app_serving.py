"""Which adapter answers for whom: promotion, the settings' fallback, names, access labels and stale documents."""

from pathlib import Path

import pytest
from adapters import bare

from app.answering.serving import Documents, Serving
from finetune.adapters.registry import Registry
from ingest.errors import DeskmateError
from ingest.scan import Known

HR = frozenset({"hr"})


def documents(name="gen-000001", **known):
    """`a="1"` is a document a.md with the hash 1 for everyone; `a=("1", "hr")` one for hr."""
    rows = {}
    for stem, value in known.items():
        sha256, group = value if isinstance(value, tuple) else (value, "everyone")
        path = Path(f"/docs/{stem}.md")
        rows[path] = Known(path, Path("/docs"), f"{stem}.md", sha256, frozenset({group}), True)
    return Documents(name, rows)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "adapters"


def serving(root, now=None, fallback="", policy="unless-deleted", named=""):
    return Serving(Registry(root), lambda: now or documents(), fallback, policy, named)


def test_nothing_serves_until_something_is_promoted_and_then_from_the_next_question_on(root):
    desk = serving(root)
    assert desk.adapter() is None
    assert "run deskmate tune" in desk.offer(frozenset()).reason
    one, two = bare(root), bare(root)
    assert desk.adapter() is None
    registry = Registry(root)
    for adapter in (one, two):
        registry.promote(adapter)
        assert desk.offer(frozenset()).adapter == adapter
    registry.rollback()
    assert desk.offer(frozenset()).adapter == one


def test_the_settings_adapter_serves_while_none_is_promoted(root, tmp_path):
    shipped = bare(tmp_path / "elsewhere", "shipped")
    own = bare(root)
    for reference in (str(shipped.folder), "house", "house/v1"):
        expected = own if reference.startswith("house") else shipped
        assert serving(root, fallback=reference).adapter() == expected
    Registry(root).promote(own)
    assert serving(root, fallback=str(shipped.folder)).adapter() == own


def test_a_name_goes_before_what_is_promoted(root, tmp_path):
    one, two = bare(root), bare(root)
    Registry(root).promote(two)
    assert serving(root, named="house/v1").adapter() == one
    shipped = bare(tmp_path / "elsewhere", "shipped")
    assert serving(root, named=str(shipped.folder)).offer(frozenset()).adapter == shipped


@pytest.mark.parametrize("where", ["fallback", "named"])
def test_an_adapter_that_is_not_there_is_a_clear_error(root, where):
    with pytest.raises(DeskmateError, match="there is no adapter 'data/none'"):
        serving(root, **{where: "data/none"}).adapter()


def test_only_those_cleared_for_every_training_document_are_served(root):
    Registry(root).promote(bare(root, access=(("everyone",), ("hr", "board"))))
    desk = serving(root)
    assert "may not read" in desk.offer(frozenset()).reason
    assert not desk.offer(frozenset({"it"})).asked_for
    assert desk.offer(HR).adapter
    assert serving(root, named="house").offer(frozenset()).asked_for


def test_a_document_that_was_closed_since_then_closes_the_adapter(root):
    Registry(root).promote(bare(root, documents={"a.md": "1", "b.md": "2"}))
    assert serving(root, documents(a="1", b="2")).offer(frozenset()).adapter
    for now in (documents(a="1", b=("2", "hr")), documents(a="1", b=("3", "hr")), documents(a="1", moved=("2", "hr"))):
        desk = serving(root, now)
        assert desk.offer(frozenset()).adapter is None
        assert desk.offer(HR).adapter


@pytest.mark.parametrize(
    ("policy", "fresh", "changed", "gone"),
    [("serve", True, True, True), ("unless-deleted", True, True, False), ("refuse", True, False, False)],
)
def test_stale_adapters_are_served_as_the_settings_say(root, policy, fresh, changed, gone):
    Registry(root).promote(bare(root, documents={"a.md": "1", "b.md": "2"}))
    states = [
        (documents(a="1", b="2"), fresh, ""),
        (documents(a="1", b="7"), changed, "stale: 1 changed of its training documents"),
        (documents(a="1"), gone, "stale: 1 gone of its training documents"),
    ]
    for now, served, mark in states:
        offer = serving(root, now, policy=policy).offer(frozenset())
        assert bool(offer.adapter) is served
        assert mark in (offer.stale if served else offer.reason)
        assert serving(root, now, policy=policy, named="house").offer(frozenset()).adapter


def test_a_new_generation_of_the_index_is_compared_anew(root):
    Registry(root).promote(bare(root, documents={"a.md": "1"}))
    now = [documents("gen-000001", a="1")]
    desk = Serving(Registry(root), lambda: now[0], "", "unless-deleted")
    assert desk.offer(frozenset()).adapter
    now[0] = documents("gen-000002")
    assert desk.offer(frozenset()).adapter is None


def test_a_card_that_was_replaced_is_read_again(root):
    adapter = bare(root)
    Registry(root).promote(adapter)
    desk = serving(root)
    assert desk.adapter() == adapter
    (adapter.folder / "card.json").write_text("{}")
    with pytest.raises(DeskmateError, match="cannot be used"):
        desk.adapter()


def test_an_asker_names_what_serves_and_with_leave_any_adapter_that_they_are_cleared_for(root):
    one, two, closed = bare(root), bare(root), bare(root, "closed", (("hr",),))
    Registry(root).promote(two)
    desk = serving(root)
    assert desk.choices(frozenset(), every=False) == [two]
    assert desk.choices(frozenset(), every=True) == [two, one]
    assert desk.choices(HR, every=True) == [two, closed, one]
    assert desk.choose("house/v2", frozenset(), every=False) == two
    assert desk.choose("house/v1", frozenset(), every=False) is None
    assert desk.choose("house/v1", frozenset(), every=True) == one
    assert desk.choose("closed/v1", frozenset(), every=True) is None
    assert desk.choose("closed/v1", HR, every=True) == closed
    assert desk.choose(str(one.folder), HR, every=True) is None, "no paths from outside"
    assert desk.decide(None, frozenset(), one).adapter == one


def test_an_asker_may_not_name_one_that_is_too_stale(root):
    gone = bare(root, documents={"a.md": "1"})
    assert serving(root, documents(a="1")).choose("house/v1", frozenset(), every=True) == gone
    assert serving(root, documents(b="2")).choose("house/v1", frozenset(), every=True) is None
