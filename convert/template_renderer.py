"""Renders a chat template, which is code from a file, where it can do no harm.

Three things protect us: jinja's immutable sandbox (no attributes that begin with an underscore, no
changes to objects), a separate process with a memory limit, and the parent's time limit. The
settings and names are those of transformers' apply_chat_template.

This module does not know what the text should be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NoReturn

from edgeguard import child_process
from edgeguard.convert.files import short

SECONDS = 20.0
_MEMORY = 1 << 30  # bytes of address space, twenty times what is needed
_LONGEST = 100_000  # characters of one rendered text that are kept

Messages = Sequence[Mapping[str, str]]


class TemplateError(Exception):
    """The template could not be rendered; the message says why, in one line."""


def render(
    template: str,
    conversations: Sequence[Messages],
    tokens: Mapping[str, str],
    *,
    asks: bool = True,
) -> list[str]:
    """Each conversation as the template writes it; `asks`: with the prompt for an answer.

    `tokens` are the special tokens that the template may use, by name (eos_token ...). Raises
    TemplateError, also if the template takes too long or too much memory.
    """
    request = {
        "template": template,
        "conversations": conversations,
        "tokens": tokens,
        "asks": asks,
    }
    texts: list[str] = []
    try:
        for message in child_process.run(__name__, request, timeout=SECONDS):
            if "error" in message:
                raise TemplateError(message["error"])
            texts.append(message["text"])
    except TimeoutError as error:
        raise TemplateError(f"it did not end within {SECONDS:.0f} seconds") from error
    except child_process.ChildError as error:
        raise TemplateError(str(error)) from error
    if len(texts) != len(conversations):
        raise TemplateError("it ended early")
    return texts


def main(request: Any, reply: Callable[[Any], None]) -> None:
    """The child's side: reply with each text, or with the reason of the first failure."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    _limit_memory()
    try:
        template = environment.from_string(request["template"])
        for messages in request["conversations"]:
            values = {"messages": messages, "add_generation_prompt": request["asks"], "tools": None}
            text = template.render(**values, documents=None, **request["tokens"])
            reply({"text": text[:_LONGEST]})
    except Exception as error:
        words = short(" ".join(str(error).split()), 200)
        reply({"error": f"{type(error).__name__}: {words}" if words else type(error).__name__})


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise ValueError(message)


def _limit_memory() -> None:
    # ImportError: Windows. ValueError, OSError: a system without this limit, such as macOS.
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
