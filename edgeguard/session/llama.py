"""A session that runs llama.cpp. The one module of the runtime that imports llama_cpp.

It uses the C interface and not `llama_cpp.Llama`: that class keeps an array of n_batch × n_vocab
floats, knows one way to tokenize, and has no say over what stays in the KV cache.

    read    rewinds the KV cache to the fixed start of the question, or puts a kept copy of that
            start back, and computes the rest
    extend  computes tokens after those

The fixed start is always computed in batches of its own, so a question gives the same bits whether
it is the first of a process or the thousandth. The context grows to what a question needs and
shrinks again. Nothing is written to stdout or stderr; llama.cpp's messages go to `logging`.

This module knows nothing of questions, answers and verdicts.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import ClosedError, ModelError, SessionError
from edgeguard.session.cpu import physical_cores
from edgeguard.session.interface import ModelInfo
from edgeguard.session.plain import PlainText

try:
    import llama_cpp.llama_cpp as lib
except (ImportError, OSError, RuntimeError) as error:
    raise SessionError(
        f"llama-cpp-python cannot be loaded: {error}; `edgeguard doctor` says which step fails"
    ) from error

_logger = logging.getLogger(__name__)

N_BATCH = 512
"""Tokens computed in one pass of llama.cpp."""

_SMALLEST_CONTEXT = 512
_KEPT_STARTS = 2  # one for prompts, one for responses

# llama_ftype of llama.h, for the types that our converter writes and the ones near them.
_FILE_TYPES = {
    "0": "f32",
    "1": "f16",
    "2": "q4_0",
    "3": "q4_1",
    "7": "q8_0",
    "8": "q5_0",
    "10": "q2_k",
    "12": "q3_k_m",
    "14": "q4_k_s",
    "15": "q4_k_m",
    "16": "q5_k_s",
    "17": "q5_k_m",
    "18": "q6_k",
    "25": "iq4_nl",
    "32": "bf16",
}
# ggml_log_level of ggml.h: 2 info, 3 warning, 4 error. What goes wrong ends in an error of ours
# that quotes it, so none of them is shown unless asked for.
_LEVELS = {3: logging.INFO, 4: logging.INFO}
_errors: list[str] = []
"""What llama.cpp has called an error since a load began, for the message of ours."""


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _user_data: object) -> None:
    message = text.decode("utf-8", "replace").strip()
    if level == 4 and message:
        _errors.append(message)
        del _errors[:-8]
    if message:
        _logger.log(_LEVELS.get(level, logging.DEBUG), "llama.cpp: %s", message)


_started = False
_starting = threading.Lock()


def _start_library() -> None:
    """Silence llama.cpp and start it, once a process."""
    global _started
    with _starting:
        lib.llama_log_set(_log, ctypes.c_void_p(0))
        if not _started:
            lib.llama_backend_init()
            _started = True


@dataclass(frozen=True)
class LibraryInfo:
    """What llama.cpp says of itself: its version, the CPU features it uses, what it can offload."""

    version: str
    system_info: str
    gpu_offload: bool
    max_devices: int
    path: str


def library_info() -> LibraryInfo:
    """Ask the library that is installed. Raises SessionError where it cannot be loaded."""
    _start_library()
    return LibraryInfo(
        version=lib.llama_version().decode("utf-8", "replace"),
        system_info=lib.llama_print_system_info().decode("utf-8", "replace").strip(),
        gpu_offload=bool(lib.llama_supports_gpu_offload()),
        max_devices=int(lib.llama_max_devices()),
        path=str(Path(lib.__file__).parent / "lib"),
    )


class LlamaSession:
    """A model file loaded by llama.cpp, with one sequence of tokens in its context."""

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None = None,
        n_ctx: int = 8192,
        device: str = "auto",
    ) -> None:
        """Load a GGUF file.

        ``threads`` defaults to the physical cores that this process may use. ``n_ctx`` bounds the
        context, in tokens; the model's own bound counts where it is lower. ``device`` is ``auto``
        (the accelerator llama.cpp was built for, else the CPU) or ``cpu``.
        Raises ModelError for a file that llama.cpp refuses, SessionError when memory lacks.
        """
        self._context: Any = None
        self._model: Any = None
        self._process = os.getpid()
        self._threads = threads or physical_cores()
        self._held: list[int] | None = None
        self._room_end = 0
        self._starts: OrderedDict[tuple[int, ...], bytes] = OrderedDict()
        _start_library()
        self._model, on = _load(path, device)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self.info = self._read_info(on)
        self.n_ctx = min(n_ctx, self.info.n_ctx_train)
        self.end_tokens = self._tokens_where(lib.llama_vocab_is_eog)
        self._plain = PlainText(self._user_defined())

    # Vocabulary

    def tokenize(self, text: str) -> list[int]:
        """The ids of a plain text, special tokens in it spelled out like any other word."""
        self._check_open()
        return [token for part in self._plain.parts(text) for token in self._ids(part, False)]

    def control_token(self, text: str) -> int | None:
        """The id of a control token by its text; None if the vocabulary has no such token."""
        self._check_open()
        ids = self._ids(text, True)
        return ids[0] if len(ids) == 1 and self._text(ids[0]) == text else None

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a control token."""
        self._check_open()
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            written = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if written >= 0:
                return buffer.raw[:written]
            size = -written

    def _ids(self, text: str, special: bool) -> list[int]:
        data = text.encode("utf-8")
        room = len(data) + 8
        buffer = (lib.llama_token * room)()
        count = lib.llama_tokenize(self._vocab, data, len(data), buffer, room, False, special)
        if count < 0:
            raise SessionError(f"llama.cpp cannot tokenize a text of {len(data)} bytes")
        return list(buffer[:count])

    def _text(self, token: int) -> str:
        return str((lib.llama_vocab_get_text(self._vocab, token) or b"").decode("utf-8", "replace"))

    def _tokens_where(self, test: Any) -> tuple[int, ...]:
        return tuple(token for token in range(self.info.n_vocab) if test(self._vocab, token))

    def _user_defined(self) -> list[str]:
        mask = lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        tokens = self._tokens_where(lambda vocab, t: lib.llama_vocab_get_attr(vocab, t) & mask)
        return [self._text(token) for token in tokens]

    # Metadata

    def _read_info(self, device: str) -> ModelInfo:
        file_type = self._metadata("general.file_type") or ""
        return ModelInfo(
            architecture=self._metadata("general.architecture") or "",
            name=self._metadata("general.name") or self._metadata("general.basename") or "",
            type=_FILE_TYPES.get(file_type, f"file type {file_type or 'unknown'}"),
            protocol=self._metadata("edgeguard.protocol"),
            n_ctx_train=int(lib.llama_model_n_ctx_train(self._model)),
            n_vocab=int(lib.llama_vocab_n_tokens(self._vocab)),
            tokenizer=self._metadata("tokenizer.ggml.model") or "",
            pre_tokenizer=self._metadata("tokenizer.ggml.pre") or "",
            device=device,
        )

    def _metadata(self, key: str) -> str | None:
        buffer = ctypes.create_string_buffer(1024)
        size = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return None if size < 0 else buffer.value.decode("utf-8", "replace")

    # Computing

    def read(self, tokens: Sequence[int], *, fixed: int, room: int) -> NDArray[np.float32]:
        """Hold exactly these tokens; see Session.read."""
        self._check_open()
        tokens = list(tokens)
        if not tokens or len(tokens) + room > self.n_ctx:
            raise SessionError(
                f"{len(tokens)} + {room} tokens do not fit the context of {self.n_ctx}"
            )
        fixed = min(fixed, len(tokens) - 1)
        self._fit_context(len(tokens) + room)
        self._restore(tuple(tokens[:fixed]))
        self._room_end = len(tokens) + room
        return self._compute(tokens[fixed:])

    def extend(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Add tokens to those held; see Session.extend."""
        self._check_open()
        if self._held is None or len(self._held) + len(tokens) > self._room_end:
            raise SessionError("there is no room in the context for more of the answer")
        return self._compute(list(tokens))

    def close(self) -> None:
        """Free the context and the model; calling it again does nothing."""
        if self._process != os.getpid():
            return  # a forked child does not own its parent's threads and memory maps
        self._free_context()
        if self._model is not None:
            lib.llama_model_free(self._model)
            self._model = None
        self._starts.clear()

    def __del__(self) -> None:
        # At interpreter exit the library may be gone already.
        if getattr(self, "_model", None) is not None and lib is not None:
            self.close()

    def _restore(self, start: tuple[int, ...]) -> None:
        """Make the context hold the fixed start of a question, and nothing else."""
        memory = lib.llama_get_memory(self._context)
        held, self._held = self._held, None
        if start and held is not None and tuple(held[: len(start)]) == start:
            lib.llama_memory_seq_rm(memory, 0, len(start), -1)
            self._held = list(start)
            return
        lib.llama_memory_clear(memory, True)
        self._held = []
        if start in self._starts:
            self._put_back(start)
        elif start:
            self._compute(list(start))
            self._keep(start)

    def _keep(self, start: tuple[int, ...]) -> None:
        size = lib.llama_state_seq_get_size(self._context, 0)
        buffer = (ctypes.c_uint8 * size)()
        written = lib.llama_state_seq_get_data(self._context, buffer, size, 0)
        self._starts[start] = bytes(buffer[:written]) if written < size else bytes(buffer)
        while len(self._starts) > _KEPT_STARTS:
            self._starts.popitem(last=False)

    def _put_back(self, start: tuple[int, ...]) -> None:
        state = self._starts[start]
        self._starts.move_to_end(start)
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if lib.llama_state_seq_set_data(self._context, buffer, len(state), 0) == 0:
            self._held = None
            del self._starts[start]
            raise SessionError("llama.cpp does not take back the state it gave; check again")
        self._held = list(start)

    def _compute(self, tokens: list[int]) -> NDArray[np.float32]:
        """Run tokens through the model behind those held; the logits after the last."""
        held, self._held = self._held, None  # whatever goes wrong, the state is then unknown
        assert held is not None
        for first in range(0, len(tokens), N_BATCH):
            part = tokens[first : first + N_BATCH]
            ids = (lib.llama_token * len(part))(*part)  # the batch only points to it
            code = lib.llama_decode(self._context, lib.llama_batch_get_one(ids, len(part)))
            if code != 0:
                raise SessionError(f"llama.cpp could not compute ({code}): {_last_error()}")
        self._held = held + tokens
        pointer = lib.llama_get_logits_ith(self._context, -1)
        if not pointer:
            raise SessionError("llama.cpp gave no logits")
        logits: NDArray[np.float32] = np.ctypeslib.as_array(pointer, (self.info.n_vocab,)).copy()
        return logits

    # The context

    def _fit_context(self, tokens: int) -> None:
        """Have a context of the power of two that holds so many tokens, or one not far above."""
        wanted = _SMALLEST_CONTEXT
        while wanted < tokens:
            wanted *= 2
        wanted = min(wanted, max(self.n_ctx, tokens))
        have = int(lib.llama_n_ctx(self._context)) if self._context is not None else 0
        if have < tokens or have >= 8 * wanted:
            self._free_context()
            self._context = self._new_context(wanted)

    def _new_context(self, n_ctx: int) -> Any:
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = min(N_BATCH, n_ctx)
        params.n_seq_max = 1
        params.n_outputs_max = 1  # else llama.cpp reserves logits for every token of a batch
        params.n_threads = params.n_threads_batch = self._threads
        params.flash_attn_type = 1  # LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.no_perf = True
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise SessionError(
                f"llama.cpp cannot allocate a context of {n_ctx} tokens: {_last_error()}; "
                "free some memory, or choose a smaller n_ctx"
            )
        return context

    def _free_context(self) -> None:
        if self._context is not None:
            lib.llama_free(self._context)
            self._context = None
        self._held = None

    def _check_open(self) -> None:
        if self._model is None:
            raise ClosedError("the guard is closed: make a new one")
        if self._process != os.getpid():
            raise SessionError(
                "this guard was made in another process, and llama.cpp does not survive a fork: "
                "make one in each process"
            )


def _load(path: Path, device: str) -> tuple[Any, str]:
    """The model, and where its layers are: an accelerator if there is one that works."""
    if device == "auto" and lib.llama_supports_gpu_offload():
        model = _try_load(path, gpu_layers=-1)
        if model:
            return model, "gpu"
        _logger.warning("the accelerator cannot load the model; it runs on the CPU")
    model = _try_load(path, gpu_layers=0)
    if not model:
        raise ModelError(
            f"llama.cpp cannot load {path}: {_last_error()}; check the file with "
            "`edgeguard verify`, or fetch it again with `edgeguard pull`"
        )
    return model, "cpu"


def _try_load(path: Path, *, gpu_layers: int) -> Any:
    _errors.clear()
    params = lib.llama_model_default_params()
    params.n_gpu_layers = gpu_layers
    if gpu_layers == 0:
        # Mapped, the file stays in memory beside the copy of the weights that llama.cpp rearranges
        # for the CPU: 200 MB more for the 0.6B model at q4_k_m, and no faster.
        params.load_mode = lib.LLAMA_LOAD_MODE_NONE
    return lib.llama_model_load_from_file(os.fsencode(path), params)


def _last_error() -> str:
    return _errors[0] if _errors else "it does not say why"
