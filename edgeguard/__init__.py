"""edgeguard: safety verdicts from Qwen3Guard-Gen on your own machine.

    from edgeguard import Guard

    with Guard("nano") as guard:
        verdict = guard.check("What is the capital of France?")

What is listed here is the public interface; every other module may change.
"""

from edgeguard.errors import (
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
)
from edgeguard.guard import Guard
from edgeguard.verdict import Choice, ModelId, Probabilities, Verdict

__version__ = "0.1.0"

__all__ = [
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
    "Verdict",
    "__version__",
]
