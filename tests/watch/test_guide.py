"""The Python in docs/streams.md runs, and its options are the library's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from served import scripted, serving

from edgeguard import AsyncGuard, Guard
from edgeguard.session.fake import FakeSession
from edgeguard.watch import WatchState

GUIDE = Path(__file__).parents[2] / "docs" / "streams.md"
TEXT = GUIDE.read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("code", CODE)
def test_the_python_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "ws://" not in code:
        exec(compile(code, GUIDE.name, "exec"), {"__name__": "__main__"})
        assert "Safe" in capsys.readouterr().out
        return
    with serving(load=lambda _: Guard.with_session(FakeSession(scripted))) as served:
        here = code.replace("ws://127.0.0.1:8000", served.url.replace("http", "ws"))
        exec(compile(here, GUIDE.name, "exec"), {})
    said = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["prompt", "state", "verdict"]


def test_what_it_names_is_there() -> None:
    assert len(CODE) == 3
    for field in WatchState.__dataclass_fields__:
        assert f"`{field}`" in TEXT, field
    options = inspect.signature(Guard.watch).parameters
    for name, default in (("in_a_row", 2), ("interval", 40)):
        assert f"`{name}={default}`" in TEXT and options[name].default == default
    assert options.keys() - {"cancel"} == inspect.signature(AsyncGuard.watch).parameters.keys()
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (GUIDE.parent / link).exists(), link
