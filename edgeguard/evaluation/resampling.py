"""Confidence bounds for figures computed from cell counts of grouped rows.

The method is a Bayesian bootstrap over groups with one extra group of the worst kind: each group
gets a random weight, and so does a group of the usual size that went completely wrong (for the
upper end, completely right). There is no normal approximation. For rows that are their own groups
and fall into two cells, this is exactly the Clopper-Pearson interval; for the mean of any bounded
quantity it is Gaffke's bound (2005; Learned-Miller and Thomas 2019, arXiv:1905.06208), and for
paired flags the one that Fay and Lumbard (2021) call melded. Unlike a plain bootstrap, its interval
is not empty when no difference was seen: what was not seen in n groups may still happen in every
n/3-th.

This module knows neither severities nor flags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Figure = Callable[[NDArray[np.float64]], NDArray[np.float64]]

RESAMPLES = 10_000
SEED = 0
_CHUNK = 500
"""Profiles whose weights are drawn at once: 40 MB."""


@dataclass(frozen=True)
class Profiles:
    """Groups of rows by their content: ``cells`` is (profiles, cells), ``counts`` the groups."""

    cells: NDArray[np.float64]
    counts: NDArray[np.float64]

    def times(self, factor: float) -> Profiles:
        """The same kinds of groups, with this many times as many of each."""
        return Profiles(self.cells, self.counts * factor)


def profiles_of(cell: NDArray[np.int64], units: NDArray[np.int64] | None, cells: int) -> Profiles:
    """Count rows by cell in each group; ``units`` are group numbers; None: each row is a group."""
    import numpy as np

    if units is None:
        counts = np.bincount(cell, minlength=cells)
        return Profiles(np.eye(cells)[counts > 0], counts[counts > 0].astype(np.float64))
    _, codes = np.unique(units, return_inverse=True)
    table = np.bincount(codes.ravel() * cells + cell, minlength=(codes.max() + 1) * cells)
    return profiles_from(table.reshape(-1, cells).astype(np.float64))


def profiles_from(table: NDArray[np.float64]) -> Profiles:
    """From groups as (groups, cells); equal ones are counted together."""
    import numpy as np

    rows, counts = np.unique(table, axis=0, return_counts=True)
    return Profiles(rows, counts.astype(np.float64))


def typical_groups(found: Profiles, kinds: Sequence[Sequence[int]]) -> list[list[float]]:
    """How many rows of each kind are in the group of a typical row, for a row of every kind.

    A kind is a list of cells. A typical row is more likely to be in a large group than in a small
    one; a row of a kind that was never seen is alone in its group.
    """
    sizes = [found.cells[:, list(kind)].sum(axis=1) for kind in kinds]
    wholes = [float(size @ found.counts) for size in sizes]
    return [
        [float((size * other) @ found.counts) / whole for other in sizes]
        if whole
        else [float(other is size) for other in sizes]
        for size, whole in zip(sizes, wholes)
    ]


def bounds(
    found: Profiles, extras: Sequence[NDArray[np.float64]], figures: Sequence[Figure], tail: float
) -> list[tuple[float, float]]:
    """The ends of each figure's interval, ``tail`` outside each; ``extras``: the extra groups."""
    import numpy as np

    draw = np.random.default_rng(SEED)
    more = draw.exponential(size=(RESAMPLES, 1))
    sums = _weighted(found, draw)
    drawn = [sums + more * extra for extra in extras]
    ends = [[np.quantile(f(one), [tail, 1 - tail]) for one in drawn] for f in figures]
    return [(float(np.min(found)), float(np.max(found))) for found in ends]


def _weighted(found: Profiles, draw: np.random.Generator) -> NDArray[np.float64]:
    """Sums of the cells with random weights for the groups: (RESAMPLES, cells)."""
    import numpy as np

    sums = np.zeros((RESAMPLES, found.cells.shape[1]))
    for start in range(0, len(found.counts), _CHUNK):
        part = slice(start, start + _CHUNK)
        # The sum of n exponential weights has a gamma distribution of shape n.
        weights = draw.gamma(found.counts[part], size=(RESAMPLES, len(found.counts[part])))
        sums += weights @ found.cells[part]
    return sums
