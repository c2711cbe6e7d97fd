"""`edgeguard check`: one verdict in a terminal.

Reads the text, calls the guard, prints the verdict and turns it into an exit code. This module
holds no logic of moderation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click

from edgeguard.commands.options import (
    Running,
    guard_options,
    reading_options,
    timeout_option,
)
from edgeguard.console import colour_wanted
from edgeguard.conversation.chatml import is_chatml
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.value import JUDGED, Judged
from edgeguard.errors import EXIT_FLAGGED, EXIT_OK, InputError
from edgeguard.guard import Guard
from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import CONTROVERSIAL, SAFE, UNSAFE
from edgeguard.strict_json import decode, parse_json
from edgeguard.verdict import Verdict

_MOST = 16 << 20
"""Bytes that are read: some times what fits the most windows of the largest context."""
_SHORT = 2000
"""Characters that are judged sooner than weights are rearranged; a longer text gains by these."""
_SHARES_SHOWN = 3
_COLOURS = {SAFE: "green", CONTROVERSIAL: "yellow", UNSAFE: "red"}


@click.command(name="check")
@click.argument("text", required=False)
@click.option("--response", metavar="TEXT", help="Judge this response; the argument is the prompt.")
@click.option(
    "--messages",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Judge a conversation: JSON in any form of docs/conversations.md, or ChatML.",
)
@click.option(
    "--judge",
    envvar="EDGEGUARD_JUDGE",
    type=click.Choice(JUDGED),
    default="last",
    show_default=True,
    help="The last message, the last exchange, or each message: a verdict for each.",
)
@reading_options
@guard_options
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on one line.")
def command(
    text: str | None,
    response: str | None,
    messages: str | None,
    judge: Judged,
    reading: Reading,
    model: str | None,
    policy: str,
    running: Running,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Judge TEXT as a prompt; without TEXT, or with -, read it from standard input.

    Exit code: 0 not flagged, 1 flagged, if any message is, 2 could not run.
    """
    conversation = reading(conversation_of(text, response, messages))  # before a model is loaded
    one_shot = sum(len(message.content) for message in conversation.messages) <= _SHORT
    left_open: list[object] | None = click.get_current_context().obj
    with ExitStack() as stack:
        guard = stack.enter_context(Guard(model, policy=policy, one_shot=one_shot, **running))
        verdicts = guard.check_turns(conversation, judge=judge, timeout=timeout)
        if left_open is not None and running.get("cache") is None:
            left_open.append(stack.pop_all())  # the process ends next; see edgeguard.cli
    for verdict in verdicts:
        shown = verdict.to_json() if as_json else _readable(verdict, judge)
        click.echo(shown, color=True)
    return EXIT_FLAGGED if any(verdict.flagged for verdict in verdicts) else EXIT_OK


def conversation_of(text: str | None, response: str | None, messages: str | None) -> object:
    """The conversation that the options of a command give. Raises InputError, UsageError."""
    if messages is not None:
        if text is not None or response is not None:
            raise click.UsageError("--messages holds the whole conversation: give no other text")
        return _parse(*(_stdin() if messages == "-" else _file(messages)))
    if text is None or text == "-":
        if text is None and sys.stdin.isatty():
            raise click.UsageError('nothing to check: give a TEXT, as in edgeguard check "…"')
        text = decode(*_stdin()).removesuffix("\n").removesuffix("\r")
    else:
        text = _argument(text, "TEXT")
    conversation = [Message("user", text)]
    if response is not None:
        conversation.append(Message("assistant", _argument(response, "--response")))
    return conversation


def _argument(text: str, name: str) -> str:
    """An argument as it was typed: in a locale that is not UTF-8, Python hides its bytes."""
    try:
        data = os.fsencode(text)
    except UnicodeError:
        return text  # Windows, where no bytes were typed
    return decode(data, name)


def _stdin() -> tuple[bytes, str]:
    return _read(sys.stdin.buffer, "standard input")


def _file(name: str) -> tuple[bytes, str]:
    try:
        with Path(name).open("rb") as file:
            return _read(file, name)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error


def _read(file: BinaryIO, name: str) -> tuple[bytes, str]:
    """All bytes and their name; an input without an end would take all memory there is."""
    data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise InputError(
            f"{name} has more than {_MOST >> 20} MiB, which no model judges at once: split it, or "
            "put the parts into a file and use `edgeguard batch`"
        )
    return data, name


def _parse(data: bytes, name: str) -> object:
    text = decode(data, name)
    if is_chatml(text):
        return text
    parsed = parse_json(text, name)
    if not isinstance(parsed, (list, dict)):
        form = '[{"role": …, "content": …}, …]'
        raise InputError(f"{name} must be a JSON list of messages: {form}")
    return parsed


def _readable(verdict: Verdict, judge: Judged) -> str:
    head: str = verdict.severity
    flagged = "yes" if verdict.flagged else "no, only observed" if verdict.observed else "no"
    named: Mapping[str, float] = verdict.category_probabilities or {}
    likeliest = sorted(named.items(), key=lambda pair: -pair[1])[:_SHARES_SHOWN]
    if colour_wanted(sys.stdout):
        head = click.style(head, fg=_COLOURS[verdict.severity], bold=True)
    shares = (f"{name} {share:.1%}" for name, share in verdict.probabilities.items())
    windows = f" in {verdict.windows} windows" if verdict.windows > 1 else ""
    cached = ", remembered" if verdict.cached else ""
    rows = [
        ("categories", ", ".join(verdict.categories)),
        ("refusal", verdict.refusal or ""),
        ("message", f"{verdict.message + 1} ({verdict.mode})" if judge != "last" else ""),
        ("not judged", "; ".join(verdict.not_judged)),
        ("probabilities", ", ".join(shares)),
        ("if harmful", ", ".join(f"{name} {share:.1%}" for name, share in likeliest)),
        ("flagged", f"{flagged} ({verdict.policy})"),
        ("reason", verdict.reason),
        ("form", verdict.form if verdict.form != "as written" else ""),
        ("model", f"{verdict.model.name} {verdict.model.type} on {verdict.device}"),
        ("read", f"{verdict.tokens} tokens{windows} in {verdict.seconds:.2f} s{cached}"),
    ]
    return "\n".join([head, *(f"  {name:<14} {value}" for name, value in rows if value)])
