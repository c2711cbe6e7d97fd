"""`edgeguard tune`: measures how a model runs best on this machine, and keeps what is best.

This module measures nothing itself.
"""

from __future__ import annotations

import os
from contextlib import closing

import click

from edgeguard.arguments import N_CTX
from edgeguard.commands.options import file_options
from edgeguard.console import note
from edgeguard.errors import EXIT_OK
from edgeguard.loading import Options, prepare
from edgeguard.outputs import check_folder
from edgeguard.session.cpu import usable_cores
from edgeguard.session.settings import Settings
from edgeguard.store import ModelFile, resolve
from edgeguard.store.model_file import types_of
from edgeguard.store.paths import tuning_folder
from edgeguard.store.preferred import prefer
from edgeguard.tuning.measure import (
    WORDS,
    Measured,
    Plain,
    Tuned,
    computes_plain,
    loads_plain,
    tune,
)

_BUSY = 0.7  # processes that compute, on average over the last minute


@click.command(name="tune")
@file_options
def command(model: str | None, device: str) -> int:
    """Measure how a model runs best on this machine, and keep that for later checks.

    Threads, batch size, flash attention, how many short texts share a pass, and whether plain
    weights are faster than those that llama.cpp rearranges for the processor, for a server or for a
    command that judges one text. A bare name that is installed in several types is
    measured in all of them, and means the fastest one from then on. Takes some minutes on a laptop;
    let the machine do nothing else.
    """
    files = types_of(model) or (resolve(model),)
    check_folder(tuning_folder())
    _warn_if_busy()
    columns = (*(f"{n} words" for n in WORDS), "together")
    click.echo(_row("model", "threads", "batch", "attention", "texts", *columns))
    found = {file: _tune(file, device) for file in files}
    for file, (tuned, plain) in found.items():
        click.echo(f"kept for {file.full_name}: {_described(tuned)}{_weights(plain)}")
    if len(files) > 1:
        fastest = min(found, key=lambda file: found[file][0].best.mean)
        prefer(fastest.name, fastest.full_name)
        click.echo(f"{fastest.name} now means {fastest.full_name}, the fastest")
    return EXIT_OK


def _warn_if_busy() -> None:
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > _BUSY:
        note("this machine is busy: what is measured now may not be the best when it is idle")


def _tune(file: ModelFile, device: str) -> tuple[Tuned, Plain | None]:
    """Measure and keep; None of the weights where only plain ones work."""
    # Here and not above: `edgeguard --help` does not load llama.cpp.
    from edgeguard.session.library import library_identity
    from edgeguard.session.llama import LlamaSession
    from edgeguard.session.stop_flag import StopFlag
    from edgeguard.session.thread import ModelThread
    from edgeguard.trial import tried
    from edgeguard.tuning.record import remember

    note(f"measuring {file.full_name}")
    plan = tried(prepare(file, Options(None, N_CTX, device, allow_random_weights=True)))
    flag = StopFlag()
    thread = ModelThread(flag)

    def make(plain: bool) -> LlamaSession:
        return LlamaSession(file.path, device=device, flag=flag, mapped_weights=plain)

    def compare() -> Plain | None:
        if plan.plain_weights:
            return None
        with closing(make(False)) as rearranged, closing(make(True)) as plain:
            found = computes_plain(rearranged, plain, Settings(usable_cores()))
        click.echo(f"{file.full_name:<20}  plain weights: {_gain(found)}")
        return found

    def settings() -> Tuned:
        with closing(make(plain)) as session:
            return tune(session, usable_cores(), lambda one: click.echo(_measured(file, one)))

    def loads() -> bool:
        faster, seconds = loads_plain(make, tuned.best.settings)
        words = ("rearranged for the processor", "plain weights")
        for kind, time in zip(words, seconds):
            click.echo(f"{file.full_name:<20}  load and judge one text, {kind}: {time:.3f} s")
        return faster

    try:
        weights = thread.run(compare)
        plain = weights is None or weights.is_faster
        tuned = thread.run(settings)
        in_one_shot = plain or thread.run(loads)
    finally:
        thread.stop(abort=True)
    remember(
        plan.model.sha256,
        library_identity(),
        tuned.best.settings,
        plain=plain,
        plain_in_one_shot=in_one_shot,
    )
    return tuned, weights


def _measured(file: ModelFile, one: Measured) -> str:
    settings = one.settings
    attention = "flash" if settings.flash_attention else "plain"
    times = [f"{seconds:.3f} s" for seconds in one.seconds]
    cells = ["–"] * len(WORDS) + times if one.together else [*times, "–"]
    numbers = (str(settings.threads), str(settings.n_batch), attention, str(settings.sequences))
    return _row(file.full_name, *numbers, *cells)


def _described(tuned: Tuned) -> str:
    settings = tuned.best.settings
    attention = "flash attention" if settings.flash_attention else "no flash attention"
    gain = "the defaults are best here"
    if settings != Settings(usable_cores()):
        gain = (
            f"{tuned.alone:.2f} times the speed of the defaults for one text, "
            f"{tuned.together:.2f} for several"
        )
    return (
        f"{settings.threads} threads, batches of {settings.n_batch}, {attention}, "
        f"{settings.sequences} texts in a pass: {gain}"
    )


def _weights(plain: Plain | None) -> str:
    if plain is None:
        return "; plain weights, since only they work here"
    return f"; plain weights, {_gain(plain)}" if plain.is_faster else ""


def _gain(plain: Plain) -> str:
    alone, together = f"{plain.alone:.2f}", f"{plain.together:.2f}"
    return f"{alone} times the speed of rearranged ones for one text, {together} for several"


def _row(model: str, *cells: str) -> str:
    return f"{model:<20}" + "".join(f"{cell:>10}" for cell in cells)
