"""A server on the fake model, for scripts/test-adapters."""

from __future__ import annotations

from scripted import scripted

from edgeguard import Guard
from edgeguard.server.run import serve
from edgeguard.server.settings import Settings
from edgeguard.session.fake import FakeSession

if __name__ == "__main__":
    settings = Settings(port=0, litellm_calls=100)
    serve(settings, lambda _cancel: Guard.with_session(FakeSession(scripted)))
