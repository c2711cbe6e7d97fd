"""`edgeguard batch`: a file in, the same rows with their verdicts out.

Reads the command line, reports while it runs, and sums up; edgeguard.batch does the work and the
guard judges. This module holds no logic of moderation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import cast

import click

from edgeguard.batch.encodings import check_encoding
from edgeguard.batch.formats import FORMATS, Format, FormatName, format_of, open_input
from edgeguard.batch.job import Files, Run, opened, to_file, to_stream
from edgeguard.batch.layout import Told, told
from edgeguard.batch.report import Report
from edgeguard.batch.rows import TEXT, VERDICT, Names
from edgeguard.batch.source import PIPE, Seen, is_plain_file
from edgeguard.batch.stopping import Stop
from edgeguard.batch.tally import Tally
from edgeguard.commands.identity import computing
from edgeguard.commands.options import Running, guard_options, timeout_option
from edgeguard.console import note, say
from edgeguard.errors import EXIT_ERROR, EXIT_OK, InputError
from edgeguard.guard import Guard
from edgeguard.outputs import check_outputs


@click.command("batch")
@click.argument("input_", metavar="IN", type=click.Path(allow_dash=True))
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="The file to write, which must not exist; - is standard output.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Where the file's name does not say it: jsonl for pipes unless told.",
)
@click.option("--text-field", metavar="NAME", help=f"The field with the prompt.  [default: {TEXT}]")
@click.option(
    "--response-field",
    metavar="NAME",
    help="The field with the response; a row without one is judged as a prompt.  "
    "[default: response, where there is one]",
)
@click.option(
    "--messages-field",
    metavar="NAME",
    help="The field with a list of {role, content}, or one as JSON, instead of the two above.",
)
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
@guard_options
@timeout_option
def command(
    input_: str,
    out: str,
    format_: str | None,
    text_field: str | None,
    response_field: str | None,
    messages_field: str | None,
    verdict_field: str,
    delimiter: str | None,
    quote: str | None,
    escape: str | None,
    encoding: str | None,
    resume: bool,
    model: str | None,
    policy: str,
    running: Running,
    timeout: float | None,
) -> int:
    """Judge every row of IN: a JSONL, CSV, Parquet or text file, or - for standard input.

    Each row is written again with its verdict added. A row that cannot be judged is reported by its
    line, gets no verdict, and does not stop the rest.

    Exit code: 0 every row has a verdict, flagged or not; 2 some row has none, or could not run.
    """
    if messages_field is not None and (text_field is not None or response_field is not None):
        raise click.UsageError("--messages-field holds the whole conversation: name no other field")
    if not verdict_field or "" in (text_field, response_field, messages_field):
        raise click.UsageError("a field's name cannot be empty")
    _check_resume(input_, out, resume)
    _check_out(input_, out, model, resume)
    names = Names(text_field or TEXT, response_field, messages_field, verdict_field)
    format_name = format_of(input_, out, cast("FormatName | None", format_))
    layout = told(delimiter, quote, escape)
    if layout != Told() and format_name != "csv":
        raise click.UsageError("--delimiter, --quote and --escape are for CSV")
    if encoding is not None and format_name == "parquet":
        raise click.UsageError("--encoding is for files of text")
    encoding = None if encoding is None else check_encoding(encoding)

    def load() -> Guard:
        return Guard(model, policy=policy, **running)

    with open_input(input_, format_name, names, layout, encoding) as form:
        for words in form.notes:
            note(words)
        if out == PIPE:
            if is_plain_file(input_):
                form.content.measure(Seen())
            tally = _to_stdout(form, names, load, timeout)
        else:
            options: dict[str, object] = {
                "--format": format_name,
                "--n-ctx": running["n_ctx"],
                "--category-probabilities": running["category_probabilities"],
            }
            options |= {f"--{name}-field": value for name, value in asdict(names).items()}
            options |= {f"--{name}": value for name, value in asdict(layout).items()}
            options |= {"--encoding": encoding}
            tally = _to_file(form, names, load, input_, options, Path(out), timeout, resume=resume)
        form.content.check_still()
    return EXIT_OK if tally.errors == 0 else EXIT_ERROR


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


def _to_stdout(
    form: Format, names: Names, load: Callable[[], Guard], timeout: float | None
) -> Tally:
    stop = Stop()
    with load() as guard, Report(form, kept=" on standard output") as report, stop.listening():
        tally = to_stream(Run(form, names, guard, report, stop, timeout), sys.stdout.buffer)
    say(report.summary(tally, guard.policy.name))
    return tally


def _to_file(
    form: Format,
    names: Names,
    load: Callable[[], Guard],
    input_: str,
    options: dict[str, object],
    out: Path,
    timeout: float | None,
    *,
    resume: bool,
) -> Tally:
    stop, plain = Stop(), is_plain_file(input_)
    again = "; the same command with --resume goes on from there" if plain else ""
    kept = f", which are kept in {Files(out).partial}{again}"
    with opened(out, resume=resume) as record:
        # What the bytes of the result depend on, and a person could change before a --resume.
        content = form.content.measure(record.progressed.seen) if plain else input_
        with load() as guard, Report(form, kept) as report, stop.listening():
            identity = {
                "the input": content,
                "the model": guard.model.sha256,
                "the policy": repr(guard.policy),
                "the device": guard.device,
                **computing(guard.settings),
                **options,
            }
            tally = to_file(Run(form, names, guard, report, stop, timeout), record, out, identity)
    click.echo(report.summary(tally, guard.policy.name))
    click.echo(out)
    return tally
