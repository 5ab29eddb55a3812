"""The description of the API: an OpenAPI schema, and a page made of it that loads nothing from anywhere."""

import html
import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from app.api.wire import ChatRequest, SearchRequest

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

_REF = "#/components/schemas/"
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; font-size: 1.1rem; }
td:first-child { width: 11rem; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; }
table { border-collapse: collapse; width: 100%; }
th, td { overflow-wrap: anywhere; text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
"""  # noqa: E501  # a line of CSS


def describe(api: FastAPI) -> None:
    """Complete the schema of `api`: bodies are parsed by hand, after the key, so FastAPI knows nothing of them."""
    schema = api.openapi()
    models = ((ChatRequest, "validation"), (SearchRequest, "validation"))
    _, definitions = models_json_schema(list(models), ref_template=_REF + "{model}")  # type: ignore[arg-type]
    schema["servers"] = [{"url": "/v1"}]
    schema["components"] = {
        "schemas": definitions["$defs"],
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "Made by `deskmate keys add`."}},
    }
    schema["security"] = [{"key": []}]


def body_of(model: str) -> dict[str, Any]:
    """What a route's description says of its body."""
    content = {"application/json": {"schema": {"$ref": _REF + model}}}
    return {"requestBody": {"required": True, "content": content}}


def api_page(schema: dict[str, Any]) -> str:
    """The schema for people."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>deskmate API</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body><main><h1>deskmate API</h1>"
        "<p>Send a key as <code>Authorization: Bearer dm_…</code>; whoever runs this server makes one with "
        "<code>deskmate keys add NAME</code>. OpenAI's clients work unchanged with this address as their base URL. "
        'The same for machines: <a href="openapi.json">openapi.json</a>.</p>'
        f"{''.join(_operations(schema))}</main></body></html>"
    )


def _operations(schema: dict[str, Any]) -> Iterator[str]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} /v1{html.escape(path)}</code></h2>"
            yield f"<p>{html.escape(operation.get('description', ''))}</p>"
            if "requestBody" in operation:
                ref = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                yield _fields(schema["components"]["schemas"][ref.removeprefix(_REF)])


def _fields(model: dict[str, Any]) -> str:
    rows = []
    for name, field in model["properties"].items():
        needed = " (required)" if name in model.get("required", ()) else ""
        meaning = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(field.get("description", "")))
        rows.append(f"<tr><td><code>{name}</code>{needed}</td><td>{meaning}</td></tr>")
    head = "<thead><tr><th>Field</th><th>Meaning</th></tr></thead>"
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"
