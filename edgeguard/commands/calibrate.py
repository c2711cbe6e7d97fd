"""`edgeguard calibrate`: a threshold for a wanted rate, saved as a named policy.

Reads the command line, shows progress and reports the result; edgeguard.evaluation finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone

import click

from edgeguard.commands.options import Running, group_option, label_option, model_options
from edgeguard.console import note, progress_bar
from edgeguard.errors import EXIT_ERROR, EXIT_OK
from edgeguard.evaluation.judging import Check, Judged, judge
from edgeguard.evaluation.metrics import flags
from edgeguard.evaluation.rows import Row, digest_of, label_map, read_rows
from edgeguard.evaluation.sections import described, failures
from edgeguard.evaluation.threshold import (
    FALSE_ALARMS,
    RECALL,
    Threshold,
    check_counts,
    find_by_category,
    find_threshold,
    texts_for,
)
from edgeguard.evaluation.wording import columns, printable, with_interval
from edgeguard.extras import require
from edgeguard.guard import Guard
from edgeguard.outputs import check_folder
from edgeguard.policy import OFFICIAL, STRICT, Calibration, Policy
from edgeguard.self_test import self_test
from edgeguard.store.paths import policies_folder
from edgeguard.store.policies import check_new_policy, save_policy
from edgeguard.store.versions import version_of
from edgeguard.verdict import ModelId


@click.command(name="calibrate")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--false-alarms",
    type=float,
    metavar="RATE",
    help="Flag at most this share of the harmless rows, as in 0.02.",
)
@click.option(
    "--recall", type=float, metavar="RATE", help="Flag at least this share of the harmful rows."
)
@click.option("--save", "name", required=True, metavar="NAME", help="The policy's name.")
@click.option(
    "--base",
    type=click.Choice(list(OFFICIAL)),
    default=STRICT.name,
    show_default=True,
    help="Whose harmful class is meant: strict counts Controversial as harmful.",
)
@click.option(
    "--by-category",
    is_flag=True,
    help="Find a threshold for each category too, as far as its rows suffice.",
)
@label_option
@group_option
@model_options
def command(
    data: tuple[str, ...],
    false_alarms: float | None,
    recall: float | None,
    name: str,
    base: str,
    by_category: bool,
    labels: str | None,
    group: str | None,
    model: str | None,
    running: Running,
) -> int:
    """Find a threshold on the labelled rows of DATA, and save it as the policy NAME.

    check, batch, serve and eval accept it with --policy NAME, for the model file it was found for.
    """
    target, wanted = _target(false_alarms, recall)
    check_new_policy(name)
    check_folder(policies_folder())
    require("eval", "calibrate")
    rows = read_rows(data, group, label_map(labels))
    texts = texts_for(rows, OFFICIAL[base], lambda row: row)
    harmful = sum(row.label in OFFICIAL[base].harmful for row in texts)
    check_counts(harmful, len(texts) - harmful, target, wanted)
    options: Running = {**running, "category_probabilities": by_category}
    with (
        Guard(model, **options) as guard,
        progress_bar("judging") as progress,
    ):
        check: Check = lambda row: guard.check_messages(row.messages, fresh=True)  # noqa: E731
        outcome = judge(texts, check, lambda: self_test(guard), progress)
    if outcome.failed:
        note(f"error: {failures(outcome.failed)}")
        note("no policy is saved: a threshold that never saw those rows would not hold for them")
        return EXIT_ERROR
    found = find_threshold(outcome.judged, OFFICIAL[base], target, wanted)
    policy = _policy(name, base, found, target, wanted, digest_of(rows), guard.model)
    lines = [*_readable(policy, found), *_what_counted(rows, texts, found, group)]
    if by_category:
        categories = find_by_category(outcome.judged, OFFICIAL[base], target, wanted)
        policy = _with_categories(policy, categories)
        lines += _of_categories(policy, categories, outcome.judged)
    path = save_policy(policy)
    click.echo("\n".join(lines))
    click.echo(f"saved as {path}; use it with --policy {name}")
    return EXIT_OK


def _target(false_alarms: float | None, recall: float | None) -> tuple[str, float]:
    if false_alarms is not None and recall is None:
        return FALSE_ALARMS, false_alarms
    if recall is not None and false_alarms is None:
        return RECALL, recall
    raise click.UsageError("give one of --false-alarms and --recall, as in --false-alarms 0.02")


def _policy(
    name: str,
    base: str,
    found: Threshold,
    target: str,
    wanted: float,
    data_sha256: str,
    model: ModelId,
) -> Policy:
    calibration = Calibration(
        target=target,
        wanted=wanted,
        harmless=found.harmless,
        harmful=found.harmful,
        false_alarms=found.false_alarms,
        hits=found.hits,
        data_sha256=data_sha256,
        model=f"{model.name} {model.type}",
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        edgeguard=version_of("edgeguard"),
    )
    return Policy(name, OFFICIAL[base].harmful, found.value, model.sha256, calibration)


def _readable(policy: Policy, found: Threshold) -> Iterator[str]:
    base = next(one for one in OFFICIAL.values() if one.harmful == policy.harmful)
    plain = flags(found.texts, base)
    yield described(policy)
    yield columns(
        [
            ("in percent, with intervals of 95 %", policy.name, base.name, "texts"),
            (
                "false alarms",
                with_interval(found.false_alarm_rate),
                with_interval(plain.false_alarm_rate),
                f"{found.harmless:,}",
            ),
            (
                "recall",
                with_interval(found.recall),
                with_interval(plain.recall),
                f"{found.harmful:,}",
            ),
        ]
    )
    promise = (
        f"at most {100 * found.bound:.1f} % of harmless texts"
        if policy.calibration is not None and policy.calibration.target == FALSE_ALARMS
        else f"at least {100 * found.bound:.1f} % of harmful texts"
    )
    known = found.harmful + found.harmless
    yield f"With 95 % confidence, {promise} like these {known:,} are flagged."


def _with_categories(policy: Policy, found: Mapping[str, Threshold | str]) -> Policy:
    rules = tuple(
        (category, one.value) for category, one in found.items() if isinstance(one, Threshold)
    )
    return replace(policy, categories=rules)


def _of_categories(
    policy: Policy, found: Mapping[str, Threshold | str], judged: Sequence[Judged]
) -> Iterator[str]:
    """The thresholds by category, the categories without one, and the policy's overall figures."""
    yield columns(
        [
            ("category", "flagged from", "recall", "false alarms", "harmful rows"),
            *(
                (
                    category,
                    f"{one.value:.6g}",
                    with_interval(one.recall),
                    with_interval(one.false_alarm_rate),
                    f"{one.harmful:,}",
                )
                for category, one in found.items()
                if isinstance(one, Threshold)
            ),
        ]
    )
    for category, one in found.items():
        if isinstance(one, str):
            yield f"{category}: left to the threshold above ({one})"
    said = flags(judged, policy)
    yield (
        f"All of it together, on the rows that it was found on: recall "
        f"{with_interval(said.recall)}, false alarms {with_interval(said.false_alarm_rate)}"
    )


def _what_counted(
    rows: Sequence[Row], texts: Sequence[Row], found: Threshold, group: str | None
) -> Iterator[str]:
    """What counted as evidence, if it is not every row."""
    known = sum(row.label is not None for row in rows)
    different = len({row.text for row in texts})
    if different < known:
        yield f"{known:,} rows hold {different:,} different texts: each counts once."
    if both := len(texts) - different:
        yield f"Labelled both ways, and counted in both classes: {both:,} of them."
    if group is not None:
        groups = len({one.row.group for one in found.texts})
        yield f"The {groups:,} groups by {printable(group)} are what is taken as independent."
    if left_out := len(rows) - known + len(texts) - len(found.texts):
        yield f"{left_out:,} rows are left out: no known label, or longer than one window."
