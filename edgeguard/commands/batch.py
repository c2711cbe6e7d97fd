"""`edgeguard batch`: files in, the same rows with their verdicts out.

Reads the command line, reports while it runs, and sums up; edgeguard.batch does the work and the
guard judges. This module holds no logic of moderation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import click

from edgeguard.batch.encodings import check_encoding
from edgeguard.batch.formats import FORMATS, Format, FormatName, format_of, open_input
from edgeguard.batch.job import Files, Run, opened, to_file, to_stream
from edgeguard.batch.layout import Told, told
from edgeguard.batch.report import Report
from edgeguard.batch.several import Finished, inputs_of, make_folder, results_of
from edgeguard.batch.source import PIPE, Seen, is_plain_file
from edgeguard.batch.stopping import Stop
from edgeguard.batch.tally import Tally
from edgeguard.commands.identity import computing
from edgeguard.commands.options import Running, guard_options, reading_options, timeout_option
from edgeguard.console import note, say
from edgeguard.conversation.forms import AUTO
from edgeguard.conversation.forms import FORMS as MESSAGE_FORMS
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.rows import FIELDS, TEXT, VERDICT, Names
from edgeguard.errors import EXIT_ERROR, EXIT_OK, InputError
from edgeguard.guard import Guard
from edgeguard.outputs import check_outputs

Load = Callable[[], Guard]


@dataclass(frozen=True)
class Input:
    """An input and how it is read; ``told`` is what was said of a CSV file."""

    name: str
    format: FormatName
    names: Names
    told: Told
    encoding: str | None

    @contextmanager
    def open(self) -> Iterator[Format]:
        """The input, open. Raises InputError where it will not do."""
        with open_input(self.name, self.format, self.names, self.told, self.encoding) as form:
            yield form


@dataclass(frozen=True)
class Way:
    """How rows are judged, and what of that the bytes of a result depend on."""

    reading: Reading
    timeout: float | None
    n_ctx: int

    def identity(
        self, content: str, input_: Input, names: Names, guard: Guard
    ) -> dict[str, object]:
        """What a person could change before a --resume."""
        fields = {name: value for name, value in asdict(names).items() if name != "guess"}
        return {
            "the input": content,
            "the model": guard.model.sha256,
            "the policy": repr(guard.policy),
            "the device": guard.device,
            **computing(guard.settings),
            "--format": input_.format,
            "--n-ctx": self.n_ctx,
            **{f"--{name}-field": value for name, value in fields.items()},
            **{f"--{name}": value for name, value in asdict(input_.told).items()},
            "--encoding": input_.encoding,
            "--messages-format": self.reading.form,
            "--strict-messages": self.reading.strict,
            "--tool-calls": self.reading.tool_calls,
            "--skip-media": self.reading.skip_media,
        }


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
    model: str | None,
    policy: str,
    running: Running,
    timeout: float | None,
) -> int:
    """Judge every row of IN: a JSONL, JSON, CSV, Parquet or text file, or - for standard input.

    Each row is written again with its verdict added. A row that cannot be judged is reported by its
    line, gets no verdict, and does not stop the rest. Of several files, a folder of them or a
    pattern as "*.csv", each has its own result in the folder that --out names.

    Exit code: 0 every row has a verdict, flagged or not; 2 some row has none, or could not run.
    """
    names = _names(text_field, response_field, messages_field, messages_format, verdict_field)
    way = Way(replace(reading, form=messages_format), timeout, running["n_ctx"])
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
        tally = _judge_one(one, out, way, load, resume=resume)
    elif out == PIPE:
        raise click.UsageError("several inputs have several results: --out is a folder for them")
    else:
        results = results_of(several, Path(out))
        make_folder(Path(out))
        for name, result in results.items():
            _check_out(name, str(result), model, True)
        every = {input_of(name, str(result)): result for name, result in results.items()}
        _check_told(list(every))
        tally = _judge_several(every, Path(out), way, load, resume=resume)
    return EXIT_OK if tally.errors == 0 else EXIT_ERROR


def _names(
    text: str | None, response: str | None, messages: str | None, form: str, verdict: str
) -> Names:
    if messages is not None and (text is not None or response is not None):
        raise click.UsageError("--messages-field holds the whole conversation: name no other field")
    if not verdict or "" in (text, response, messages):
        raise click.UsageError("a field's name cannot be empty")
    if form != AUTO and messages is None:
        if response is not None or (text is not None and form != "chatml"):
            raise click.UsageError("--messages-format is for conversations: see --messages-field")
        messages, text = text or FIELDS[form], None
    guess = text is None and response is None and messages is None
    return Names(text or TEXT, response, messages, verdict, guess)


def _check_told(inputs: list[Input]) -> None:
    formats = {input_.format for input_ in inputs}
    if inputs[0].told != Told() and "csv" not in formats:
        raise click.UsageError("--delimiter, --quote and --escape are for CSV")
    if inputs[0].encoding is not None and formats == {"parquet"}:
        raise click.UsageError("--encoding is for files of text")


def _judge_one(input_: Input, out: str, way: Way, load: Load, *, resume: bool) -> Tally:
    with input_.open() as form:
        for words in form.notes:
            note(words)
        if out == PIPE:
            if is_plain_file(input_.name):
                form.content.measure(Seen())
            tally = _to_stdout(form, way, load)
        else:
            tally = _to_file(input_, form, way, load, Path(out), resume=resume)
        form.content.check_still()
    return tally


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


def _to_stdout(form: Format, way: Way, load: Load) -> Tally:
    stop = Stop()
    with load() as guard, Report(form.done) as report, stop.listening():
        report.reads(" on standard output")
        run = Run(form, guard, report, stop, way.timeout, way.reading)
        tally = to_stream(run, sys.stdout.buffer)
    say(report.summary(tally, guard.policy.name))
    return tally


def _to_file(
    input_: Input, form: Format, way: Way, load: Load, out: Path, *, resume: bool
) -> Tally:
    stop, plain = Stop(), is_plain_file(input_.name)
    with opened(out, resume=resume) as record:
        content = form.content.measure(record.progressed.seen) if plain else input_.name
        with load() as guard, Report(form.done) as report, stop.listening():
            report.reads(_kept(out, plain=plain))
            run = Run(form, guard, report, stop, way.timeout, way.reading)
            tally = to_file(run, record, out, way.identity(content, input_, form.names, guard))
    click.echo(report.summary(tally, guard.policy.name))
    click.echo(out)
    return tally


def _kept(out: Path, *, plain: bool) -> str:
    again = "; the same command with --resume goes on from there" if plain else ""
    return f", which are kept in {Files(out).partial}{again}"


class _Course:
    """How far a run over several inputs is, in bytes."""

    def __init__(self, inputs: Mapping[Input, Path]) -> None:
        self._sizes = {one: _size(one.name) for one in inputs}
        self._before = 0
        self._size = 0
        self._form: Format | None = None

    def reads(self, input_: Input, form: Format) -> None:
        """An input is next."""
        self._before += self._size
        self._size, self._form = self._sizes[input_], form

    def done(self) -> tuple[int, int]:
        """What is read, and what there is."""
        done, total = self._form.done() if self._form is not None else (0, 0)
        share = done / total if total else 0.0
        return self._before + int(self._size * share), sum(self._sizes.values())


def _size(name: str) -> int:
    path = Path(name)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _judge_several(
    inputs: Mapping[Input, Path], folder: Path, way: Way, load: Load, *, resume: bool
) -> Tally:
    finished, course, stop, tally = Finished(folder), _Course(inputs), Stop(), Tally()
    if finished.path.exists() and not resume:
        raise InputError(
            f"{finished.path} is there, of an earlier run: type the same command with --resume to "
            "go on with it, or remove it and the results to start again"
        )
    for input_, result in inputs.items():
        with input_.open() as form:  # what is wrong with any of them is said before the work
            for words in form.notes:
                note(words)
        if not resume:
            with opened(result, resume=False):
                pass
    with load() as guard, Report(course.done) as report, stop.listening():
        for input_, result in inputs.items():
            with input_.open() as form:
                course.reads(input_, form)
                report.reads(_kept(result, plain=True))
                run = Run(form, guard, report, stop, way.timeout, way.reading)
                counts = _one_of_several(run, input_, result, way, finished, resume=resume)
                form.content.check_still()
            report.ended(counts)
            tally += counts
        finished.remove()
    click.echo(report.summary(tally, guard.policy.name))
    for result in inputs.values():
        click.echo(result)
    return tally


def _one_of_several(
    run: Run, input_: Input, out: Path, way: Way, finished: Finished, *, resume: bool
) -> Tally:
    """Judge an input, unless an earlier run has finished it."""
    if resume and out.exists() and not Files(out).job.exists():
        content = run.form.content.measure(Seen())
        identity = way.identity(content, input_, run.form.names, run.guard)
        if (known := finished.find(out, identity)) is not None:
            return known
    with opened(out, resume=resume) as record:
        content = run.form.content.measure(record.progressed.seen)
        identity = way.identity(content, input_, run.form.names, run.guard)
        return to_file(run, record, out, identity, lambda tally: finished.add(out, identity, tally))
