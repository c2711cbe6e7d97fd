"""The options shared by commands with a guard, each with its environment variable.

This module makes no guard.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from typing import Any, TypedDict, TypeVar, cast

import click

from edgeguard.arguments import DEVICES, N_CTX
from edgeguard.conversation.reader import Reading
from edgeguard.policy import STRICT
from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.session.settings import BACKGROUND, Threads
from edgeguard.store.policies import POLICY_VARIABLE

_F = TypeVar("_F", bound=Callable[..., Any])


class Running(TypedDict, total=False):
    """How a model runs: the keyword arguments of Guard that a command takes."""

    threads: Threads
    n_ctx: int
    device: str
    allow_random_weights: bool
    category_probabilities: bool
    cache: str | None


class _Threads(click.types.IntParamType):
    """A number of threads, or a word; as a type, so that the doctor can check the variable."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == BACKGROUND else super().convert(value, param, ctx)


_MODEL = click.option(
    "--model",
    envvar="EDGEGUARD_MODEL",
    metavar="NAME|FILE|URL",
    help="A model's name, a GGUF file, or the address of a server that serves one.  "
    "[default: gen-0.6b, if it is installed]",
)
_POLICY = click.option(
    "--policy",
    envvar=POLICY_VARIABLE,
    default=STRICT.name,
    show_default=True,
    metavar="NAME|FILE",
    help="strict flags Controversial, loose does not; or a saved policy, or a TOML file.",
)
_ANSWERS = (
    click.option(
        "--category-probabilities",
        envvar="EDGEGUARD_CATEGORY_PROBABILITIES",
        is_flag=True,
        help="The categories' shares in each verdict, at the price of a short pass.",
    ),
    click.option(
        "--cache",
        envvar="EDGEGUARD_CACHE",
        metavar="memory|FILE",
        help="Remember answers, by digests and without texts.  [default: off]",
    ),
)
_DEVICE = click.option(
    "--device",
    envvar="EDGEGUARD_DEVICE",
    default=DEVICES[0],
    show_default=True,
    help="auto, or cpu to leave the GPU alone.",
)
_RUNNING = (
    click.option(
        "--threads",
        envvar="EDGEGUARD_THREADS",
        metavar=f"INTEGER|{BACKGROUND}",
        type=_Threads(),
        help="CPU threads; background leaves one core alone.  "
        "[default: what `edgeguard tune` found, else the physical cores]",
    ),
    click.option(
        "--n-ctx",
        envvar="EDGEGUARD_N_CTX",
        type=int,
        default=N_CTX,
        show_default=True,
        help="Tokens of one window.",
    ),
    _DEVICE,
    click.option(
        "--allow-random-weights",
        envvar="EDGEGUARD_ALLOW_RANDOM_WEIGHTS",
        is_flag=True,
        help="Take a stand-in with random weights, whose verdicts mean nothing.",
    ),
)

_READING = (
    click.option(
        "--strict-messages",
        envvar="EDGEGUARD_STRICT_MESSAGES",
        is_flag=True,
        help="Refuse messages that the official template has no place for.",
    ),
    click.option(
        "--tool-calls",
        envvar="EDGEGUARD_TOOL_CALLS",
        is_flag=True,
        help="Judge the calls of tools too, as text; the model was not trained on them.",
    ),
    click.option(
        "--skip-media",
        envvar="EDGEGUARD_SKIP_MEDIA",
        is_flag=True,
        help="Pass over images, sounds and files, and say so; else they are an error.",
    ),
)

group_option = click.option(
    "--group",
    metavar="FIELD",
    help="A field of the rows: those with the same value are not independent, as of one template.",
)

label_option = click.option(
    "--label-map",
    "labels",
    metavar="MAP",
    help="What other labels mean, as unsafe=Unsafe,0=Safe,1=Unsafe.",
)


def above_zero(
    _context: click.Context, _parameter: click.Parameter, seconds: float | None
) -> float | None:
    """Refuse zero or negative seconds."""
    # Checked here, and not after the model is loaded, or once for each row.
    if seconds is not None and not 0 < seconds < float("inf"):
        raise click.BadParameter("it must be a number of seconds above 0")
    return seconds


def timeout_option(command: _F) -> _F:
    """--timeout: how long one text may take."""
    return click.option(
        "--timeout",
        envvar="EDGEGUARD_TIMEOUT",
        type=float,
        callback=above_zero,
        metavar="SECONDS",
        help="How long a text may take; one that takes longer is an error.  [default: no limit]",
    )(command)


def exact_option(command: _F) -> _F:
    """--exact: whether texts may share passes."""
    return click.option(
        "--exact",
        envvar="EDGEGUARD_EXACT",
        is_flag=True,
        help="Judge one text at a time, with the bits of a single check. Otherwise short texts "
        "share passes, which is faster and moves late digits; close calls are judged alone.",
    )(command)


def in_a_row_option(command: _F) -> _F:
    """--in-a-row: how many tokens flag a response that is watched."""
    return click.option(
        "--in-a-row",
        envvar="EDGEGUARD_IN_A_ROW",
        type=click.IntRange(min=1),
        default=IN_A_ROW,
        show_default=True,
        help="Tokens in a row that flag a response, with a Qwen3Guard-Stream.",
    )(command)


def reading_options(command: _F) -> _F:
    """The options for reading conversations, passed as ``reading``."""

    @wraps(command)
    def gathered(strict_messages: bool, tool_calls: bool, skip_media: bool, **options: Any) -> Any:
        return command(reading=Reading(strict_messages, tool_calls, skip_media), **options)

    return _all(cast("_F", gathered), *_READING)


def guard_options(command: _F) -> _F:
    """--model, --policy, and the other arguments of a Guard, passed as ``running``."""
    return _all(_running(command), _MODEL, _POLICY, *_RUNNING, *_ANSWERS)


def model_options(command: _F) -> _F:
    """--model, and how it runs, passed as ``running``."""
    return _all(_running(command), _MODEL, *_RUNNING)


def answer_options(command: _F) -> _F:
    """Further options of `guard_options`: --category-probabilities and --cache, in ``running``."""
    return _all(command, *_ANSWERS)


def file_options(command: _F) -> _F:
    """--model and --device: which file runs, and where."""
    return _all(command, _MODEL, _DEVICE)


def _running(command: _F) -> _F:
    @wraps(command)
    def gathered(**options: Any) -> Any:
        running = {name: options.pop(name) for name in Running.__annotations__ if name in options}
        return command(running=running, **options)

    return cast("_F", gathered)


def _all(command: _F, *options: Callable[[_F], _F]) -> _F:
    return reduce(lambda inner, option: option(inner), reversed(options), command)
