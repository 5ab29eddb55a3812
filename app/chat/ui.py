"""The help-desk chat as Gradio Blocks: the components and their wires. What happens is `app.chat.conversation`.

The transcript is one `gr.HTML` whose template never changes and whose value is a patch. `gr.Chatbot` was not taken: it
renders through Markdown and a sanitiser that know no citation buttons, sends every turn again with each word, and
copies and edits HTML instead of words. Here Python escapes and renders each piece and `static/chat.js` puts it into its
place. What needs no stream, such as the list of conversations, goes by plain requests instead (`app.chat.routes`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr  # noqa: TID253  # the leaf that wraps it: `app.cli` imports this module only to serve

from app.answering.modes import Mode
from app.chat.conversation import Conversation
from app.chat.session import Asked, Patch, Session, Visit
from app.web import frame, pages
from app.who import person_of

# System fonts only: Gradio's own themes ask Google for theirs.
_SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

_COLOURS = {
    "body_background_fill": "paper",
    "body_text_color": "ink",
    "body_text_color_subdued": "muted",
    "background_fill_primary": "card",
    "background_fill_secondary": "sunk",
    "border_color_primary": "line",
    "color_accent": "accent",
    "color_accent_soft": "accent-soft",
    "input_background_fill": "card",
    "input_border_color": "line",
    "input_placeholder_color": "muted",
    "block_background_fill": "paper",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent-strong",
    "button_primary_text_color": "on-accent",
    "button_secondary_background_fill": "card",
    "button_secondary_background_fill_hover": "sunk",
    "button_secondary_text_color": "ink",
}
"""Gradio's colours by the names of ours, which `static/chat.css` defines once for light and dark."""

_DARKLESS = {"color_accent"}
"""Those that a Gradio theme has once, not twice."""


def theme() -> gr.themes.Base:
    """Gradio's theme in our colours and the system's fonts."""
    light = {name: f"var(--dm-{ours})" for name, ours in _COLOURS.items()}
    dark = {f"{name}_dark": value for name, value in light.items() if name not in _DARKLESS}
    return gr.themes.Base(font=list(_SANS), font_mono=list(_MONO)).set(**light, **dark)


