"""The last steps for a written file: add its digest, and check that it can be read.

llama.cpp reads the file back in a child process, since it may end its process on unexpected input;
a quantized file has already been read back by the quantizer's child. Only the header and the
vocabulary are loaded: the digest covers the weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeguard import child_process
from edgeguard.convert import output
from edgeguard.errors import ConversionError
from edgeguard.gguf.content import write_digest
from edgeguard.gguf.inspection import UnsoundError, check_header


def finish(path: Path, *, read_back: bool) -> None:
    """Write the digest into the file, and read the file; `read_back`: with llama.cpp too.

    Raises ConversionError.
    """
    try:
        with output.translated(path):
            write_digest(path)
        check_header(path)
        if read_back:
            _read_back(path)
    except UnsoundError as error:
        raise ConversionError(_unreadable(f"it {error}")) from error
    except ValueError as error:
        raise ConversionError(_unreadable(str(error))) from error


def _read_back(path: Path) -> None:
    try:
        for message in child_process.run(__name__, os.fspath(path)):
            if message["error"] is not None:
                raise ConversionError(_unreadable(message["error"]))
    except child_process.ChildError as error:
        raise ConversionError(_unreadable(str(error))) from error


def _unreadable(why: str) -> str:
    return f"the file that was made cannot be read back: {why}; report this"


def main(request: Any, reply: Callable[[Any], None]) -> None:
    """The child's side: load the file; reply with the reason why it fails, or None."""
    from edgeguard.session.library import last_error, lib, start_library

    start_library()
    params = lib.llama_model_default_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(os.fsencode(request), params)
    reply({"error": None if model else last_error()})
