"""The pages on adapters as HTML: what serves, what each version is worth, and the steps to the next one.

Pure functions, everything that comes from outside escaped.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from app.accounts.audit import Entry
from app.loop.adapter_evidence import FIGURES, Adapters, Evaluation, Standing
from app.loop.training_rows import Readiness, reason_text
from app.staff.frame import badge, empty, lead, notice, when_html
from app.staff.loop import scripts
from app.web.pages import count_of, escape, sentence

FORCED = {
    "elsewhere": "It was evaluated elsewhere, with other questions",
    "worse-serves": "What serves now is worse, or stale",
    "trial": "A trial; it will be evaluated soon",
}
"""Why somebody lets an adapter serve that the gate has not let through. The audit keeps the key."""


def adapters_body(found: Adapters, steps: str, job: str) -> str:
    """The page with all adapters.

    Args:
        found: what there is.
        steps: the way to the next version, from `steps_html`.
        job: the card of what runs or ran, or empty.
    """
    items = "".join(_card(one) for one in found.standings)
    none = empty("No adapter yet", "The base model answers. An adapter teaches it the house's tone, form and citing.")
    problems = "".join(notice(sentence(one), "bad") for one in found.problems)
    return (
        lead("Facts come from the documents; how answers are written comes from an adapter. One serves at a time.")
        + job
        + problems
        + _now(found)
        + (f'<div class="ds-stack">{items}</div>' if items else none)
        + steps
        + '<p class="ds-small"><a href="/staff/jobs">What ran beside the chat</a></p>'
        + scripts()
    )


def _now(found: Adapters) -> str:
    """What serves, and the way back."""
    serving = found.serving
    if serving is None:
        return notice("The base model answers without an adapter.", "warn") if found.standings else ""
    back = (
        '<form method="post" action="/staff/adapters/rollback"><button class="ds-button ds-danger">Roll back</button>'
        "</form>"
    )
    return (
        f'<section class="ds-card dl-now"><div><p class="ds-label">Serves now</p><h2>{escape(serving.adapter.id)}</h2>'
        f'<p class="ds-small">for {escape(serving.readers)}</p></div><span class="dm-grow"></span>{back}</section>'
    )


def _card(one: Standing) -> str:
    card = one.adapter.card
    marks = [badge("serves", "good")] if one.serves else []
    if one.stale:
        marks.append(badge("stale", "warn"))
    marks.append(_gate(one.evaluation))
    facts = [
        f"tuned {_day(card.created)}",
        f"on {card.base}",
        count_of(len(card.documents), "document"),
        f"for {one.readers}",
        "" if one.ours else "named in the settings",
    ]
    meta = "".join(f"<span>{escape(fact)}</span>" for fact in facts if fact)
    stale = f'<p class="ds-small">{escape(sentence(str(one.stale)))} Tune it again.</p>' if one.stale else ""
    return (
        f'<section class="ds-card" aria-labelledby="a-{one.key}"><div class="dl-now">'
        f'<h2 id="a-{one.key}"><a href="{address(one)}">{escape(one.adapter.id)}</a></h2>'
        f'{"".join(marks)}</div><div class="ds-meta">{meta}</div>{stale}{evaluation_html(one.evaluation)}'
        f"{_actions(one)}</section>"
    )


def address(one: Standing) -> str:
    """Where an adapter's page is."""
    return f"/staff/adapter?key={one.key}"


