"""The help-desk chat as Gradio Blocks: the components and their wires. What happens is `app.conversation`.

The transcript is one `gr.HTML` whose template never changes and whose value is a patch. `gr.Chatbot` was not taken: it
renders through Markdown and a sanitiser that know no citation buttons, sends every turn again with each word, and
copies and edits HTML instead of words. Here Python escapes and renders each piece and `static/chat.js` puts it into its
place. The source panel opens without a request, because the texts around the citations come with the answer.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr  # noqa: TID253  # the leaf that wraps it: `app.cli` imports this module only to serve

from app import frame, pages
from app.conversation import Conversation, Desk, Limits
from app.modes import Mode
from app.session import Patch, Session

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
    top: gr.HTML
    transcript: gr.HTML
    lines: gr.HTML
    question: gr.Textbox
    mode: gr.Radio
    send: gr.Button
    stop: gr.Button


def build_chat(
    desk: Desk,
    *,
    title: str,
    examples: Sequence[str],
    groups: frozenset[str],
    limits: Limits | None = None,
    reports: bool = False,
) -> gr.Blocks:
    """Build the chat. It needs the files of `app/static` on its page; `app.api.create_app` puts them there.

    Args:
        desk: answers, and gives documents.
        title: what the chat is called.
        examples: questions to start with.
        groups: what the askers may read besides what is for everyone.
        limits: how much is computed at the same time.
        reports: whether the bar links to `/reports`.
    """
    limits = limits or Limits()
    talk = Conversation(desk, title, examples, groups, limits)
    blocks = gr.Blocks(title=title, analytics_enabled=False, fill_width=True)
    with blocks:
        parts = _lay_out(talk, frame.header_html(title, reports))
        _wire_asking(talk, parts)
        _wire_the_rest(talk, parts)

        def left(request: gr.Request) -> None:
            talk.left(_tab(request))

        blocks.load(lambda: _choice(talk), outputs=[parts.mode], **_AT_ONCE)  # a promotion since the start counts
        blocks.unload(left)
    # The queue's own limit never bites: the conversation says in words that too many are waiting.
    blocks.queue(max_size=10 * (limits.at_once + limits.waiting), api_open=False)
    return blocks


def _lay_out(talk: Conversation, bar: str) -> _Parts:
    def whole(place: dict[str, Any]) -> str:
        return talk.whole(str(place.get("doc", "")), int(place.get("start", 0)), int(place.get("end", 0)))

    # Turns are counted from the time of the start: a page that outlives a restart has older turns with other numbers.
    session = gr.State(Session(asked=int(time.time())))
    with gr.Column(elem_id="dm-app"):
        top = _html("dm-top", bar, "bar")
        transcript = gr.HTML(
            talk.welcome(),  # a value, no function: a page that asks at once would race with its load event
            html_template=frame.TRANSCRIPT,
            js_on_load="deskmate.transcript(element, props, watch, trigger)",
            apply_default_css=False,
            elem_id="dm-transcript",
        )
        with gr.Column(elem_id="dm-composer"):
            lines = _html("dm-lines", frame.COMPOSER, "lines")
            question = gr.Textbox(
                placeholder="Ask a question",
                label="Your question",
                container=False,
                lines=1,
                max_lines=8,
                elem_id="dm-question",
            )
            with gr.Row(elem_id="dm-controls"):
                mode = _choice(talk)
                send = gr.Button("Ask", variant="primary", elem_id="dm-send")
                stop = gr.Button("Stop", elem_id="dm-stop")
            _html("dm-small", frame.SMALL_PRINT, "note")
        gr.HTML(
            html_template=frame.PANEL,
            js_on_load="deskmate.panel(element, server)",
            apply_default_css=False,
            elem_id="dm-side",
            server_functions=[whole],
        )
    return _Parts(session, top, transcript, lines, question, mode, send, stop)


def _choice(talk: Conversation) -> gr.Radio:
    """The chooser, with what may be chosen now."""
    modes = talk.modes()
    return gr.Radio(
        [(pages.MODES[mode].label, mode.value) for mode in modes],
        value=modes[0].value,
        label="How to answer",
        container=False,
        elem_id="dm-mode",
    )


def _html(name: str, template: str, script: str) -> gr.HTML:
    """A fixed piece of the page that `static/chat.js` brings to life."""
    # The template is JavaScript to Gradio; what settings put into it must stay text.
    safe = template.replace("\\", "&#92;").replace("`", "&#96;").replace("$", "&#36;").replace("{", "&#123;")
    return gr.HTML(
        html_template=safe, js_on_load=f"deskmate.{script}(element, trigger)", apply_default_css=False, elem_id=name
    )


def _wire_asking(talk: Conversation, parts: _Parts) -> None:
    """A question goes in by Enter, the button, a starter or Retry; the answer comes in patches, all in one event.

    One event, because a second one that begins while Gradio's client closes the stream of the first can be lost.
    """

    def ask(
        question: str, mode: str, session: Session, event: gr.EventData, request: gr.Request
    ) -> Iterator[tuple[Patch, Any]]:
        sent = event._data if isinstance(event._data, dict) else {}
        starter, again = sent.get("question"), bool(sent.get("again"))
        patch = talk.begin(session, str(starter or question), Mode(mode), _tab(request), again)
        typed = patch.get("taken") and not starter and not again
        yield patch, "" if typed else gr.skip()
        if patch.get("taken"):
            for patch in talk.answer(session, _tab(request)):
                yield patch, gr.skip()

    gr.on(
        [parts.question.submit, parts.send.click, parts.transcript.submit],
        ask,
        inputs=[parts.question, parts.mode, parts.session],
        outputs=[parts.transcript, parts.question],
        trigger_mode="multiple",  # a second Enter gets its hint
        **_AT_ONCE,
    )


def _wire_the_rest(talk: Conversation, parts: _Parts) -> None:
    """Stop, edit and new chat."""

    def edit(session: Session) -> tuple[Patch, Any]:
        patch, question = talk.edit(session)
        return patch, gr.skip() if question is None else question

    def keep(session: Session) -> tuple[Patch, str]:
        return talk.keep(session), ""

    both = [parts.transcript, parts.question]
    parts.stop.click(talk.stop, inputs=[parts.session], **_AT_ONCE)
    parts.transcript.select(_nothing, **_AT_ONCE)
    parts.transcript.edit(edit, inputs=[parts.session], outputs=both, **_AT_ONCE)
    parts.lines.clear(keep, inputs=[parts.session], outputs=both, **_AT_ONCE)
    parts.top.clear(talk.fresh, inputs=[parts.session], outputs=[parts.transcript], **_AT_ONCE)


def _nothing() -> None:
    """The page asks for this when it has heard nothing for a while: it makes Gradio's client listen again.

    Its stream closes when no event is left. An event sent in that moment runs here unheard until the next one.
    """


def _tab(request: gr.Request) -> str:
    return str(request.session_hash)
