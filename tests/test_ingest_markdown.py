"""Markdown as people read it: blocks, offsets, inline markup, and what site generators add."""

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import DeskmateError
from ingest.formats.markdown import parse_markdown
from ingest.normalise import normalise
from ingest.records import BlockKind, Parsed
from ingest.settings import IngestSettings

SETTINGS = IngestSettings()


def read(text: str, name: str = "page.md") -> Parsed:
    return parse_markdown(dedent(text), name, SETTINGS)


def blocks(parsed: Parsed) -> list[tuple[str, str]]:
    return [(block.kind.value, parsed.text[block.start : block.end]) for block in parsed.blocks]


def check_laws(parsed: Parsed) -> None:
    """Blocks are ordered, do not overlap, lie inside the text and cover all of it but white space."""
    end = 0
    for block in parsed.blocks:
        assert end <= block.start < block.end <= len(parsed.text)
        assert not parsed.text[end : block.start].strip()
        assert parsed.text[block.start : block.end].strip() == parsed.text[block.start : block.end]
        assert (block.kind is BlockKind.HEADING) == (1 <= block.level <= 6)
        end = block.end
    assert not parsed.text[end:].strip()
    assert normalise(parsed.text) == parsed.text


LINES = st.sampled_from(
    [
        *(
            "# Title",
            "Setext\n===",
            "plain words",
            "**bold** _it_ `code`",
            "- item",
            "  - deeper",
            "1. first",
            "10) ten",
        ),
        *(
            "| a | b |",
            "|---|---|",
            "| 1 | 2 |",
            "```",
            "    indented",
            "> quote",
            "<div hidden>x</div>",
            "<p>html</p>",
        ),
        *(
            "",
            "",
            "[link](http://x.example)",
            "![alt](x.png)",
            "{% alert %}",
            "{% endalert %}",
            "[^1]: note",
            "---",
            "***",
        ),
        *(
            "<table><tr><td>cell</td></tr></table>",
            "\u200b",
            "a\u00adb",
            "{{ x }}",
            "::: note",
            '!!! tip "T"',
            "ﬁ <br> x",
        ),
    ]
)


@given(st.lists(LINES | st.text(max_size=30), max_size=25))
def test_blocks_obey_their_laws_for_any_markdown(lines: list[str]) -> None:
    try:
        parsed = parse_markdown("\n".join(lines), "any.md", SETTINGS)
    except DeskmateError:  # no text: nothing to check
        return
    check_laws(parsed)


def test_a_page_becomes_headings_paragraphs_lists_tables_and_code() -> None:
    parsed = read(
        """\
        # Expenses

        Keep your
        receipts.

        Limits
        ------

        | Meal | Limit |
        |:-----|------:|
        | Lunch | **20** EUR |
        | Dinner | 35 EUR<br>with wine |

        3. Ask
        4. Wait
           - not long
           - a week

        ```sh
        ledgerly --help
          indented
        ```
        """
    )
    assert blocks(parsed) == [
        ("heading", "Expenses"),
        ("paragraph", "Keep your receipts."),
        ("heading", "Limits"),
        ("table", "Meal | Limit\nLunch | 20 EUR\nDinner | 35 EUR; with wine"),
        ("list", "3. Ask\n4. Wait\n  - not long\n  - a week"),
        ("code", "ledgerly --help\n  indented"),
    ]
    assert [block.level for block in parsed.blocks if block.level] == [1, 2]
    assert parsed.title == "Expenses"
    check_laws(parsed)


def test_front_matter_goes_and_gives_the_title() -> None:
    parsed = read('---\ntitle: "Leave: the \\"rules\\""\ntags:\n  - hr\n---\n# Heading\nText.\n')
    assert parsed.title == 'Leave: the "rules"'
    assert parsed.text == "Heading\n\nText."


@pytest.mark.parametrize(
    ("front", "title"),
    [
        ("title: Logging in &amp; out", "Logging in & out"),
        ("title: 'It''s'  # remark", "It's"),
        ("title: >-\n  Two\n  lines", "Two lines"),
        ("Title: Capital", "Capital"),
    ],
)
def test_titles_of_front_matter_are_read_as_yaml_means_them(front: str, title: str) -> None:
    assert read(f"---\n{front}\n---\nText\n").title == title


def test_a_rule_at_the_top_is_not_front_matter() -> None:
    assert "Dear all, this stays" in read("---\nDear all, this stays\n---\nText\n").text


