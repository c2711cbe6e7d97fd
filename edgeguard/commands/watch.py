"""`edgeguard watch`: a filter for pipes that shows no character before it is judged.

    some-llm "Tell me a story." | edgeguard watch --prompt "Tell me a story."

Reads standard input as it comes, writes what may be shown, and stops when the text is flagged. This
module holds no logic of moderation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from edgeguard.commands.check import conversation_of
from edgeguard.commands.options import (
    Running,
    guard_options,
    in_a_row_option,
    reading_options,
    timeout_option,
)
from edgeguard.console import colour_wanted, note
from edgeguard.conversation.reader import Reading
from edgeguard.errors import EXIT_FLAGGED, EXIT_OK
from edgeguard.guard import Guard
from edgeguard.watch.state import WatchState
from edgeguard.watch.watch import Watch

_PIECE = 1 << 12
"""The most bytes read at once; a read returns whatever has arrived."""


@click.command(name="watch")
@click.option("--prompt", metavar="TEXT", help="What the stream is a response to.")
@click.option(
    "--messages",
    metavar="FILE",
    type=click.Path(),
    help="The conversation that the stream goes on from: a JSON list of {role, content}.",
)
@reading_options
@guard_options
@timeout_option
@in_a_row_option
@click.option("--show", is_flag=True, help="Show what is flagged as well, in red, before stopping.")
def command(
    prompt: str | None,
    messages: str | None,
    reading: Reading,
    model: str | None,
    policy: str,
    running: Running,
    timeout: float | None,
    in_a_row: int,
    show: bool,
) -> int:
    """Pass standard input on to standard output, no further than it is judged.

    Without --prompt or --messages, the text is judged as a response to an unknown prompt. Flagged
    text is not shown, and nothing after it is read. A flagged prompt ends the command at once.

    Exit code: 0 not flagged, 1 flagged, 2 could not run.
    """
    conversation = None  # read before a model is loaded
    if prompt or messages:
        conversation = reading(conversation_of(prompt, None, messages))
    with (
        Guard(model, policy=policy, **running) as guard,
        guard.watch(conversation or (), in_a_row=in_a_row, timeout=timeout) as watch,
    ):
        if watch.prompt is not None and watch.prompt.flagged:
            note(f"the prompt is {watch.prompt.severity}: nothing is read")
            return EXIT_FLAGGED
        return _pass_on(watch, show)


def _pass_on(watch: Watch, show: bool) -> int:
    shown = 0
    for piece in _pieces():
        shown = _show(watch, shown, watch.feed(piece))
        if watch.state.flagged:
            break
    verdict = watch.end()
    shown = _show(watch, shown, watch.state)
    if not verdict.flagged:
        return EXIT_OK
    if show:
        flagged = watch.text[shown : watch.state.judged_to]
        styled = click.style(flagged, fg="red") if colour_wanted(sys.stdout) else flagged
        click.echo(styled.encode())
    named = f" ({', '.join(verdict.categories)})" if verdict.categories else ""
    note(f"stopped after {watch.state.safe_to} characters: {verdict.severity}{named}")
    return EXIT_FLAGGED


def _show(watch: Watch, shown: int, state: WatchState) -> int:
    """Write what may be shown and was not yet; returns how far that goes."""
    if state.safe_to > shown:
        click.echo(watch.text[shown : state.safe_to].encode(), nl=False)
    return max(shown, state.safe_to)


def _pieces() -> Iterator[bytes]:
    """The pieces of standard input, as they come."""
    while piece := os.read(sys.stdin.fileno(), _PIECE):
        yield piece
