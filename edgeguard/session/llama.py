"""A session that runs llama.cpp: a model file, its vocabulary and its context put together.

It also keeps what llama.cpp cannot survive from reaching it: use after close, and use in a forked
child. This module knows nothing of questions, answers and verdicts.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeguard.errors import ClosedError, SessionError
from edgeguard.file_types import FILE_TYPE, type_name
from edgeguard.session.context import Context
from edgeguard.session.cpu import usable_cores
from edgeguard.session.interface import ModelInfo, VocabularyFacts
from edgeguard.session.library import Progress, lib, library_identity, load_model
from edgeguard.session.prefix_cache import PrefixCache
from edgeguard.session.prefix_files import PrefixFiles
from edgeguard.session.settings import Settings
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.vocabulary import LoadedVocabulary, Vocabulary

if TYPE_CHECKING:
    from edgeguard.session.hidden_states import HiddenStates
    from edgeguard.session.sequences import LlamaSequences
    from edgeguard.session.vocabulary_thread import VocabularyThread

_CACHES = 2  # one for prompts, one for responses


class LlamaSession:
    """A model file loaded by llama.cpp; see Session for what it does."""

    def __init__(
        self,
        path: Path,
        *,
        settings: Settings | None = None,
        n_ctx: int = 8192,
        device: str = "auto",
        prefixes: Path | None = None,
        sha256: str = "",
        plain_weights: bool = False,
        mapped_weights: bool = False,
        vocabulary: VocabularyThread | None = None,
        room: int = 0,
        flag: StopFlag | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Load a GGUF file.

        ``settings`` default to the physical cores that this process may use. ``n_ctx`` bounds the
        context, in tokens; the model's own bound counts where it is lower. ``device`` is ``auto``
        (the accelerator llama.cpp was built for, else the CPU) or ``cpu``. ``prefixes`` is
        a folder for computed prefixes; they are kept where ``sha256`` says which file this is.
        ``plain_weights``, ``mapped_weights``: see load_model. ``vocabulary`` is that of the file
        where its load has begun, and ``room`` how many tokens a context is made for meanwhile.
        ``flag`` stops the load and what is computed later; ``on_progress`` hears how much of the
        file is loaded, from 0 to 1.
        Raises ModelError for a file that llama.cpp refuses, CancelledError.
        """
        self._process = os.getpid()
        self._model: Any = None
        self._own_vocabulary: LoadedVocabulary | None = None
        self._caches: OrderedDict[tuple[int, ...], PrefixCache] = OrderedDict()
        self._spare: Context | None = None
        self._reading: PrefixCache | None = None
        self._sequences: LlamaSequences | None = None
        self._states: weakref.WeakSet[HiddenStates] = weakref.WeakSet()
        self._settings = settings or Settings(threads=usable_cores())
        self.flag = flag or StopFlag()
        self._plain_weights = plain_weights or mapped_weights
        self._model, on = load_model(
            path,
            device,
            flag=self.flag,
            plain_weights=plain_weights,
            mapped_weights=mapped_weights,
            without_vocabulary=vocabulary.facts if vocabulary else None,
            on_progress=on_progress,
        )
        self._n_ctx_train = int(lib.llama_model_n_ctx_train(self._model))
        self.n_ctx = min(n_ctx, self._n_ctx_train)
        if vocabulary is None:
            self._vocabulary = Vocabulary(self._model)
        else:
            self._prepare(min(room, self.n_ctx))
            self._vocabulary = self._own_vocabulary = vocabulary.result()
        self.end_tokens = self._vocabulary.end_tokens
        self.info = self._read_info(on)
        self._files_at = (prefixes, sha256) if prefixes and sha256 else None
        self._files = self._prefix_files()

    def tokenize(self, text: str) -> list[int]:
        """The ids of a plain text."""
        return self._open()._vocabulary.tokenize(text)

    def control_token(self, text: str) -> int | None:
        """The id of a control token by its text; None if the vocabulary has no such token."""
        return self._open()._vocabulary.control_token(text)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a control token."""
        return self._open()._vocabulary.token_bytes(token)

    def read(
        self,
        tokens: Sequence[int],
        *,
        room: int,
        prefix: int = 0,
        suffix: int = 0,
        exact: bool = True,
        ahead: Sequence[int] = (),
        wanted: Sequence[int] = (),  # noqa: ARG002 - there are all
    ) -> NDArray[np.float32]:
        """Hold exactly these tokens; see Session.read."""
        cache = self._open()._cache_for(tuple(tokens[:prefix]))
        self._reading = cache
        return cache.read(
            list(tokens),
            prefix=prefix,
            suffix=suffix,
            exact=exact,
            room=room,
            ahead=list(ahead),
        )

    def extend(
        self,
        tokens: Sequence[int],
        *,
        back: int = 0,
        wanted: Sequence[int] = (),  # noqa: ARG002 - there are all
    ) -> NDArray[np.float32]:
        """Add tokens to those held; see Session.extend."""
        reading = self._open()._reading
        if reading is None:
            raise SessionError("nothing is read yet: there is nothing to extend")
        return reading.extend(list(tokens), back)

    def sequences(self, prefixes: tuple[tuple[int, ...], ...]) -> LlamaSequences:
        """Several sequences beside the one that ``read`` holds; see Session.sequences."""
        from edgeguard.session.sequences import LlamaSequences

        if self._open()._sequences is None:
            self._sequences = LlamaSequences(
                self._model,
                n_vocab=self.info.n_vocab,
                settings=self._settings,
                flag=self.flag,
                prefixes=prefixes,
                prefix_state=lambda prefix: self._cache_for(prefix).state_of(list(prefix)),
            )
        assert self._sequences is not None
        return self._sequences

    @property
    def hidden(self) -> int:
        """How many values a hidden state has."""
        return int(lib.llama_model_n_embd(self._open()._model))

    @property
    def vocabulary_facts(self) -> VocabularyFacts:
        """What a later load of the same file need not look for."""
        vocabulary = self._open()._vocabulary
        return VocabularyFacts(self.info.architecture, vocabulary.size, vocabulary.special)

    def metadata(self, key: str) -> str | None:
        """A text in the file's header; None where it has no such key."""
        return self._open()._metadata(key)

    def hidden_states(self) -> HiddenStates:
        """A new, empty context that gives hidden states; see States."""
        from edgeguard.session.hidden_states import HiddenStates

        states = HiddenStates(
            self._open()._model, size=self.n_ctx, settings=self._settings, flag=self.flag
        )
        self._states.add(states)
        return states

    def use(self, settings: Settings) -> None:
        """Compute with other settings from now on; what was computed is forgotten."""
        self._open().free_contexts()
        self._settings = settings
        self._files = self._prefix_files()
        if self._sequences is not None:
            self._sequences.use(settings)
        for states in list(self._states):
            states.use(settings)

    def free_contexts(self) -> None:
        """Give the contexts' memory back; they are made anew when they are needed."""
        for cache in self._caches.values():
            cache.free()
        self._caches.clear()
        if self._spare is not None:
            self._spare.free()
            self._spare = None
        self._reading = None
        if self._sequences is not None:
            self._sequences.free()
        for states in list(self._states):
            states.free()

    def close(self) -> None:
        """Free the context and the model; calling it again does nothing."""
        if self._model is None or self._process != os.getpid():
            return  # a forked child does not own its parent's memory
        self.free_contexts()
        if self._own_vocabulary is not None:
            self._own_vocabulary.close()
        lib.llama_model_free(self._model)
        self._model = None

    def __del__(self) -> None:
        # At interpreter exit the library may be gone already, and the system takes the memory.
        if getattr(self, "_model", None) is not None and not sys.is_finalizing():
            self.close()

    def _cache_for(self, prefix: tuple[int, ...]) -> PrefixCache:
        """The cache of a prefix. Each mode has its own, so that both stay warm."""
        if prefix not in self._caches:
            if len(self._caches) == _CACHES:
                self._caches.popitem(last=False)[1].free()
            context, self._spare = self._spare or self._new_context(), None
            self._caches[prefix] = PrefixCache(context, self._files)
        self._caches.move_to_end(prefix)
        return self._caches[prefix]

    def _prepare(self, tokens: int) -> None:
        """Make the first context now, if it is known what for."""
        if tokens:
            self._spare = self._new_context()
            self._spare.fit(tokens)

    def _new_context(self) -> Context:
        return Context(
            self._model,
            # The model's own count, also where it has no vocabulary, and whatever the facts said.
            n_vocab=int(lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self._model))),
            size=self.n_ctx,
            settings=self._settings,
            flag=self.flag,
        )

    def _prefix_files(self) -> PrefixFiles | None:
        if self._files_at is None:
            return None
        folder, sha256 = self._files_at
        depends_on = {
            "model": sha256,
            "library": library_identity(),
            "device": self.info.device,
            "plain weights": self._plain_weights,
            **asdict(self._settings),
        }
        return PrefixFiles(folder, depends_on)

    def _open(self) -> LlamaSession:
        if self._model is None:
            raise ClosedError("the guard is closed: make a new one")
        if self._process != os.getpid():
            raise SessionError(
                "this guard was made in another process, and llama.cpp does not survive a fork: "
                "make one in each process"
            )
        return self

    def _read_info(self, device: str) -> ModelInfo:
        file_type = self._metadata(FILE_TYPE) or ""
        return ModelInfo(
            architecture=self._metadata("general.architecture") or "",
            name=self._metadata("general.name") or self._metadata("general.basename") or "",
            type=type_name(int(file_type) if file_type.isdecimal() else None),
            protocol=self._metadata("edgeguard.protocol"),
            n_ctx_train=self._n_ctx_train,
            n_vocab=self._vocabulary.size,
            tokenizer=self._metadata("tokenizer.ggml.model") or "",
            pre_tokenizer=self._metadata("tokenizer.ggml.pre") or "",
            device=device,
        )

    def _metadata(self, key: str) -> str | None:
        buffer = ctypes.create_string_buffer(1024)
        size = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        if size >= len(buffer):  # a head of a Stream has millions of digits
            buffer = ctypes.create_string_buffer(size + 1)
            lib.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return None if size < 0 else buffer.value.decode("utf-8", "replace")
