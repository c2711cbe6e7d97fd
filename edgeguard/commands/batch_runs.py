"""The runs behind `edgeguard batch`: over one input, or over several into a folder.

What is given to edgeguard.batch, and what is said on the way. This module reads no command line and
holds no logic of moderation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from edgeguard.batch.formats import Format, FormatName, open_input
from edgeguard.batch.job import Files, Run, opened, to_file, to_stream
from edgeguard.batch.layout import Told
from edgeguard.batch.report import Report
from edgeguard.batch.several import Finished
from edgeguard.batch.source import PIPE, Seen, is_plain_file
from edgeguard.batch.stopping import Stop
from edgeguard.batch.tally import Tally
from edgeguard.commands.identity import computing
from edgeguard.console import note, say
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.rows import Names
from edgeguard.errors import InputError
from edgeguard.guard import Guard

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
    exact: bool
    n_ctx: int
    category_probabilities: bool

    def run(self, name: str, form: Format, guard: Guard, report: Report, stop: Stop) -> Run:
        """The run over an open input."""
        # What comes through a pipe is judged as it comes, and what has its own time, by itself.
        exact = self.exact or self.timeout is not None or not is_plain_file(name)
        return Run(form, guard, report, stop, self.timeout, self.reading, exact)

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
            "--exact": self.exact,
            "--category-probabilities": self.category_probabilities,
            **{f"--{name}-field": value for name, value in fields.items()},
            **{f"--{name}": value for name, value in asdict(input_.told).items()},
            "--encoding": input_.encoding,
            "--messages-format": self.reading.form,
            "--strict-messages": self.reading.strict,
            "--tool-calls": self.reading.tool_calls,
            "--skip-media": self.reading.skip_media,
        }


def judge_one(input_: Input, out: str, way: Way, load: Load, *, resume: bool) -> Tally:
    """Judge an input into a file, or to standard output; the summary is printed."""
    with input_.open() as form:
        for words in form.notes:
            note(words)
        if out == PIPE:
            if is_plain_file(input_.name):
                form.content.measure(Seen())
            tally = _to_stdout(input_, form, way, load)
        else:
            tally = _to_file(input_, form, way, load, Path(out), resume=resume)
        form.content.check_still()
    return tally


def _to_stdout(input_: Input, form: Format, way: Way, load: Load) -> Tally:
    stop = Stop()
    with load() as guard, Report(form.done) as report, stop.listening():
        report.reads(" on standard output")
        run = way.run(input_.name, form, guard, report, stop)
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
            run = way.run(input_.name, form, guard, report, stop)
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


def judge_several(
    inputs: Mapping[Input, Path], folder: Path, way: Way, load: Load, *, resume: bool
) -> Tally:
    """Judge several inputs, each into its result in the folder; the summary is printed."""
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
                run = way.run(input_.name, form, guard, report, stop)
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