def test_without_title_and_heading_the_file_name_is_the_title() -> None:
    assert read("Just text.", "annual-leave_2025.md").title == "Annual leave 2025"


def test_inline_markup_leaves_the_words() -> None:
    parsed = read(
        "See [the *guide*](https://x.example/a_b) or <https://y.example/q?a=1> or https://z.example/under_score_d, "
        "**now**. ![A map](map.png) `x_y` ~~old~~ new\\* [mail us](mailto:help@x.example) <me@x.example> "
        "[call](tel:+31105550149)"
    )
    assert parsed.text == (
        "See the guide or https://y.example/q?a=1 or https://z.example/under_score_d, now. A map x_y new* "
        "mail us (help@x.example) me@x.example call (+31105550149)"
    )


def test_liquid_tags_go_but_the_words_they_show_stay() -> None:
    parsed = read(
        """\
        {% comment %}
        hidden
        {% endcomment %}
        {% alert "Heads up!", "warning" %}
          Read [the page]({% page "a/b c" %}) in {% slack_channel "parents" %}.
        {% endalert %}

        {% include "x.html" steps: a.b %}
        - {% slack_channel
            "dev" "the dev channel" %}
        - [form]({% download "f.pdf" %}) for {{ name }}
        - [home]({{ site.base }}/x)
        """
    )
    assert parsed.text == (
        "Heads up!\n\nRead the page in #parents.\n\n- the dev channel\n- form for {{ name }}\n- home"
    )


def test_tags_in_code_are_code() -> None:
    parsed = read('Use `{{ value }}`:\n\n```\n{% raw %}{% page "x" %}{% endraw %}\nimage: {{ .Values.tag }}\n```\n')
    assert blocks(parsed)[1] == ("code", '{% page "x" %}\nimage: {{ .Values.tag }}')


def test_html_in_markdown_is_read_and_what_is_hidden_stays_hidden() -> None:
    parsed = read(
        """\
        Visible <span style="display:none">secret one</span>text with a <kbd>Key</kbd> and <your name>.

        <div aria-hidden="true">secret two</div>
        <!-- secret three -->

        <table>
          <tr><th>Site</th><th>Desk</th></tr>

          <tr><td>Porto</td><td>4</td></tr>
        </table>
        """
    )
    assert "secret" not in parsed.text
    assert blocks(parsed) == [
        ("paragraph", "Visible text with a Key and <your name>."),
        ("table", "Site | Desk\nPorto | 4"),
    ]


def test_admonitions_alerts_footnotes_and_wiki_links_read_well() -> None:
    parsed = read(
        """\
        ## Rules {#rules .wide}

        !!! warning "Careful"
            Do not.

        :::tip Good to know
        Do.
        :::

        > [!NOTE]
        > Remember[^1].

        See [[Leave policy|the policy]] and [[Travel]].

        [^1]: Source: the handbook.
        """
    )
    assert parsed.text.split("\n\n") == [
        *("Rules", "Careful:", "Do not.", "Good to know: Do.", "Note: Remember."),
        *("See the policy and Travel.", "Note 1: Source: the handbook."),
    ]


def test_items_with_several_paragraphs_and_code_stay_one_list() -> None:
    parsed = read("1. First\n\n   more\n\n   ```\n   run it\n   ```\n2. Second\n")
    assert blocks(parsed) == [("list", "1. First\n  more\n  run it\n2. Second")]


def test_a_bold_line_alone_acts_as_a_heading() -> None:
    parsed = read("## Travel\n\n**May I fly?**\n\nYes.\n\n**Never alone.**\n\n**Note**: no.\n")
    assert [(block.kind.value, block.level) for block in parsed.blocks] == [
        *(("heading", 2), ("heading", 3), ("paragraph", 0), ("paragraph", 0), ("paragraph", 0))
    ]


def test_lists_nested_a_thousand_deep_do_no_harm() -> None:
    check_laws(read("\n".join("  " * depth + "- x" for depth in range(1000))))


def test_a_page_of_front_matter_only_holds_no_text() -> None:
    with pytest.raises(DeskmateError, match="holds no text"):
        read("---\ntitle: Moved\nredirect_to: /x\n---\n")


def test_too_long_a_text_is_refused() -> None:
    with pytest.raises(DeskmateError, match=r"longer than 0\.01 MiB \(max_text_mb\)"):
        parse_markdown("word " * 10_000, "long.md", IngestSettings(max_text_mb=0.01))
