"""Thresholds: the wanted rate holds on the rows, and the bound holds on others."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from labelled import judged

from edgeguard import InputError
from edgeguard.evaluation.judging import Judged
from edgeguard.evaluation.threshold import FALSE_ALARMS, RECALL, find_threshold
from edgeguard.policy import LOOSE, STRICT


def _rows(harmless: Sequence[float], harmful: Sequence[float], windows: int = 1) -> list[Judged]:
    """Rows with the given probabilities of Unsafe; nothing is Controversial."""
    pairs = [("Safe", score) for score in harmless] + [("Unsafe", score) for score in harmful]
    return [
        judged(label, "Safe", (1 - score, score, 0.0), number=n, windows=windows)  # type: ignore[arg-type]
        for n, (label, score) in enumerate(pairs)
    ]


_SCORES = st.lists(
    st.one_of(st.floats(0.001, 1), st.sampled_from([0.1, 0.5, 0.9])), min_size=20, max_size=60
)


@settings(deadline=None)
@given(harmless=_SCORES, harmful=_SCORES, wanted=st.floats(0.05, 0.95))
def test_false_alarms_keep_to_what_was_asked_and_recall_is_the_best_there_is(
    harmless: list[float], harmful: list[float], wanted: float
) -> None:
    rows = _rows(harmless, harmful)
    try:
        found = find_threshold(rows, STRICT, FALSE_ALARMS, wanted)
    except InputError:
        # Only where no threshold at a harmful score keeps to the rate.
        for score in harmful:
            assert sum(h >= score for h in harmless) > wanted * len(harmless) - 1e-6
        return
    assert sum(h >= found.value for h in harmless) == found.false_alarms
    assert sum(h >= found.value for h in harmful) == found.hits
    assert found.false_alarms <= wanted * len(harmless) + 1e-6
    for score in harmful:  # every lower threshold that flags one harmful row more breaks the rate
        if score < found.value:
            assert sum(h >= score for h in harmless) > wanted * len(harmless) - 1e-6
    assert found.bound >= found.false_alarms / len(harmless)


@settings(deadline=None)
@given(harmless=_SCORES, harmful=_SCORES, wanted=st.floats(0.05, 0.95))
def test_recall_keeps_to_what_was_asked_at_the_fewest_false_alarms(
    harmless: list[float], harmful: list[float], wanted: float
) -> None:
    found = find_threshold(_rows(harmless, harmful), STRICT, RECALL, wanted)
    assert found.hits >= wanted * len(harmful) - 1e-6
    higher = [score for score in harmful if score > found.value]
    fewer = sum(score > min(higher) for score in harmful) if higher else 0
    assert fewer < wanted * len(harmful) + 1e-6
    assert found.bound <= found.hits / len(harmful)


def test_the_bound_of_false_alarms_holds_in_95_of_100_calibrations() -> None:
    """Scores are uniform, so the true rate of a threshold t is 1 - t."""
    draw = random.Random(5)
    kept = 0
    for _ in range(400):
        harmless = [draw.random() for _ in range(200)]
        harmful = [draw.random() for _ in range(50)] + [0.9999]
        found = find_threshold(_rows(harmless, harmful), STRICT, FALSE_ALARMS, 0.05)
        kept += 1 - found.value <= found.bound
    assert kept / 400 > 0.92


def test_the_bound_of_recall_holds_in_95_of_100_calibrations() -> None:
    draw = random.Random(6)
    kept = 0
    for _ in range(400):
        harmful = [draw.random() for _ in range(200)]
        found = find_threshold(_rows([0.5] * 20, harmful), STRICT, RECALL, 0.9)
        kept += 1 - found.value >= found.bound
    assert kept / 400 > 0.92


def test_the_harmful_class_is_the_bases() -> None:
    rows = [judged("Controversial", "Safe", (0.5, 0.1, 0.4), number=n) for n in range(50)]
    rows += [judged("Safe", "Safe", (0.8, 0.1, 0.1), number=50 + n) for n in range(50)]
    rows += [judged("Unsafe", "Unsafe", (0.1, 0.8, 0.1), number=100 + n) for n in range(50)]
    strict = find_threshold(rows, STRICT, RECALL, 0.9)
    assert (strict.harmful, strict.harmless) == (100, 50)
    assert 0.2 < strict.value < 0.5
    loose = find_threshold(rows, LOOSE, RECALL, 0.9)
    assert (loose.harmful, loose.harmless) == (50, 100)
    assert 0.1 < loose.value < 0.8


@pytest.mark.parametrize(
    ("harmless", "harmful", "target", "wanted", "said"),
    [
        ([0.1] * 50, [], FALSE_ALARMS, 0.1, "no harmful row"),
        ([], [0.1] * 50, RECALL, 0.9, "no harmless row"),
        ([0.1] * 49, [0.9], FALSE_ALARMS, 0.02, "49 harmless rows, too few .* at least 50"),
        ([0.1], [0.9] * 19, RECALL, 0.95, "19 harmful rows, too few .* at least 20"),
        ([0.9] * 50, [0.5] * 5, FALSE_ALARMS, 0.02, "would flag no row"),
        ([0.0] * 50, [0.0] * 50, RECALL, 0.9, "would flag every row"),
        ([0.1] * 50, [0.9] * 50, FALSE_ALARMS, 0.0, "between 0 and 1"),
        ([0.1] * 50, [0.9] * 50, RECALL, 1.0, "between 0 and 1"),
        ([0.1] * 50, [0.9] * 50, RECALL, float("nan"), "between 0 and 1"),
        ([0.1] * 50, [0.9] * 50, FALSE_ALARMS, 2, "between 0 and 1"),
    ],
)
def test_what_the_rows_cannot_give_is_refused(
    harmless: list[float], harmful: list[float], target: str, wanted: float, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        find_threshold(_rows(harmless, harmful), STRICT, target, wanted)


def test_rows_of_several_windows_and_unknown_label_are_left_out() -> None:
    rows = _rows([0.1] * 50, [0.9] * 50)
    more = [*rows, *_rows([0.99] * 50, [], windows=2), judged(None, "Unsafe")]
    assert find_threshold(more, STRICT, FALSE_ALARMS, 0.02) == find_threshold(
        rows, STRICT, FALSE_ALARMS, 0.02
    )


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_rate_of_a_round_number_of_rows_is_that_many_rows(part: int, whole: int) -> None:
    assume(part < whole)
    harmless = [n / whole for n in range(whole)]
    found = find_threshold(_rows(harmless, [1.0] * 100), STRICT, FALSE_ALARMS, part / whole)
    assert found.false_alarms == part
