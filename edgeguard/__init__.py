"""edgeguard: safety verdicts from Qwen3Guard-Gen on your own machine.

    from edgeguard import Guard

    with Guard("nano") as guard:
        verdict = guard.check("What is the capital of France?")

What is listed here is the public interface; every other module may change.
"""

from edgeguard._version import __version__
from edgeguard.async_guard import AsyncGuard
from edgeguard.cancellation import Cancellation
from edgeguard.check import Check
from edgeguard.errors import (
    CancelledError,
    ClosedError,
    ConversionError,
    DownloadError,
    EdgeguardError,
    InputError,
    InputTooLongError,
    MissingExtraError,
    ModelError,
    ModelNotFoundError,
    OutputError,
    PolicyError,
    ServerError,
    SessionError,
    StoreError,
    TimeoutError,  # noqa: A004 - it is one
)
from edgeguard.guard import Guard
from edgeguard.stream.interface import TokenLabel
from edgeguard.verdict import CategoryProbabilities, Choice, ModelId, Probabilities, Verdict
from edgeguard.verdict_cache import CacheInfo

__all__ = [
    "AsyncGuard",
    "CacheInfo",
    "Cancellation",
    "CancelledError",
    "CategoryProbabilities",
    "Check",
    "Choice",
    "ClosedError",
    "ConversionError",
    "DownloadError",
    "EdgeguardError",
    "Guard",
    "InputError",
    "InputTooLongError",
    "MissingExtraError",
    "ModelError",
    "ModelId",
    "ModelNotFoundError",
    "OutputError",
    "PolicyError",
    "Probabilities",
    "ServerError",
    "SessionError",
    "StoreError",
    "TimeoutError",
    "TokenLabel",
    "Verdict",
    "__version__",
]
