"""What docs/streams.md names is there; its code is run by tests/documentation."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from edgeguard import AsyncGuard, Guard
from edgeguard.watch.state import WatchState

GUIDE = Path(__file__).parents[2] / "docs" / "streams.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def test_what_it_names_is_there() -> None:
    for field in WatchState.__dataclass_fields__:
        assert f"`{field}`" in TEXT, field
    options = inspect.signature(Guard.watch).parameters
    for name, default in (("in_a_row", 2), ("interval", 40)):
        assert f"`{name}={default}`" in TEXT and options[name].default == default
    assert options.keys() - {"cancel"} == inspect.signature(AsyncGuard.watch).parameters.keys()
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (GUIDE.parent / link).exists(), link
