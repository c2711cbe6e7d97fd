"""What a GGUF file says of itself: the keys and values of its header.

The header is read without llama.cpp, so that this works even if llama.cpp cannot be loaded. This
module only translates errors; edgeguard.gguf.header reads.
"""

from __future__ import annotations

from pathlib import Path

from edgeguard.errors import ModelError, StoreError
from edgeguard.gguf.header import OtherFileError, Value, read_header


def read_metadata(path: Path) -> dict[str, Value]:
    """The header of a GGUF file.

    Raises ModelError if it is not a complete GGUF header, StoreError if it cannot be read.
    """
    try:
        return dict(read_header(path).keys)
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror or error})") from error
    except OtherFileError as error:
        raise ModelError(f"{path} {error}") from error
    except ValueError as error:
        raise ModelError(
            f"{path} is no whole GGUF file ({error}); make or fetch it again"
        ) from error
