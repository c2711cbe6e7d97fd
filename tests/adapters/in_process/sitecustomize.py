"""For programs that make their own guard, as the pages show: it is on the fake model.

Python imports this when it starts, where this folder is on PYTHONPATH.
"""

from scripted import scripted

from edgeguard.adapters import common
from edgeguard.async_guard import AsyncGuard
from edgeguard.session.fake import FakeSession


def fake_guard() -> AsyncGuard:
    return AsyncGuard.with_session(FakeSession(scripted))


common.default_guard = fake_guard