def _gate(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return badge("not evaluated")
    words = {
        True: ("gate: may serve", "good"),
        False: ("gate: may not serve", "bad"),
        None: ("gate not asked", "plain"),
    }
    return badge(*words[evaluation.allowed])


def evaluation_html(evaluation: Evaluation | None) -> str:
    """What an evaluation found: shares with the adapter and without it, and the gate's reasons."""
    if evaluation is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{label}</th><td class="ds-number">{_percent(tuned)}</td>'
        f'<td class="ds-number">{_percent(plain)}</td></tr>'
        for key, label in FIGURES.items()
        for tuned, plain in [evaluation.shares[key]]
        if tuned is not None
    )
    table = (
        '<table class="dl-shares"><thead><tr><td></td><th scope="col" class="ds-number">'
        f'With it</th><th scope="col" class="ds-number">Without</th></tr></thead><tbody>{rows}</tbody></table>'
        if rows
        else ""
    )
    reasons = "".join(f"<li>{escape(sentence(reason))}</li>" for reason in evaluation.reasons)
    said = "What the gate found" if evaluation.allowed else "Why the gate is shut"
    why = f'<p class="ds-label">{said}</p><ul class="dl-reasons">{reasons}</ul>' if reasons else ""
    report = f"/reports/{quote(evaluation.report, safe='')}/report.html"
    asked = f"{count_of(evaluation.questions, 'question')}, {_day(evaluation.created)}"
    return f'{table}{why}<p class="ds-small"><a href="{escape(report)}">The whole report</a> · {escape(asked)}</p>'


def _actions(one: Standing) -> str:
    """What may be done with a version that does not serve."""
    name = f'<input type="hidden" name="adapter" value="{one.key}">'
    evaluate = (
        f'<form method="post" action="/staff/adapters/job">{name}<input type="hidden" name="step" value="evaluate">'
        '<button class="ds-button">Evaluate and ask the gate</button></form>'
    )
    if one.serves or not one.ours:
        return f'<div class="ds-actions">{evaluate}</div>'
    if one.allowed:
        serve = (
            f'<form method="post" action="/staff/adapters/promote">{name}'
            '<button class="ds-button ds-primary">Let it serve</button></form>'
        )
        return f'<div class="ds-actions">{serve}{evaluate}</div>'
    reasons = "".join(
        f'<label class="ds-check"><input type="radio" name="reason" value="{key}" required><span>{text}</span></label>'
        for key, text in FORCED.items()
    )
    return (
        f'<div class="ds-actions">{evaluate}</div><details><summary>Let it serve without the gate…</summary>'
        f'<form method="post" action="/staff/adapters/promote" class="dl-form">{name}'
        f'<fieldset class="ds-field"><legend>Why</legend>{reasons}</fieldset>'
        '<button class="ds-button ds-danger">Let it serve all the same</button></form></details>'
    )


def steps_html(ready: Readiness | None, serving: bool, recipes: Sequence[str], questions: bool, busy: bool) -> str:
    """The loop's steps, each the command of the command line as a button, with the figures to decide by.

    Args:
        ready: what people said so far; None without an index.
        serving: whether an adapter serves, from which feedback is tuned on.
        recipes: names of those that can be tuned with.
        questions: whether there is a question set to evaluate with.
        busy: whether something runs already.
    """
    hold = " disabled" if busy else ""
    parts = []
    if ready is not None:
        parts.append(_feedback_step(ready, serving, hold))
    choices = "".join(f'<option value="{escape(one)}">{escape(one)}</option>' for one in recipes)
    parts.append(
        '<li><h3>From the documents</h3><p class="ds-small">A teacher asks and answers questions out of the documents '
        "for everyone, what you corrected and reviewed joins them, and an adapter is tuned on all. Half an hour each "
        "on two cores.</p>"
        f'<div class="ds-actions">{_step("synth", "Make training questions", hold)}'
        f'<form method="post" action="/staff/adapters/job" class="ds-actions">'
        f'<input type="hidden" name="step" value="tune"><label class="dm-hidden" for="dl-recipe">Recipe</label>'
        f'<select id="dl-recipe" name="recipe" class="dl-select">{choices}</select>'
        f'<button class="ds-button"{hold}>Tune an adapter</button></form></div></li>'
    )
    gate = (
        "An evaluation asks the question set in hybrid and rag-only. Where tuning cost nothing, the adapter serves."
        if questions
        else "Name a question set under [eval] in deskmate.toml, and versions can be evaluated here."
    )
    parts.append(f'<li><h3>The gate</h3><p class="ds-small">{escape(gate)}</p></li>')
    return f'<section class="ds-stack"><h2>The next version</h2><ol class="ds-list">{"".join(parts)}</ol></section>'


