"""`edgeguard` with a fake model, for tests that need a process: prints its peak memory in MB."""

from __future__ import annotations

import resource
import sys
from dataclasses import replace
from typing import Any

from edgeguard.cli import main
from edgeguard.commands import batch
from edgeguard.guard import Guard
from edgeguard.verdict import Verdict


class FastGuard(Guard):
    """A guard that answers at once, each text a little differently."""

    def __init__(self, *_: Any, **__: Any) -> None:
        from edgeguard.session.fake import FakeSession

        self.__dict__ = vars(
            Guard.with_session(FakeSession(lambda _: "Safety: Safe\nCategories: None"))
        )
        self._template = Guard.check(self, "Hello")
        self._calls = 0

    def check_messages(self, messages: Any, *, policy: str | None = None) -> Verdict:
        self._calls += 1
        return replace(self._template, tokens=self._calls)


batch.Guard = FastGuard  # type: ignore[misc]
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
