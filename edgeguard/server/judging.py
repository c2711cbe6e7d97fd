"""Has the texts of a request judged, and returns a verdict or an error for each.

A client that leaves frees the model at once. This module writes no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request

from edgeguard.errors import EdgeguardError
from edgeguard.guard import Guard
from edgeguard.server.http_errors import HttpError, translate
from edgeguard.server.metrics import Metrics
from edgeguard.server.observed import id_of
from edgeguard.server.reading import Asked
from edgeguard.verdict import Verdict
from edgeguard.worker.job import Text
from edgeguard.worker.queue import NotReadyError, QueueFullError
from edgeguard.worker.worker import Worker

T = TypeVar("T")


class Judging:
    """What the endpoints that judge have in common."""

    def __init__(self, worker: Worker, metrics: Metrics) -> None:
        self._worker = worker
        self._metrics = metrics

    async def verdicts(
        self, request: Request, texts: list[Asked]
    ) -> list[Verdict | HttpError] | None:
        """The verdict of each text, or its error; see ``judge``."""
        return await self.judge(request, texts, lambda _guard, verdict: verdict, lambda v: v)

    async def judge(
        self,
        request: Request,
        texts: list[Asked],
        finish: Callable[[Guard, Verdict], T],
        verdict_of: Callable[[T], Verdict],
    ) -> list[T | HttpError] | None:
        """What became of each text; None if the client left.

        Raises HttpError, also where no text has a verdict.
        """
        results = await self._results(request, texts, finish)
        if results is None:
            return None
        request.scope["state"]["tokens"] = self._count(results, verdict_of)
        if results and all(isinstance(result, HttpError) for result in results):
            first = results[0]
            assert isinstance(first, HttpError)
            raise first
        return results

    def _count(self, results: list[T | HttpError], verdict_of: Callable[[T], Verdict]) -> int:
        """Count them in the metrics; how many tokens were read."""
        tokens = 0
        for result in results:
            if isinstance(result, HttpError):
                self._metrics.failure(result.code or "other")
            else:
                verdict = verdict_of(result)
                self._metrics.verdict(verdict)
                tokens += verdict.tokens
        return tokens

    async def _results(
        self, request: Request, texts: list[Asked], finish: Callable[[Guard, Verdict], T]
    ) -> list[T | HttpError] | None:
        good = [asked.text for asked in texts if not isinstance(asked.text, HttpError)]
        found = await self._ask(request, good, finish) if good else []
        if found is None:
            return None
        outcomes = iter(found)
        return [
            _outcome(asked.text if isinstance(asked.text, HttpError) else next(outcomes), asked)
            for asked in texts
        ]

    async def _ask(
        self, request: Request, texts: list[Text], finish: Callable[[Guard, Verdict], T]
    ) -> list[T | EdgeguardError] | None:
        """What the worker says; None if the client left. Raises HttpError."""
        try:
            return await _unless_left(
                request, self._worker.run(texts, finish, name=f"request {id_of(request.scope)}")
            )
        except NotReadyError as error:
            raise come_back(str(error), "not_ready", 5) from None
        except QueueFullError as error:
            raise come_back(str(error), "queue_full", error.retry_after) from None
        except EdgeguardError as error:
            raise translate(error) from None


def _outcome(result: T | EdgeguardError | HttpError, asked: Asked) -> T | HttpError:
    return translate(result, asked.param) if isinstance(result, EdgeguardError) else result


def come_back(reason: str, code: str, seconds: int) -> HttpError:
    """503, with the time after which it may be better."""
    return HttpError(503, reason, code=code, headers={"retry-after": str(seconds)})


async def _unless_left(request: Request, work: Awaitable[T]) -> T | None:
    """The result of the work, which is cancelled when the client leaves."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