_AT_ONCE: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
"""For every event: none waits in Gradio's line. What may be computed at the same time is the conversation's to say."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """The components that the wires run between."""

    session: gr.State
    transcript: gr.HTML
    question: gr.Textbox
    mode: gr.Radio
    stop: gr.Button


def build_chat(talk: Conversation, title: str, *, reports: bool = False) -> gr.Blocks:
    """Build the chat. It needs the files of `app/static` on its page; `app.server.create_app` puts them there.

    Args:
        talk: what happens.
        title: what the chat is called.
        reports: whether the bar links to `/reports`.
    """
    blocks = gr.Blocks(title=title, analytics_enabled=False, fill_width=True)
    with blocks:
        parts = _lay_out(talk, frame.header_html(title, reports))
        _wire_asking(talk, parts)
        _wire_the_rest(talk, parts)

        def left(request: gr.Request) -> None:
            talk.left(str(request.session_hash))

        def choice(request: gr.Request) -> gr.Radio:
            return _choice(talk, _visit(request).person.groups)

        blocks.load(choice, outputs=[parts.mode], **_AT_ONCE)  # a promotion since the start counts
        blocks.unload(left)
    # The queue's own limit never bites: the conversation says in words that too many are waiting.
    blocks.queue(max_size=10 * (talk.limits.at_once + talk.limits.waiting), api_open=False)
    return blocks


def _lay_out(talk: Conversation, bar: str) -> _Parts:
    # Turns are counted from the time of the start: a page that outlives a restart has older turns with other numbers.
    session = gr.State(Session(asked=int(time.time())))
    with gr.Column(elem_id="dm-app"):
        _html("dm-top", bar, "bar")
        _html("dm-past", frame.PAST, "past")
        transcript = gr.HTML(
            talk.welcome(),  # a value, no function: a page that asks at once would race with its load event
            html_template=frame.TRANSCRIPT,
            js_on_load="deskmate.transcript(element, props, watch, trigger)",
            apply_default_css=False,
            elem_id="dm-transcript",
        )
        with gr.Column(elem_id="dm-composer"):
            _html("dm-lines", frame.COMPOSER, "lines")
            question = gr.Textbox(
                placeholder="Ask a question",
                label="Your question",
                container=False,
                lines=1,
                max_lines=8,
                interactive=True,  # no event takes it as input: the page sends what stands in it
                elem_id="dm-question",
            )
            with gr.Row(elem_id="dm-controls"):
                mode = _choice(talk)
                gr.Button("Ask", variant="primary", elem_id="dm-send")
                stop = gr.Button("Stop", elem_id="dm-stop")
            _html("dm-small", frame.SMALL_PRINT, "note")
        _html("dm-side", frame.PANEL, "panel")
    return _Parts(session, transcript, question, mode, stop)


def _choice(talk: Conversation, groups: frozenset[str] = frozenset()) -> gr.Radio:
    """The chooser, with what somebody may choose now."""
    modes = talk.modes(groups)
    return gr.Radio(
        [(pages.MODES[mode].label, mode.value) for mode in modes],
        value=modes[0].value,
        label="How to answer",
        container=False,
        elem_id="dm-mode",
    )


def _html(name: str, template: str, script: str) -> None:
    """A fixed piece of the page that `static/chat.js` brings to life."""
    # The template is JavaScript to Gradio; what settings put into it must stay text.
    safe = template.replace("\\", "&#92;").replace("`", "&#96;").replace("$", "&#36;").replace("{", "&#123;")
    gr.HTML(html_template=safe, js_on_load=f"deskmate.{script}(element)", apply_default_css=False, elem_id=name)


def _wire_asking(talk: Conversation, parts: _Parts) -> None:
    """A question comes from the page with the conversation that it shows; the answer goes in patches, all in one event.

    One event, because a second one that begins while Gradio's client closes the stream of the first can be lost.
    """

    def ask(mode: str, session: Session, event: gr.EventData, request: gr.Request) -> Iterator[tuple[Patch, Any]]:
        visit, sent = _visit(request), _sent(event)
        question, conversation = str(sent.get("question", "")), str(sent.get("conversation", ""))
        patch = talk.begin(session, visit, Asked(question, Mode(mode), conversation, bool(sent.get("again"))))
        took = patch.get("taken") or patch.get("heard")
        try:
            yield patch, "" if took and sent.get("typed") else gr.skip()
        except GeneratorExit:  # the page is gone: what was taken for it is never asked for
            talk.left(visit.tab)
            raise
        if patch.get("taken"):
            for patch in talk.answer(session, visit):
                yield patch, gr.skip()

    parts.transcript.submit(
        ask,
        inputs=[parts.mode, parts.session],
        outputs=[parts.transcript, parts.question],
        trigger_mode="multiple",  # a second Enter gets its hint
        **_AT_ONCE,
    )


def _wire_the_rest(talk: Conversation, parts: _Parts) -> None:
    """Stop, edit, new chat, and an earlier one."""

    def edit(session: Session, event: gr.EventData, request: gr.Request) -> tuple[Patch, Any]:
        patch, question = talk.edit(session, _visit(request), str(_sent(event).get("conversation", "")))
        return patch, gr.skip() if question is None else question

    def unedit(session: Session) -> tuple[Patch, str]:
        return talk.unedit(session), ""

    def open_(session: Session, event: gr.EventData, request: gr.Request) -> Patch:
        return talk.open(session, _visit(request), str(_sent(event).get("conversation", "")))

    page, session = parts.transcript, [parts.session]
    both = [page, parts.question]
    parts.stop.click(talk.stop, inputs=session, **_AT_ONCE)
    page.select(_nothing, **_AT_ONCE)
    page.edit(edit, inputs=session, outputs=both, **_AT_ONCE)
    page.undo(unedit, inputs=session, outputs=both, **_AT_ONCE)
    page.clear(talk.fresh, inputs=session, outputs=[page], **_AT_ONCE)
    page.expand(open_, inputs=session, outputs=[page], **_AT_ONCE)


def _nothing() -> None:
    """The page asks for this when it has heard nothing for a while: it makes Gradio's client listen again.

    Its stream closes when no event is left. An event sent in that moment runs here unheard until the next one.
    """


def _visit(request: gr.Request) -> Visit:
    """Who asks. What they may read comes from their session alone, never from the page."""
    assert request.request is not None  # only a call that comes by no request at all has none
    return Visit(person_of(request.request), str(request.session_hash))


def _sent(event: gr.EventData) -> dict[str, Any]:
    return event._data if isinstance(event._data, dict) else {}
