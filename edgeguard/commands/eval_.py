"""`edgeguard eval`: measured quality on labelled rows, in a terminal, as JSON and as a page.

Reads the command line, shows progress and writes the results; edgeguard.evaluation measures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from edgeguard.commands.identity import computing
from edgeguard.commands.options import Running, group_option, guard_options, label_option
from edgeguard.console import note, progress_bar, terminal_width
from edgeguard.errors import EXIT_ERROR, EXIT_OK
from edgeguard.evaluation.comparison import compare as compare_runs
from edgeguard.evaluation.comparison_page import (
    answer,
    comparison_heading,
    comparison_page,
    comparison_sections,
)
from edgeguard.evaluation.judging import Check, Failed, judge
from edgeguard.evaluation.models import judge_with_all
from edgeguard.evaluation.page import page
from edgeguard.evaluation.records import header, recorded
from edgeguard.evaluation.rows import Row, is_data, label_map, read_rows, sample
from edgeguard.evaluation.sections import as_text, failures, sections_of
from edgeguard.evaluation.summary import Data, data_of, summarise
from edgeguard.evaluation.wording import heading
from edgeguard.extras import require
from edgeguard.guard import Guard
from edgeguard.outputs import STDOUT, check_outputs, write_new
from edgeguard.self_test import self_test


@click.command(name="eval")
@click.argument("arguments", metavar="DATA...", nargs=-1, required=True)
@click.option(
    "--compare",
    is_flag=True,
    help="The arguments that are no data name models to compare; the first is the reference.",
)
@guard_options
@label_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N rows of a set.")
@group_option
@click.option("--seed", default=0, show_default=True, help="Which rows --limit draws.")
@click.option(
    "--records",
    metavar="FILE",
    help="Keep each verdict here, without its text; a run that was cut goes on from it.",
)
@click.option("--json", "json_file", metavar="FILE", help="All figures as JSON; - is stdout.")
@click.option("--html", "html_file", metavar="FILE", help="A page with tables and plots.")
@click.pass_context
def command(
    context: click.Context,
    arguments: tuple[str, ...],
    compare: bool,
    model: str | None,
    policy: str,
    running: Running,
    labels: str | None,
    limit: int | None,
    group: str | None,
    seed: int,
    records: str | None,
    json_file: str | None,
    html_file: str | None,
) -> int:
    """Measure a model on the labelled rows of DATA: files (.jsonl, .jsonl.gz) or folders of them.

    To compare models, by name or GGUF file, on the same rows:

        edgeguard eval --compare bf16.gguf q8_0.gguf q4_k_m.gguf rows.jsonl

    Exit code: 0 every row was judged, 2 some row was not, or it could not run.
    """
    models, data = _split(context, arguments, compare)
    require("eval", "eval")
    inputs = {f"the input {name}": name for name in data}
    inputs |= {f"the model {name}": name for name in [*models, *([model] if model else [])]}
    outputs = {"--json": json_file, "--html": html_file}
    check_outputs(outputs, inputs, own={"--records": records})
    rows, described = _rows(data, limit, seed, group, label_map(labels))
    options = dict(running)
    if compare and records is not None:
        raise click.UsageError("--records keeps the verdicts of one model: not with --compare")
    if compare:
        result = _several(rows, described, models, options)
    else:
        result = _one(rows, described, model, policy, options, records)
    # First, so that nothing is computed in vain if the disk is full.
    if STDOUT not in (json_file, html_file):
        click.echo(result.text)
    if json_file is not None:
        write_new(json_file, json.dumps(result.values, ensure_ascii=False) + "\n")
    if html_file is not None:
        write_new(html_file, result.page())
    if result.failed:
        note(f"error: {failures(result.failed)}")
    return EXIT_ERROR if result.failed else EXIT_OK


@dataclass(frozen=True)
class _Result:
    """What is shown of a run: as JSON, as a page, and in the terminal."""

    values: dict[str, Any]
    page: Callable[[], str]
    text: str
    failed: tuple[Failed, ...]


def _split(
    context: click.Context, arguments: tuple[str, ...], compare: bool
) -> tuple[list[str], list[str]]:
    """The arguments that name models, and those that name data."""
    data = [argument for argument in arguments if is_data(argument)]
    others = [argument for argument in arguments if not is_data(argument)]
    if not compare:
        if any(argument.lower().endswith(".gguf") for argument in others):
            raise click.UsageError("a model is named with --model; several with --compare")
        return [], list(arguments)
    for name in ("model", "policy"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--compare judges with the models it names: leave out --{name}")
    if len(others) < 2:
        raise click.UsageError("--compare needs two models at least, by name or .gguf file")
    if not data:
        raise click.UsageError("--compare needs labelled rows too: .jsonl files, or a folder")
    return others, data


def _rows(
    data: list[str], limit: int | None, seed: int, group: str | None, labels: Mapping[str, str]
) -> tuple[list[Row], Data]:
    every = read_rows(data, group, labels)
    rows = every if limit is None else sample(every, limit, seed)
    names = [Path(path).resolve().name for path in data]
    return rows, data_of(names, rows, len(every), limit=limit, seed=seed, group=group)


def _one(
    rows: list[Row],
    data: Data,
    model: str | None,
    policy: str,
    options: dict[str, Any],
    records: str | None,
) -> _Result:
    with ExitStack() as stack:
        guard = stack.enter_context(Guard(model, policy=policy, **options))

        check: Check = lambda row: guard.check_messages(row.messages, fresh=True)  # noqa: E731
        if records is not None:
            how = {**computing(guard.settings), "the device": guard.device}
            belongs_to = header(guard.model, guard.policy, options["n_ctx"], data.sha256, how)
            check = stack.enter_context(recorded(records, belongs_to, check))
        try:
            progress = stack.enter_context(progress_bar("judging"))
            outcome = judge(rows, check, lambda: self_test(guard), progress)
        except KeyboardInterrupt:
            if records is not None:
                note(f"what was judged is kept in {records}: the same command goes on from there")
            raise
    summary = summarise(outcome, data, guard.model, guard.policy)
    tables = as_text(sections_of(summary), terminal_width())
    return _Result(
        values=summary.to_dict(),
        page=lambda: page(summary),
        text=f"{heading(summary)}\n\n{tables}\n\n{summary.intervals}",
        failed=outcome.failed,
    )


def _several(rows: list[Row], data: Data, models: list[str], options: dict[str, Any]) -> _Result:
    with progress_bar("judging") as progress:
        runs, failed = judge_with_all(models, rows, options, progress)
    found = compare_runs(runs, data, failed)
    tables = as_text(comparison_sections(found, all_flips=False), terminal_width())
    ending = f"{found.intervals}\n{found.rule}\n\n{answer(found)}"
    return _Result(
        values=found.to_dict(),
        page=lambda: comparison_page(found),
        text=f"{comparison_heading(found)}\n\n{tables}\n\n{ending}",
        failed=found.failed,
    )
