"""llama.cpp's own quantizer, run on a file that is not quantized.

It runs in a child process, because the native call takes a minute, cannot be interrupted, and ends
the process at some errors. This is the only module of the converter that imports llama_cpp, and it
does so only in the child.

It does not choose the type of any tensor: llama.cpp does, for each file type.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeguard import child_process
from edgeguard.errors import ConversionError
from edgeguard.session.versions import bound_rows

_FILE_TYPES = {
    "q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0",
    "q6_k": "LLAMA_FTYPE_MOSTLY_Q6_K",
    "q4_k_m": "LLAMA_FTYPE_MOSTLY_Q4_K_M",
    "q4_k_s": "LLAMA_FTYPE_MOSTLY_Q4_K_S",
    "q4_0": "LLAMA_FTYPE_MOSTLY_Q4_0",
}
_BUFFER = 64 << 20  # bytes of rows at a time; llama.cpp's default takes 1 GB for the embedding
_TENSOR = re.compile(r"^\[\s*\d+/\s*\d+\]\s+\S+\s+-\s+\[([\d, ]+)\], type =\s+(f32|f16|bf16),")
_WIDTHS = {"f32": 4, "f16": 2, "bf16": 2}
_ERROR = 4  # of ggml_log_level


def quantize(source: Path, target: Path, type: str, advance: Callable[[int], None]) -> None:  # noqa: A002
    """Quantize the file `source` into the empty file `target`.

    `advance` is called with the bytes of each finished tensor of `source`. Raises ConversionError
    if llama.cpp fails, also when the disk is full.
    """
    request = {"source": os.fspath(source), "target": os.fspath(target), "type": type}
    why: str | None = "it ended early"
    try:
        for message in child_process.run(__name__, request):
            advance(message.get("bytes", 0))
            why = message.get("end", why)
    except child_process.ChildError as error:
        why = str(error)
    if why is not None:
        raise ConversionError(f"llama.cpp could not quantize to {type}: {_reason(target, why)}")


def _reason(target: Path, why: str) -> str:
    free = shutil.disk_usage(target.parent).free
    if free < 1 << 20:
        return f"the disk of {target.parent} is full; free some space, then try again"
    return f"{why}; try --type bf16, and report this"


def main(request: Any, reply: Callable[[Any], None]) -> None:
    """The child's side: quantize; reply with bytes done, and at the end the error, or None."""
    import llama_cpp

    complaints: list[str] = []
    callback = llama_cpp.llama_log_callback(_listener(reply, complaints))
    llama_cpp.llama_log_set(callback, None)
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, _FILE_TYPES[request["type"]])
    params.nthread = _threads()
    bound_rows(params, _BUFFER)
    source, target = os.fsencode(request["source"]), os.fsencode(request["target"])
    code = llama_cpp.llama_model_quantize(source, target, params)
    failed = code != 0 or not _loads(llama_cpp, target)
    said = complaints[-1] if complaints else f"it returned {code}"
    reply({"end": said if failed else None})


def _listener(
    reply: Callable[[Any], None], complaints: list[str]
) -> Callable[[int, bytes, object], None]:
    """A log callback: takes progress from the line of each tensor, and reasons from errors."""

    def listen(level: int, text: bytes, _data: object) -> None:
        line = text.decode("utf-8", "replace")
        if found := _TENSOR.match(line):
            size = _WIDTHS[found[2]]
            for count in found[1].split(","):
                size *= int(count)
            reply({"bytes": size})
        elif level == _ERROR and line.strip():
            complaints.append(" ".join(line.split()))

    return listen


def _loads(llama_cpp: Any, path: bytes) -> bool:
    """Whether llama.cpp reads the file back: the quantizer does not notice every failed write."""
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(path, params)
    if model is None:
        return False
    llama_cpp.llama_model_free(model)
    return True


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
