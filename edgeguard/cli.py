"""The command `edgeguard`: finds the named subcommand and turns errors into exit codes.

A subcommand is imported when it is named, so that `edgeguard --help` loads neither llama_cpp nor
numpy. This module knows no model and judges nothing.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

import click

from edgeguard.console import note, open_streams, settle, use_utf8
from edgeguard.errors import (
    EXIT_ERROR,
    EXIT_FLAGGED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EdgeguardError,
)

COMMANDS: dict[str, str] = {
    "batch": "Judge the rows of a file: JSONL, CSV or Parquet.",
    "calibrate": "Find a threshold for a wanted rate of false alarms, or recall.",
    "check": "Judge a text, a response or a conversation.",
    "convert": "Convert a Hugging Face checkpoint to GGUF.",
    "doctor": "Say what is installed, what llama.cpp uses, and what is wrong.",
    "eval": "Measure a model on labelled rows, or compare several.",
    "grammar": "Print the answer language as a GBNF grammar.",
    "licenses": "Print the licences of everything that a program would ship.",
    "list": "List the models on this machine.",
    "mcp": "Offer a tool that judges, over stdin and stdout (Model Context Protocol).",
    "path": "Print where a model's file lies.",
    "policy": "List, show, write, check or remove policies: which rules apply.",
    "proxy": "Guard the answers of any model behind an OpenAI-compatible endpoint.",
    "pull": "Fetch the official weights and convert them here.",
    "rm": "Remove a model.",
    "serve": "Serve verdicts over HTTP, and a page to try it on.",
    "service": "Run serve or proxy as a service of your own.",
    "show": "Show what is known of a model.",
    "stdio": "Answer JSON-RPC on stdin and stdout, for programs in other languages.",
    "tune": "Measure how a model runs best on this machine, and keep it.",
    "verify": "Check a model's file against its recorded sha256.",
    "watch": "Pass a stream of text on, no further than it is judged.",
}
"""Each subcommand with its one-line help; the code is `command` in edgeguard.commands.<name>."""

ALIASES = {"ls": "list"}
_MODULES = {"eval": "eval_", "list": "list_"}  # modules of these names would shadow built-ins


class _LazyGroup(click.Group):
    """A group whose subcommands are imported only when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"edgeguard.commands.{_MODULES.get(name, name)}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='Try it: edgeguard check --model nano "What is the capital of France?"',
)
@click.version_option(package_name="edgeguard", prog_name="edgeguard")
@click.option(
    "-v",
    "--verbose",
    count=True,
    help="Log what happens on stderr, never the text; -vv logs llama.cpp's messages too.",
)
def cli(verbose: int) -> None:
    """Safety verdicts from Qwen3Guard-Gen on your own machine.

    Exit code: 0 not flagged, 1 flagged, 2 could not run.
    """
    level = logging.DEBUG if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    # Warnings of libraries are hidden: whatever goes wrong ends in one of our errors.
    handler.addFilter(lambda record: verbose > 0 or record.name.partition(".")[0] == "edgeguard")
    if verbose < 2:
        logging.getLogger("edgeguard.session.library").setLevel(logging.INFO)
    logging.basicConfig(level=level, handlers=[handler], format="edgeguard: %(message)s")


def main() -> NoReturn:
    """Run the command line and exit with its code; a failure never exits with 0 or 1."""
    sys.exit(_command_line(None))


def own_process() -> NoReturn:
    """``main`` where the process is the command's alone, and ends with it.

    A guard that a command leaves open is not freed then: the system takes the memory sooner.
    """
    left_open: list[object] = []
    code = _command_line(left_open)
    if left_open:
        os._exit(code)
    sys.exit(code)


def _command_line(left_open: list[object] | None) -> int:
    """The exit code; a command may put into the list what it would close."""
    open_streams()
    use_utf8()
    # A log line that cannot be written, as on a full disk, is dropped silently.
    logging.raiseExceptions = False
    # numpy only adds up a few numbers here; its threads would cost memory and time at the start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code = EXIT_ERROR
    with suppress(OSError):  # while an error message is written
        code = _run(left_open)
    error = settle(sys.stdout)
    if error is not None and code != EXIT_INTERRUPTED:
        if code in (EXIT_OK, EXIT_FLAGGED):
            note(f"error: the output cannot be written: {error.strerror or error}")
        code = EXIT_ERROR
    settle(sys.stderr)
    return code


def _run(left_open: list[object] | None) -> int:
    try:
        result = cli(standalone_mode=False, obj=left_open)
        return result if isinstance(result, int) else EXIT_OK
    except EdgeguardError as error:
        note(f"error: {error}")
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        note("interrupted")
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_ERROR
    except (OSError, SystemExit) as error:
        # stdout is on a full disk, or its reader has gone (click turns that into SystemExit(1)).
        if isinstance(error, OSError):
            note(f"error: the output cannot be written: {error.strerror or error}")
        return EXIT_ERROR
    except MemoryError:
        note("error: there is not enough memory: end other programs, or choose a smaller model")
        return EXIT_ERROR
    except Exception:
        # An unforeseen error: Python's own exit code would be 1, which here means "flagged".
        traceback.print_exc()
        note("error: this is a bug in edgeguard; the lines above say where")
        return EXIT_ERROR
