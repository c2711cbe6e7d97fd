"""Concurrent requests on one pair of pipes: each runs in a thread, and each can be cancelled.

Requests of one lane (a stream) run one after the other, in the order in which they came; other
requests do not wait for each other here. A method is a function that takes a Call and returns the
result. This module knows only one method itself, ``cancel``, and judges nothing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from edgeguard.cancellation import Cancellation
from edgeguard.errors import EdgeguardError
from edgeguard.stdio.jsonrpc import (
    BAD_PARAMETERS,
    BAD_REQUEST,
    BUG,
    BUSY,
    FAILED,
    NO_METHOD,
    Id,
    Request,
    RpcError,
    error_line,
    notification_line,
    read_request,
    result_line,
)
from edgeguard.stdio.lines import Writer

MAX_CALLS = 256
"""Requests at once; each is a thread that waits for the model."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A request that is running."""

    params: Mapping[str, object]
    cancel: Cancellation = field(default_factory=Cancellation)


Method = Callable[[Call], object]


class Connection:
    """Answers lines until there are no more, or it is told to stop."""

    def __init__(
        self,
        writer: Writer,
        methods: Mapping[str, Method],
        lane: Callable[[Request], str | None] = lambda _request: None,
        unread: Callable[[], None] = lambda: None,
    ) -> None:
        """``lane`` names the lane of a request; requests without one run at once.

        ``unread`` is called when nobody reads the answers any more.
        """
        self._writer = writer
        self._unread = unread
        self._methods = methods
        self._lane = lane
        self._lock = threading.Condition()
        self._calls: dict[Id, Call] = {}
        self._unanswered = 0
        self._lanes: dict[str, deque[tuple[Id, Method, Call]]] = {}

    def serve(self, lines: Iterable[bytes | None]) -> None:
        """Answer each line until there are no more."""
        for line in lines:
            if line is None:
                self._send(error_line(None, RpcError(BAD_REQUEST, "the line is too long")))
            elif line.strip():
                self._answer(line)

    def notify(self, method: str, params: Mapping[str, object]) -> None:
        """Send a notification to the client."""
        self._send(notification_line(method, params))

    def cancel_all(self) -> None:
        """Cancel every request that runs or waits."""
        with self._lock:
            calls = list(self._calls.values())
        for call in calls:
            call.cancel.cancel()

    def settle(self, seconds: float) -> None:
        """Cancel every request, and wait until all are answered, but at most so many seconds."""
        self.cancel_all()
        with self._lock:
            self._lock.wait_for(lambda: self._unanswered == 0, seconds)

    def _answer(self, line: bytes) -> None:
        try:
            request = read_request(line)
            if request.method == "cancel":
                self._cancel(request)
            else:
                self._begin(request)
        except RpcError as error:
            with self._lock:
                runs = error.id in self._calls  # the cancelled request is still answered itself
            self._send(error_line(None if runs else error.id, error))

    def _cancel(self, request: Request) -> None:
        id_ = _id_of(request)
        with self._lock:
            if request.id in self._calls:
                raise _in_use()
            call = self._calls.get(id_)
        if call is not None:
            call.cancel.cancel()
        if request.id is not None:
            self._send(result_line(request.id, {"cancelled": call is not None}))

    def _begin(self, request: Request) -> None:
        method = self._methods.get(request.method)
        if request.id is None:
            # A notification gets no answer. So an error would be lost, and a text that was not
            # judged might be taken as judged.
            _log.warning("a notification was ignored: only cancel may be sent without an id")
            return
        if method is None:
            known = ", ".join(sorted([*self._methods, "cancel"]))
            raise RpcError(NO_METHOD, f"no such method; there are: {known}", id=request.id)
        call, lane = Call(request.params), self._lane(request)
        self._admit(request.id, call)
        job = (request.id, method, call)
        if lane is None:
            threading.Thread(target=self._run, args=job, daemon=True).start()
        else:
            self._queue(lane, job)

    def _admit(self, id_: Id, call: Call) -> None:
        with self._lock:
            if id_ in self._calls:
                raise _in_use()
            if len(self._calls) >= MAX_CALLS:
                raise RpcError(BUSY, f"more than {MAX_CALLS} requests at once", id=id_)
            self._calls[id_] = call
            self._unanswered += 1

    def _queue(self, lane: str, job: tuple[Id, Method, Call]) -> None:
        with self._lock:
            waiting = self._lanes.get(lane)
            if waiting is not None:
                waiting.append(job)
                return
            self._lanes[lane] = deque([job])
        threading.Thread(target=self._work, args=(lane,), daemon=True).start()

    def _work(self, lane: str) -> None:
        while True:
            with self._lock:
                if not self._lanes[lane]:
                    del self._lanes[lane]
                    return
                job = self._lanes[lane].popleft()
            self._run(*job)

    def _run(self, id_: Id, method: Method, call: Call) -> None:
        try:
            line = result_line(id_, method(call))
        except RpcError as error:
            line = error_line(id_, error)
        except EdgeguardError as error:
            line = error_line(id_, RpcError(FAILED, str(error), _described(error)))
        except Exception as error:
            # The message is not shown: it may quote the text.
            _log.error("this is a bug in edgeguard: %s in a method", type(error).__name__)
            line = error_line(id_, RpcError(BUG, "this is a bug in edgeguard", _described(error)))
        with self._lock:
            del self._calls[id_]  # before the answer, after which the client may use the id again
        self._send(line)
        with self._lock:
            self._unanswered -= 1
            self._lock.notify_all()

    def _send(self, line: bytes) -> None:
        try:
            self._writer.write(line)
        except OSError:
            self.cancel_all()
            self._unread()


def _id_of(request: Request) -> Id:
    """The id of the request to cancel."""
    id_ = request.params.get("id")
    # In Python, true is an int and equal to 1.
    if set(request.params) != {"id"} or isinstance(id_, bool) or not isinstance(id_, (int, str)):
        raise RpcError(BAD_PARAMETERS, "cancel takes the id of a request", id=request.id)
    return id_


def _in_use() -> RpcError:
    return RpcError(BAD_REQUEST, "a request with this id still runs", id=None)


def _described(error: Exception) -> dict[str, str]:
    message = str(error) if isinstance(error, EdgeguardError) else ""
    return {"exception": type(error).__name__, "message": message}
