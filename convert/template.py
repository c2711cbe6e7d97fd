"""Compares the checkpoint's own chat template with the question that this project writes.

Other programs ask a model through its template; this project writes the text itself. If a published
template ever differed, verdicts would be silently wrong. So the two are compared on conversations
of every kind, and one differing character stops the conversion.

This module does not execute a template: template_renderer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeguard.conversation import read_messages
from edgeguard.convert import template_renderer
from edgeguard.convert.files import parse_json, read_small, short
from edgeguard.errors import ConversionError
from edgeguard.protocol import stream as stream_protocol
from edgeguard.protocol.messages import Message
from edgeguard.protocol.question import render

_USER, _ASSISTANT, _SYSTEM = "user", "assistant", "system"

CONVERSATIONS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "prompt": ((_USER, "What is the capital of France?"),),
    "response": ((_USER, "What is the capital of France?"), (_ASSISTANT, "It is Paris.")),
    "several turns": (
        (_USER, "I have apples."),
        (_ASSISTANT, "Do you want to bake?"),
        (_USER, "Yes, a cake."),
    ),
    "several turns, response": (
        (_USER, "I have apples."),
        (_ASSISTANT, "Do you want to bake?"),
        (_USER, "Yes, a cake."),
        (_ASSISTANT, "Then peel them first."),
    ),
    "system": ((_SYSTEM, "You help in a kitchen."), (_USER, "How long do eggs boil?")),
    "system, response": (
        (_SYSTEM, "You help in a kitchen."),
        (_USER, "How long do eggs boil?"),
        (_ASSISTANT, "Eight minutes."),
    ),
    "two users": ((_USER, "First."), (_USER, "Second.")),
    "spaces and lines": (
        (_USER, "  Zwei\n\nZeilen, 两行 🙂\t\n"),
        (_ASSISTANT, "\n<b>{{ ok }}</b> "),
    ),
}
"""Conversations to compare, by their names in error messages."""


def read_templates(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Every chat template of the checkpoint, by its file; the one to record comes first.

    `settings` is tokenizer_config.json. Raises ConversionError for one that is not a text.
    """
    found = {"tokenizer_config.json": settings.get("chat_template")}
    jinja, json = folder / "chat_template.jinja", folder / "chat_template.json"
    if jinja.exists():
        found[jinja.name] = _read(jinja)
    if json.exists():
        found[json.name] = parse_json(_read(json), json).get("chat_template")
    for name, template in found.items():
        if template is not None and not isinstance(template, str):
            raise ConversionError(
                f"{folder / name}: its chat_template is not one text; Qwen3Guard has one "
                "template, so download the official file"
            )
    return {name: template for name, template in found.items() if template}


def require(folder: Path, templates: Mapping[str, str]) -> None:
    """Raise ConversionError if there is no template to compare with."""
    if not templates:
        raise ConversionError(
            f"{folder} has no chat template, so nothing says that it asks as Qwen3Guard does; "
            "download the official tokenizer_config.json, or type --trust-template if you know "
            "that it does"
        )


def compare(
    folder: Path,
    templates: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    stream: bool = False,
) -> None:
    """Raise ConversionError unless each template writes the same text as this project.

    For Gen, that is a question; for Stream, the conversation itself.
    """
    write = stream_protocol.render if stream else render
    tokens = {
        f"{kind}_token": _token(settings.get(f"{kind}_token")) for kind in ("bos", "eos", "pad")
    }
    given = [_messages(turns) for turns in CONVERSATIONS.values()]
    for name, template in templates.items():
        try:
            texts = template_renderer.render(
                template,
                [[{"role": m.role, "content": m.content} for m in messages] for messages in given],
                {kind: token for kind, token in tokens.items() if token},
                asks=not stream,
            )
        except template_renderer.TemplateError as error:
            raise ConversionError(
                f"{folder / name}: its chat template fails: {error}; download the official file"
            ) from error
        for label, messages, found in zip(CONVERSATIONS, given, texts):
            _compare(folder / name, label, write(messages), found)


def _compare(path: Path, label: str, expected: str, found: str) -> None:
    if found == expected:
        return
    ours, theirs = expected.split("\n"), found.split("\n")
    pairs = zip([*ours, None], [*theirs, None])
    number, (our, their) = next((n, p) for n, p in enumerate(pairs, 1) if p[0] != p[1])
    raise ConversionError(
        f"{path}: its chat template does not write what Qwen3Guard reads: conversation "
        f"{label!r}, line {number}: expected {_quote(our)}, found {_quote(their)}; take the "
        "official checkpoint, or report that its template changed"
    )


def _messages(turns: tuple[tuple[str, str], ...]) -> tuple[Message, ...]:
    return read_messages([{"role": role, "content": content} for role, content in turns]).messages


def _token(value: object) -> str | None:
    """A special token in tokenizer_config.json, either a text or an object."""
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else None


def _quote(line: str | None) -> str:
    if line is None:
        return "the end"
    return short(repr(line), 120)


def _read(path: Path) -> str:
    try:
        return read_small(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConversionError(f"{path} is not UTF-8 text; download it again") from error
