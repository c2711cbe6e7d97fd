"""What counts as one piece of evidence: a distinct text, or a named group.

Figures count rows. Their intervals count units: the groups of --group, or else the distinct texts,
so that copying a row adds no evidence. This module computes no figure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, TypeVar

from edgeguard.evaluation.judging import Judged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_T = TypeVar("_T")


def units_of(judged: Iterable[Judged]) -> NDArray[np.int64] | None:
    """A number for each row, equal within a unit; None if every row is a unit."""
    import numpy as np

    keys = [one.row.text if one.row.group is None else one.row.group for one in judged]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(numbers) == len(keys):
        return None
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def distinct(items: Iterable[_T], key: Callable[[_T], Hashable]) -> list[_T]:
    """The first item of each key, in order."""
    found: dict[Hashable, _T] = {}
    for item in items:
        found.setdefault(key(item), item)
    return list(found.values())
