"""`edgeguard eval`: measured quality on labelled rows, in a terminal, as JSON and as a page.

Reads the command line, shows progress and writes the results; edgeguard.evaluation measures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeguard.commands.options import guard_options
from edgeguard.console import note, progress_bar, terminal_width
from edgeguard.errors import EXIT_ERROR, EXIT_OK
from edgeguard.guard import Guard

if TYPE_CHECKING:
    from edgeguard.evaluation.rows import Row
    from edgeguard.evaluation.summary import Data


@click.command(name="eval")
@click.argument("data", nargs=-1, required=True)
@guard_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N rows of a set.")
@click.option("--seed", default=0, show_default=True, help="Which rows --limit draws.")
@click.option("--json", "json_file", metavar="FILE", help="All figures as JSON; - is stdout.")
@click.option("--html", "html_file", metavar="FILE", help="A page with tables and plots.")
def command(
    data: tuple[str, ...],
    model: str | None,
    policy: str,
    threads: int | None,
    n_ctx: int,
    device: str,
    limit: int | None,
    seed: int,
    json_file: str | None,
    html_file: str | None,
) -> int:
    """Measure a model on the labelled rows of DATA: files (.jsonl, .jsonl.gz) or folders of them.

    Exit code: 0 every row was judged, 2 some row was not, or it could not run.
    """
    from edgeguard.evaluation.extra import require_extra
    from edgeguard.evaluation.output import check_writable

    require_extra()
    check_writable(json_file, html_file)
    rows, described = _rows(data, limit, seed)
    options = {"threads": threads, "n_ctx": n_ctx, "device": device}
    return _one(rows, described, model, policy, options, json_file, html_file)


def _rows(data: tuple[str, ...], limit: int | None, seed: int) -> tuple[list[Row], Data]:
    from edgeguard.evaluation.rows import digest_of, read_rows, sample
    from edgeguard.evaluation.summary import Data

    every = read_rows(data)
    rows = every if limit is None else sample(every, limit, seed)
    names = tuple(Path(path).resolve().name for path in data)
    return rows, Data(names, digest_of(rows), len(rows), len(every), limit, seed)


def _one(
    rows: list[Row],
    data: Data,
    model: str | None,
    policy: str,
    options: dict[str, Any],
    json_file: str | None,
    html_file: str | None,
) -> int:
    from edgeguard.evaluation.judging import judge
    from edgeguard.evaluation.output import write
    from edgeguard.evaluation.page import page
    from edgeguard.evaluation.sections import as_text, failures, sections_of
    from edgeguard.evaluation.summary import summarise
    from edgeguard.evaluation.wording import heading
    from edgeguard.store import find_policy

    with Guard(model, policy=policy, **options) as guard, progress_bar("judging") as progress:
        outcome = judge(rows, lambda row: guard.check_messages(row.messages), progress)
    summary = summarise(outcome, data, guard.model, find_policy(policy))
    if json_file is not None:
        write(json_file, json.dumps(summary.to_dict(), ensure_ascii=False) + "\n")
    if html_file is not None:
        write(html_file, page(summary))
    if json_file != "-":
        text = as_text(sections_of(summary), terminal_width())
        click.echo(f"{heading(summary)}\n\n{text}\n\n{summary.intervals}")
    if outcome.failed:
        note(f"error: {failures(outcome.failed)}")
    return EXIT_ERROR if outcome.failed else EXIT_OK
