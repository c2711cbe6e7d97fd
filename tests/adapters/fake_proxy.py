"""`edgeguard proxy` on a fake guard, in front of a made-up model; for scripts/test-adapters."""

from __future__ import annotations

import sys

import fake_upstream
from scripted import scripted

from edgeguard import Guard
from edgeguard.proxy.run import serve
from edgeguard.proxy.settings import ProxySettings
from edgeguard.server.settings import Settings
from edgeguard.session.fake import FakeSession

if __name__ == "__main__":
    upstream = fake_upstream.start()
    print(f"upstream: {upstream}", file=sys.stderr, flush=True)
    guard = Guard.with_session(FakeSession(scripted))
    serve(ProxySettings(upstream), Settings(port=0), lambda _cancel: guard)
