"""The methods of `edgeguard stdio`: thin wrappers around a Guard, with the same parameter names.

The model is loaded by ``initialize``, or by the first call that needs it (edgeguard.stdio.loading).
This module holds no logic of moderation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import count

from edgeguard._version import __version__
from edgeguard.arguments import seconds_of
from edgeguard.cancellation import Cancellation
from edgeguard.errors import InputError
from edgeguard.guard import Guard
from edgeguard.policy import OFFICIAL
from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.stdio.connection import Call, Method
from edgeguard.stdio.jsonrpc import Request
from edgeguard.stdio.loading import SharedGuard
from edgeguard.stdio.parameters import method
from edgeguard.store.policies import saved_policies
from edgeguard.store.versions import version_of
from edgeguard.watch import INTERVAL
from edgeguard.watch.watch import Watch

PROTOCOL = 1
"""The protocol's version; it is increased by incompatible changes, not by additions."""
MAX_STREAMS = 256

Load = Callable[[Cancellation, Callable[[float], None]], Guard]


@dataclass(frozen=True)
class _Stream:
    """A response being judged, and the cancellation of its passes."""

    watch: Watch
    cancel: Cancellation


class Methods:
    """The methods that can be called; ``load`` makes the guard."""

    def __init__(
        self,
        load: Load,
        stop: Callable[[], None],
        notify: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        self._stop, self._notify = stop, notify
        self._guard = SharedGuard(lambda cancel: load(cancel, self._progress))
        self._told = -1
        self._streams: dict[str, _Stream] = {}
        self._numbers = count(1)

    def table(self) -> dict[str, Method]:
        """Each method by its name."""
        named: dict[str, Callable[..., object]] = {
            "initialize": self.initialize,
            "check": self.check,
            "check_response": self.check_response,
            "check_messages": self.check_messages,
            "check_turns": self.check_turns,
            "watch": self.watch,
            "feed": self.feed,
            "end": self.end,
            "policies": self.policies,
            "unload": self.unload,
            "shutdown": self.shutdown,
        }
        return {name: method(function) for name, function in named.items()}

    def initialize(self, call: Call, *, protocol: int = PROTOCOL) -> object:
        """Load the model, and describe it.

        ``protocol`` is the client's version; the client gets ours, and decides whether to go on.
        """
        del protocol
        guard = self._guard.get(call.cancel)
        return {
            "protocol": PROTOCOL,
            "edgeguard": __version__,
            "llama_cpp_python": version_of("llama-cpp-python"),
            "capabilities": [*sorted(self.table()), "cancel", "progress"],
            "model": asdict(guard.model),
            "device": guard.device,
            "policy": guard.policy.name,
        }

    def check(
        self, call: Call, *, text: str, policy: str | None = None, timeout: float | None = None
    ) -> object:
        """Guard.check."""
        guard, timeout = self._ready(call, timeout)
        return guard.check(text, policy=policy, timeout=timeout, cancel=call.cancel).to_dict()

    def check_response(
        self,
        call: Call,
        *,
        prompt: str,
        response: str,
        policy: str | None = None,
        timeout: float | None = None,
    ) -> object:
        """Guard.check_response."""
        guard, timeout = self._ready(call, timeout)
        verdict = guard.check_response(
            prompt, response, policy=policy, timeout=timeout, cancel=call.cancel
        )
        return verdict.to_dict()

    def check_messages(
        self,
        call: Call,
        *,
        messages: list,  # type: ignore[type-arg]
        policy: str | None = None,
        fresh: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
    ) -> object:
        """Guard.check_messages."""
        guard, timeout = self._ready(call, timeout)
        verdict = guard.check_messages(
            messages,
            policy=policy,
            fresh=fresh,
            strict_messages=strict_messages,
            tool_calls=tool_calls,
            skip_media=skip_media,
            timeout=timeout,
            cancel=call.cancel,
        )
        return verdict.to_dict()

    def check_turns(
        self,
        call: Call,
        *,
        messages: list,  # type: ignore[type-arg]
        judge: str = "each",
        policy: str | None = None,
        fresh: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
    ) -> object:
        """Guard.check_turns."""
        guard, timeout = self._ready(call, timeout)
        verdicts = guard.check_turns(
            messages,
            judge=judge,  # type: ignore[arg-type]
            policy=policy,
            fresh=fresh,
            strict_messages=strict_messages,
            tool_calls=tool_calls,
            skip_media=skip_media,
            timeout=timeout,
            cancel=call.cancel,
        )
        return {"verdicts": [verdict.to_dict() for verdict in verdicts]}

    def watch(
        self,
        call: Call,
        *,
        messages: list,  # type: ignore[type-arg]
        policy: str | None = None,
        interval: int = INTERVAL,
        in_a_row: int = IN_A_ROW,
        category_probabilities: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
    ) -> object:
        """Guard.watch: begin a stream; its name is passed to ``feed`` and ``end``."""
        if len(self._streams) >= MAX_STREAMS:
            raise InputError(f"{MAX_STREAMS} streams are open: end one of them")
        guard, _left = self._ready(call, timeout)
        cancel = Cancellation()
        with call.cancel.heard_by(cancel.cancel):
            watch = guard.watch(
                messages,
                policy=policy,
                interval=interval,
                in_a_row=in_a_row,
                category_probabilities=category_probabilities,
                strict_messages=strict_messages,
                tool_calls=tool_calls,
                skip_media=skip_media,
                timeout=timeout,
                cancel=cancel,
            )
        name = f"stream-{next(self._numbers)}"
        self._streams[name] = _Stream(watch, cancel)
        return {"stream": name, "prompt": None if watch.prompt is None else watch.prompt.to_dict()}

    def feed(self, call: Call, *, stream: str, piece: str) -> object:
        """Watch.feed; cancelling it cancels the stream."""
        opened = self._stream(stream)
        with call.cancel.heard_by(opened.cancel.cancel):
            return opened.watch.feed(piece).to_dict()

    def end(self, call: Call, *, stream: str, judge: bool = True) -> object:
        """Watch.end; always ends the stream. Without ``judge``, it does only that."""
        opened = self._stream(stream)
        del self._streams[stream]
        with opened.watch as watch, call.cancel.heard_by(opened.cancel.cancel):
            verdict = watch.end().to_dict() if judge else None
            return {"verdict": verdict, "state": watch.state.to_dict()}

    def policies(self, _call: Call) -> object:
        """The names of the policies on this machine."""
        return {"policies": [*OFFICIAL, *saved_policies()]}

    def unload(self, _call: Call) -> object:
        """Free the model's memory; the next call loads it again."""
        if (guard := self._guard.loaded) is not None:
            guard.unload()
        return {}

    def shutdown(self, _call: Call) -> object:
        """Answer, then end the process."""
        self._stop()
        return {}

    def close(self) -> None:
        """Stop a load, and free the model."""
        self._guard.close()

    def _ready(self, call: Call, timeout: float | None) -> tuple[Guard, float | None]:
        """The guard, and the time that is left once it is loaded."""
        if timeout is None:
            return self._guard.get(call.cancel), None
        deadline = time.monotonic() + seconds_of(timeout)
        guard = self._guard.get(call.cancel, deadline)
        return guard, max(deadline - time.monotonic(), 1e-6)

    def _progress(self, share: float) -> None:
        percent = int(100 * share)
        if percent != self._told:  # llama.cpp reports each tensor
            self._told = percent
            self._notify("progress", {"stage": "load", "share": share})

    def _stream(self, name: str) -> _Stream:
        stream = self._streams.get(name)
        if stream is None:
            raise InputError("there is no such stream: it has ended, or was never begun")
        return stream


def lane(request: Request) -> str | None:
    """The lane of a request: calls of one stream run in the order in which they came."""
    stream = request.params.get("stream")
    return stream if request.method in ("feed", "end") and isinstance(stream, str) else None
