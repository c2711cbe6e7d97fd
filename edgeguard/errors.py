"""Every exception that edgeguard raises on purpose, and the exit code that each one means.

    EdgeguardError                  2   base of all of them
    ├── InputError                  2   a text, message or option that cannot be judged as given
    │   └── InputTooLongError       2   a text that needs more windows than the caller allowed
    ├── ModelNotFoundError          2   no such model is installed, or none is chosen
    ├── ModelError                  2   a model file that is damaged, or is not Qwen3Guard-Gen
    ├── PolicyError                 2   not a valid policy, or one for another model file
    ├── SessionError                2   llama.cpp, or a model's server, could not load or compute
    │   └── ClosedError             2   the guard was used after close()
    ├── CancelledError              2   the caller cancelled the check
    ├── TimeoutError                2   a text was not judged within the time limit
    ├── ConversionError             2   a checkpoint that cannot be converted
    ├── DownloadError               2   the hub could not be reached, or sent something else
    ├── StoreError                  2   edgeguard's own folder could not be read or written
    ├── MissingExtraError           2   an optional package that is needed is not installed
    ├── OutputError                 2   a results file could not be written or resumed
    ├── ServerError                 2   the server could not start
    └── ServiceError                2   a service could not be installed, asked or removed

Exit code 1 is not an error: it says that a text was flagged. A message says what failed, what
exists, and what to type next. Foreign exceptions (OSError, huggingface_hub, llama.cpp's return
codes) are translated where they enter, with the original as ``__cause__``.

This module does not print, log or exit.
"""

from __future__ import annotations

import builtins

EXIT_OK = 0
EXIT_FLAGGED = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


class EdgeguardError(Exception):
    """Base of all errors that edgeguard raises on purpose; the message is meant for the user."""

    exit_code: int = EXIT_ERROR


class InputError(EdgeguardError, ValueError):
    """A text, message or option that cannot be judged as given."""


class InputTooLongError(InputError):
    """A text that needs more windows than one verdict may take."""


class ModelNotFoundError(EdgeguardError):
    """No such model is installed, or none is chosen."""


class ModelError(EdgeguardError):
    """A model file that is damaged, or is not a Qwen3Guard-Gen."""


class PolicyError(EdgeguardError):
    """A file that is not a valid policy, or a policy calibrated for another model file."""


class SessionError(EdgeguardError):
    """llama.cpp, or the model's server, could not load the model, or could not compute."""


class ClosedError(SessionError):
    """The guard was used after ``close()``."""


class CancelledError(EdgeguardError):
    """The caller cancelled the check."""


class TimeoutError(EdgeguardError, builtins.TimeoutError):  # noqa: A001 - it is one of those
    """A text was not judged within the time limit."""


class ConversionError(EdgeguardError):
    """A checkpoint that cannot be converted."""


class DownloadError(EdgeguardError):
    """The hub could not be reached, or sent something other than what was asked for."""


class StoreError(EdgeguardError):
    """Edgeguard's own folder could not be read or written."""


class MissingExtraError(EdgeguardError):
    """An optional package that is needed is not installed."""


class OutputError(EdgeguardError):
    """A results file could not be written, or cannot be resumed."""


class ServerError(EdgeguardError):
    """The server could not start."""


class ServiceError(EdgeguardError):
    """A service of the user's own could not be installed, asked or removed."""
