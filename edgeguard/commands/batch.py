"""`edgeguard batch`: files in, the same rows with their verdicts out.

Reads the command line; edgeguard.commands.batch_runs runs what it says. This module holds no logic
of moderation.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import click

from edgeguard.batch.encodings import check_encoding
from edgeguard.batch.formats import FORMATS, FormatName, format_of
from edgeguard.batch.inputs import inputs_of, results_of
from edgeguard.batch.job import Files
from edgeguard.batch.layout import Told, told
from edgeguard.batch.several import make_folders
from edgeguard.batch.source import PIPE, is_plain_file
from edgeguard.commands.batch_runs import Input, Way, judge_one, judge_several
from edgeguard.commands.options import (
    Running,
    exact_option,
    guard_options,
    reading_options,
    timeout_option,
)
from edgeguard.console import note
from edgeguard.conversation.forms import AUTO
from edgeguard.conversation.forms import FORMS as MESSAGE_FORMS
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.rows import TEXT, VERDICT, Names
from edgeguard.errors import EXIT_ERROR, EXIT_OK, InputError
from edgeguard.guard import Guard
from edgeguard.outputs import check_outputs


@click.command("batch")
@click.argument(
    "inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(allow_dash=True)
)
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="The file to write, which must not exist; - is standard output. With several inputs, the "
    "folder for their results.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Where the file's name does not say it: jsonl for pipes unless told.",
)
@click.option(
    "--text-field",
    metavar="NAME",
    help=f"The field with the prompt; a.b is b in a.  [default: {TEXT}]",
)
@click.option(
    "--response-field",
    metavar="NAME",
    help="The field with the response; a row without one is judged as a prompt.  "
    "[default: response, where there is one]",
)
@click.option(
    "--messages-field",
    metavar="NAME",
    help="The field with the conversation, instead of the two above: a list of messages or an "
    "object with one, also as JSON; . is the row itself.  [default: found, where there is no text]",
)
@click.option(
    "--messages-format",
    type=click.Choice((AUTO, *MESSAGE_FORMS)),
    default=AUTO,
    show_default=True,
    help="The form of the messages; see docs/conversations.md.",
)
@reading_options
@click.option(
    "--verdict-field",
    metavar="NAME",
    default=VERDICT,
    show_default=True,
    help="The field to write; the reason for a missing one goes to NAME_error.",
)
@click.option("--delimiter", metavar="CHAR", help="CSV: what separates cells, as ; or tab.")
@click.option("--quote", metavar="CHAR", help="CSV: what quotes cells, or none.")
@click.option("--escape", metavar="CHAR", help="CSV: what escapes a quote, as \\, or none.")
@click.option("--encoding", metavar="NAME", help="Where it is not UTF-8, as cp1252 or utf-16.")
@click.option("--resume", is_flag=True, help="Go on with a run that was ended early.")
@exact_option
@guard_options
@timeout_option
def command(
    inputs: tuple[str, ...],
    out: str,
    format_: str | None,
    text_field: str | None,
    response_field: str | None,
    messages_field: str | None,
    messages_format: str,
    reading: Reading,
    verdict_field: str,
    delimiter: str | None,
    quote: str | None,
    escape: str | None,
    encoding: str | None,
    resume: bool,
    exact: bool,
    model: str | None,
    policy: str,
    running: Running,
    timeout: float | None,
) -> int:
    """Judge every row of IN: a JSONL, JSON, CSV, Parquet or text file, or - for standard input.

    Each row is written again with its verdict added. A row that cannot be judged is reported by its
    line, gets no verdict, and does not stop the rest. Of several files, a folder with all below it
    or a pattern as "*.csv", each has its own result in the folder that --out names. A folder that
    ends in .parquet is a data set, and one file.

    Exit code: 0 every row has a verdict, flagged or not; 2 some row has none, or could not run.
    """
    try:
        names = Names.given(
            text_field, response_field, messages_field, messages_format, verdict_field
        )
    except InputError as error:
        raise click.UsageError(str(error)) from error
    way = Way(
        replace(reading, form=messages_format),
        timeout,
        exact,
        running["n_ctx"],
        running["category_probabilities"],
    )
    layout, format_name = told(delimiter, quote, escape), cast("FormatName | None", format_)
    encoding = None if encoding is None else check_encoding(encoding)

    def input_of(name: str, result: str) -> Input:
        return Input(name, format_of(name, result, format_name), names, layout, encoding)

    def load() -> Guard:
        return Guard(model, policy=policy, **running)

    several = inputs_of(inputs, format_name)
    if several is None:
        input_ = inputs[0]
        _check_resume(input_, out, resume)
        _check_out(input_, out, model, resume)
        one = input_of(input_, out)
        _check_told([one])
        tally = judge_one(one, out, way, load, resume=resume)
    elif out == PIPE:
        raise click.UsageError("several inputs have several results: --out is a folder for them")
    else:
        results = results_of(several.found, Path(out))
        make_folders(Path(out), results.values())
        _tell(several.left_out)
        for name, result in results.items():
            _check_out(name, str(result), model, True)
        every = {input_of(name, str(result)): result for name, result in results.items()}
        _check_told(list(every))
        tally = judge_several(every, Path(out), way, load, resume=resume)
    return EXIT_OK if tally.errors == 0 else EXIT_ERROR


def _tell(left_out: list[str]) -> None:
    """Say what is in the folders and is not judged."""
    if left_out:
        more = f" and {len(left_out) - 1:,} more" if len(left_out) > 1 else ""
        note(f"{left_out[0]}{more}: left out, for the name says no format")


def _check_told(inputs: list[Input]) -> None:
    formats = {input_.format for input_ in inputs}
    if inputs[0].told != Told() and "csv" not in formats:
        raise click.UsageError("--delimiter, --quote and --escape are for CSV")
    if inputs[0].encoding is not None and formats == {"parquet"}:
        raise click.UsageError("--encoding is for files of text")


def _check_out(input_: str, out: str, model: str | None, resume: bool) -> None:
    inputs = {} if input_ == PIPE else {"IN": input_}
    if model is not None:
        inputs["the model"] = model
    own = {"--out": out}
    check_outputs({} if resume else own, inputs, own if resume else None)


def _check_resume(input_: str, out: str, resume: bool) -> None:
    if not resume:
        return
    if out == PIPE:
        raise click.UsageError("--resume goes on with a file, and --out is standard output")
    if not is_plain_file(input_):
        files = Files(Path(out))
        raise InputError(
            "a pipe cannot be read again, so --resume has nothing to go on with: put the input "
            f"into a file first, or remove {files.partial} and {files.job} and start again"
        )