def _feedback_step(ready: Readiness, serving: bool, hold: str) -> str:
    out = "".join(
        f"<li>{count:,} left out: {escape(reason_text(reason))}</li>"
        for reason, count in sorted(ready.left_out.items())
    )
    lacks = [f"{method.upper()} needs {', '.join(what)}" for method, what in ready.missing.items()]
    if not serving:
        why = "It starts from the adapter that serves, and none does."
    elif ready.method is None:
        why = f"Too few to tune on: {'; '.join(lacks)}."
    else:
        why = f"Enough to tune on, by {ready.method.upper()}."
    shut = hold if serving and ready.method else " disabled"
    details = f"<details><summary>What was left out</summary><ul class='dl-reasons'>{out}</ul></details>" if out else ""
    return (
        f"<li><h3>From what people said</h3><p>{count_of(ready.rows, 'row')} of {ready.read:,} judgements and reviewed "
        f"corrections: {ready.up:,} up, {ready.down:,} down, {ready.corrected:,} with the right answer.</p>"
        f'<p class="ds-small">{escape(why)}</p>{details}<div class="ds-actions">'
        f"{_step('rows', 'Prepare training rows', hold if ready.rows else ' disabled')}"
        f"{_step('feedback', 'Tune from feedback', shut)}</div></li>"
    )


def _step(step: str, label: str, hold: str) -> str:
    return (
        f'<form method="post" action="/staff/adapters/job"><input type="hidden" name="step" value="{step}">'
        f'<button class="ds-button"{hold}>{label}</button></form>'
    )


def adapter_body(one: Standing, data_card: str, log: Sequence[Entry], now: float) -> str:
    """One adapter: its card, its training data, and what was done with it.

    Args:
        one: the adapter.
        data_card: where its training data's card is, empty where that is not there or not for whoever looks.
        log: what the audit has of it, the newest first.
        now: seconds since 1970.
    """
    card = one.adapter.card
    gone = [(doc, "changed") for doc in one.stale.changed] + [(doc, "gone") for doc in one.stale.gone]
    stale = "".join(f"<li>{escape(doc)}: {what}</li>" for doc, what in gone)
    data = f'<p><a href="{escape(data_card)}">The card of its training data</a></p>' if data_card else ""
    done = "".join(
        f"<tr><td>{when_html(entry.at, now)}</td><td>{escape(entry.what)}</td><td>{escape(entry.who)}</td>"
        f"<td>{escape(str(entry.about.get('reason') or ''))}</td></tr>"
        for entry in log
    )
    table = (
        '<div class="ds-card ds-scroll dl-table"><table><thead><tr><th>When</th><th>What</th><th>Who</th><th>Why</th>'
        f"</tr></thead><tbody>{done}</tbody></table></div>"
    )
    return (
        _card(one)
        + (f'<section><h2>Stale documents</h2><ul class="dl-reasons">{stale}</ul></section>' if stale else "")
        + f'<div class="ds-two">{_facts("Scores of the run", card.scores)}{_facts("Settings", card.settings)}</div>'
        + f'<section class="ds-stack"><h2>Where it comes from</h2>{data}'
        f'<p class="ds-small">Training data <code>{escape(card.data_hash[:16])}</code>, prompt '
        f"<code>{escape(card.prompt_hash[:16])}</code>, card <code>{escape(one.adapter.checksum[:16])}</code></p>"
        + "</section>"
        + (f'<section class="ds-stack"><h2>What was done with it</h2>{table}</section>' if done else "")
        + '<p><a href="/staff/adapters">All adapters</a></p>'
        + scripts()
    )


def _facts(title: str, values: Mapping[str, object]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name.replace("_", " "))}</th>'
        f'<td class="ds-number">{escape(_value(value))}</td></tr>'
        for name, value in values.items()
    )
    body = f'<table class="dl-facts"><tbody>{rows}</tbody></table>' if rows else '<p class="ds-small">none</p>'
    return f'<section class="ds-card"><h2>{title}</h2>{body}</section>'


def _value(value: object) -> str:
    if isinstance(value, float) or type(value) is int:
        return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(of)}" for key, of in value.items())
    return str(value)


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.1f}\u00a0%"


def _day(stamp: str) -> str:
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{when.day} {when:%B %Y}"
