"""`edgeguard` with a fake model, for tests that need a process: prints its peak memory in KiB."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeguard.cli import main
from edgeguard.commands import batch
from edgeguard.guard import Guard
from edgeguard.verdict import Verdict


class FastGuard(Guard):
    """A guard that answers at once, each text a little differently."""

    def __init__(self, *_: Any, **__: Any) -> None:
        from edgeguard.session.fake import FakeSession

        made = Guard.with_session(FakeSession(lambda _: "Safety: Safe\nCategories: None"))
        self.__dict__ = {**vars(made), "_made": made}  # it closes what it has when it goes
        self._template = super().check_messages([{"role": "user", "content": "Hello"}])
        self._calls = 0

    def check_messages(self, messages: Any, **_: Any) -> Verdict:  # noqa: ARG002
        self._calls += 1
        return replace(self._template, tokens=self._calls)


batch.Guard = FastGuard  # type: ignore[attr-defined]
try:
    main()
finally:
    # Not getrusage: its peak starts with that of the process that forked this one.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
