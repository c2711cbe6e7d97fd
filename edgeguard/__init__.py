"""edgeguard: safety verdicts from Qwen3Guard-Gen on your own machine.

    from edgeguard import Guard

    with Guard("nano") as guard:
        verdict = guard.check("What is the capital of France?")

What is listed here is the public interface; every other module may change.
"""

from typing import TYPE_CHECKING

from edgeguard._version import __version__
from edgeguard.cancellation import Cancellation
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
    ServiceError,
    SessionError,
    StoreError,
    TimeoutError,  # noqa: A004 - it is one
)

if TYPE_CHECKING:
    from edgeguard.async_guard import AsyncGuard
    from edgeguard.check import Check
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
    "ServiceError",
    "SessionError",
    "StoreError",
    "TimeoutError",
    "TokenLabel",
    "Verdict",
    "__version__",
]

# The public names are imported at first use, so that a program pays only for what it uses.
_LATER = {
    "AsyncGuard": "async_guard",
    "CacheInfo": "verdict_cache",
    "CategoryProbabilities": "verdict",
    "Check": "check",
    "Choice": "verdict",
    "Guard": "guard",
    "ModelId": "verdict",
    "Probabilities": "verdict",
    "TokenLabel": "stream.interface",
    "Verdict": "verdict",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
