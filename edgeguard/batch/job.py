"""One run: starts or resumes it, keeps what is done safe, gives the result its name at the end.

While the model works there are two files beside the result: ``OUT.partial`` grows row by row, and
``OUT.job`` is the record (edgeguard.batch.record). The record's place is at most a second behind;
rows after it are written again from the verdicts that the record holds. Killed anywhere, a run
goes on to the same bytes as an undisturbed one.

This module knows no format and prints nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol

from edgeguard.batch.blocks import judged_in_blocks
from edgeguard.batch.formats import Format
from edgeguard.batch.judging import Known, Limits, Outcome, judged
from edgeguard.batch.output import Partial
from edgeguard.batch.record import Progressed, Record
from edgeguard.batch.rows import START, Place, nothing
from edgeguard.batch.stopping import Stop
from edgeguard.batch.tally import Tally
from edgeguard.conversation.reader import PLAIN, Reading
from edgeguard.conversation.recent import Memory, Recent
from edgeguard.digest import sha256_of
from edgeguard.errors import CancelledError, InputError, OutputError
from edgeguard.guard import Guard
from edgeguard.outputs import publish, writing

_SAVE_SECONDS = 1.0


class Watch(Protocol):
    """Whoever wants to see a run."""

    def begun(self, tally: Tally) -> None:
        """The first row is next; the tally is not empty in a run that is resumed."""

    def row(self, outcome: Outcome, tally: Tally) -> None:
        """A row has been written."""

    def kept(self, rows: int) -> None:
        """The run ends early; so many rows are safe."""


@dataclass(frozen=True)
class Run:
    """What is judged, by whom, and who looks on."""

    form: Format
    guard: Guard
    watch: Watch
    stop: Stop
    timeout: float | None = None
    reading: Reading = PLAIN
    exact: bool = True

    def outcomes(self, start: Place, memory: Memory[Known]) -> Iterator[Outcome]:
        """The outcome of each row from a place on; KeyboardInterrupt where the person stops it."""
        rows = self.stop.between(self.form.rows(start))
        limits = Limits(self.timeout, self.stop.cancel, self.reading)
        judge = judged if self.exact else judged_in_blocks
        try:
            yield from judge(rows, self.guard, self.form.names, memory, self.form.unit, limits)
        except CancelledError:
            raise KeyboardInterrupt from None  # the row that it was at is judged again on a resume

    def encode(self, outcome: Outcome) -> bytes:
        """The row as it is written."""
        return self.form.encode(outcome.row, outcome.verdict, outcome.error)


@dataclass(frozen=True)
class Files:
    """The result and the two files beside it."""

    out: Path

    @property
    def partial(self) -> Path:
        """What is written so far."""
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def job(self) -> Path:
        """The record."""
        return self.out.with_name(f"{self.out.name}.job")


def to_stream(run: Run, stream: IO[bytes]) -> Tally:
    """Judge all rows into a stream, each as soon as it is there. Nothing is kept for later."""
    tally, recent = Tally(), Recent[Known]()
    run.watch.begun(tally)
    stream.write(run.form.head)
    for outcome in run.outcomes(START, recent):
        stream.write(run.encode(outcome))
        stream.flush()
        tally.add(outcome)
        run.watch.row(outcome, tally)
    if tally.rows == 0:
        raise nothing("the input")
    stream.write(run.form.tail)
    run.form.content.check_read()
    return tally


@contextmanager
def opened(out: Path, *, resume: bool) -> Iterator[Record]:
    """Take hold of a result's place: nobody else writes it, and nothing there would be lost.

    Raises OutputError: the result exists, a run was left there and ``resume`` is false, another
    process is writing it, or the folder will not do.
    """
    files = Files(out)
    _check_free(files)
    with Record(files.job) as record:
        at = record.progressed if record.identity else None
        if at is not None and not resume:
            raise OutputError(
                f"{files.partial} is there, of an earlier run that wrote {at.tally.rows:,} rows: "
                "type the same command with --resume to go on with it, or remove "
                f"{files.partial} and {files.job} to start again"
            )
        if os.path.lexists(out) and not _is_ours(out, at):
            raise OutputError(f"{out} exists: remove it, or give another --out")
        yield record


def _is_ours(out: Path, at: Progressed | None) -> bool:
    """Whether a run was killed between giving the result its name and the end."""
    with writing(out):
        return at is not None and at.made != "" and at.made == sha256_of(out)


def to_file(
    run: Run,
    record: Record,
    out: Path,
    identity: Mapping[str, object],
    finished: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """Judge all rows that the record does not have yet, and put the result in its place.

    ``identity`` is everything that the bytes of the result depend on. ``finished`` is called when
    the result is there and the record still is. Raises OutputError: it is not that of the run to be
    resumed, or a file cannot be written.
    """
    files = Files(out)
    known = record.identity
    if known is None:
        record.begin(identity)
    elif known != identity:
        raise OutputError(_different(files, known, identity))
    at = record.progressed
    if not at.complete:
        at = _judge(run, record, files, at)
    if at.tally.rows == 0:
        files.partial.unlink(missing_ok=True)
        record.remove()
        raise nothing("the input")
    if not os.path.lexists(out):
        try:
            with _naming(files):
                made = run.form.result(files.partial)
            record.save(replace(at, made=sha256_of(made)))
            publish(made, out)
        except InputError:
            raise  # the input has changed, and there is nothing to go on with
        except BaseException:
            run.watch.kept(at.tally.rows)
            raise
    files.partial.unlink(missing_ok=True)
    finished(at.tally)
    record.remove()
    return at.tally


def _judge(run: Run, record: Record, files: Files, at: Progressed) -> Progressed:
    """Write the rows from a place on; save the place each second, and whatever ends the run."""
    tally, saved = at.tally.copy(), time.monotonic()
    with Partial(files.partial, at.written) as partial:
        run.watch.begun(tally)
        if at.written == 0:
            partial.append(run.form.head)
        try:
            for outcome in run.outcomes(at.place, record):
                partial.append(run.encode(outcome))
                tally.add(outcome)
                if outcome.settled:
                    place, written = outcome.row.after, partial.size
                    at = replace(at, place=place, written=written, tally=tally.copy())
                run.watch.row(outcome, tally)
                if outcome.settled and time.monotonic() - saved > _SAVE_SECONDS:
                    _save(partial, record, at, run.form)
                    saved = time.monotonic()
        except BaseException:
            # The first error is the one to tell of. The place that was saved last is good too.
            with suppress(OutputError):
                _save(partial, record, at, run.form)
            run.watch.kept(at.tally.rows)
            raise
        with _naming(files):
            run.form.content.check_read()
        partial.append(run.form.tail)
        at = replace(at, written=partial.size, complete=True)
        try:
            _save(partial, record, at, run.form)
        except OutputError:
            run.watch.kept(at.tally.rows)
            raise
    return at


@contextmanager
def _naming(files: Files) -> Iterator[None]:
    """Say of an input that has changed where the rest of the run is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error}; {files.partial} and {files.job} are what is left") from error


def _save(partial: Partial, record: Record, at: Progressed, form: Format) -> None:
    """Write down a place, when the rows before it are on the disk."""
    partial.sync()
    record.save(replace(at, seen=form.content.seen))


def _check_free(files: Files) -> None:
    """See that nothing lies where a new run would write."""
    if files.job.exists():
        return
    if os.path.lexists(files.out):
        raise OutputError(f"{files.out} exists: remove it, or give another --out")
    for left in (files.partial, files.partial.with_name(f"{files.partial.name}-parquet")):
        if os.path.lexists(left):
            raise OutputError(
                f"{left} is there without {files.job.name}: remove it, or give another --out"
            )


def _different(files: Files, known: Mapping[str, object], now: Mapping[str, object]) -> str:
    changes = [
        f"{name} was {_short(known.get(name))} and is {_short(now[name])}"
        for name in now
        if known.get(name) != now[name]
    ]
    return (
        f"{files.partial} cannot be gone on with: {'; '.join(changes)}. Give what was given then, "
        f"or remove {files.partial} and {files.job} to start again"
    )


def _short(value: object) -> str:
    """A value as a person can read it: of a sha256, the start."""
    text = str(value)
    return text if len(text) < 64 else f"{text[:12]}…"
