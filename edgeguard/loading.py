"""From a model's file to a model that can be asked: settings, llama.cpp, and checks.

    prepare      in the caller's thread: identify the file by its content; nothing native yet
    load         in the model's thread: settings, weights, and every check of a loaded model
    load_again   there too: the same file once more, for a guard that was idle

This module judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgeguard.decoder import Decoder
from edgeguard.errors import ModelError, StoreError
from edgeguard.protocol import stream
from edgeguard.session.compatibility import check_compatible, check_stream
from edgeguard.session.cpu import usable_cores
from edgeguard.session.interface import Session, VocabularyFacts
from edgeguard.session.processor import processor_flags
from edgeguard.session.settings import BACKGROUND, Settings, Threads
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.stream_interface import StreamSession
from edgeguard.store.checksum import Stamp, stamp
from edgeguard.store.model_file import ModelFile
from edgeguard.store.paths import prefix_folder
from edgeguard.store.soundness import identify
from edgeguard.tokens import QuestionTokenizer
from edgeguard.tuning.record import remembered, remembered_plain
from edgeguard.verdict import ModelId
from edgeguard.windows import Windows

if TYPE_CHECKING:
    from edgeguard.session.llama import LlamaSession
    from edgeguard.session.vocabulary_thread import VocabularyThread
    from edgeguard.stream.check import StreamDecoder, StreamQuestions
    from edgeguard.stream.heads import Heads
    from edgeguard.together import Together

_LARGE = 100_000_000
"""Bytes of a file whose weights take noticeable time to rearrange."""
_SHORT = 512
"""Tokens of the question about a short text, with its answer."""


@dataclass(frozen=True)
class Options:
    """The options of a guard; see edgeguard.guard.Guard."""

    threads: Threads
    n_ctx: int
    device: str
    allow_random_weights: bool
    mapped_weights: bool = False
    """Plain weights, mapped from the file: loaded in half the time. See ``_is_faster_plain``."""
    one_shot: bool = False
    """A process that judges little, and is then closed."""


@dataclass(frozen=True)
class Plan:
    """Everything that is known before the file is loaded."""

    path: Path
    model: ModelId
    options: Options
    plain_weights: bool = False
    stamp: Stamp | None = None
    """The file's stamp when it was identified."""
    vocabulary: VocabularyFacts | None = None
    """What an earlier load found; the vocabulary is then loaded beside the weights."""


@dataclass(frozen=True)
class Loaded:
    """A model that can be asked."""

    session: Session
    model: ModelId
    settings: Settings | None
    decoder: Decoder | StreamDecoder
    windows: Windows | StreamQuestions
    heads: Heads | None = None
    """Of a Qwen3Guard-Stream."""
    plain_weights: bool = False
    """Not rearranged for the processor: the numbers differ in late digits."""
    vocabulary: VocabularyFacts | None = None
    """What a later load need not look for; None of a Qwen3Guard-Stream."""

    def together(self, *, anew: bool = False) -> Together:
        """What asks several questions side by side; ``anew``: whatever was asked before.

        Not for a Qwen3Guard-Stream.
        """
        from edgeguard.together import Together

        assert isinstance(self.decoder, Decoder)
        assert isinstance(self.windows, Windows)
        sequences = self.session.sequences(self.windows.prefixes)
        if anew:
            sequences.clear()
        return Together(self.decoder, sequences)

    @classmethod
    def of(
        cls,
        session: Session,
        model: ModelId,
        where: str,
        *,
        settings: Settings | None = None,
        allow_random_weights: bool = False,
    ) -> Loaded:
        """Made from a session; errors name the file ``where`` it came from.

        Raises ModelError unless it can be a Qwen3Guard-Gen or -Stream.
        """
        if session.info.protocol == stream.PROTOCOL:
            return cls._of_stream(cast(StreamSession, session), model, where, settings)
        check_compatible(session, where)
        decoder = Decoder(session, allow_random_weights=allow_random_weights)
        windows = Windows(session, QuestionTokenizer(session), decoder.room)
        return cls(session, model, settings, decoder, windows)

    @classmethod
    def _of_stream(
        cls, session: StreamSession, model: ModelId, where: str, settings: Settings | None
    ) -> Loaded:
        from edgeguard.stream.check import StreamDecoder, StreamQuestions
        from edgeguard.stream.heads import Heads  # loads numpy

        heads = Heads(check_stream(session, where))
        questions = StreamQuestions(session)
        return cls(session, model, settings, StreamDecoder(session, heads), questions, heads)


def prepare(file: ModelFile, options: Options) -> Plan:
    """Identify the file by its content, which must be sound. Raises ModelError, StoreError."""
    before = stamp(file.path)
    model = ModelId(file.name, file.type or "", identify(file))
    if _is_faster_plain(file.path, model.sha256, one_shot=options.one_shot):
        options = replace(options, mapped_weights=True)
    return Plan(file.path, model, options, stamp=before)


def _is_faster_plain(path: Path, sha256: str, *, one_shot: bool) -> bool:
    """Whether a process saves time by plain weights, mapped from the file.

    As `edgeguard tune` measured it. Unless it has, only one that judges little: rearranging the
    0.6B model takes half a second and more, and a short text's passes gain nothing by it on x86-64,
    with AVX-512 or without (benchmarks/start.py). On ARM that was not measured.
    """
    measured = remembered_plain(sha256, one_shot=one_shot)
    if measured is not None:
        return measured
    return one_shot and path.stat().st_size >= _LARGE and "avx2" in processor_flags()


def load(plan: Plan, flag: StopFlag, on_progress: Callable[[float], None] | None) -> Loaded:
    """Load the file. Raises ModelError, SessionError, CancelledError."""
    settings = _settings(plan)
    vocabulary = _begin_vocabulary(plan, flag)
    with closing(vocabulary) if vocabulary else nullcontext():
        session = _load_session(plan, settings, vocabulary, flag, on_progress)
    try:
        if plan.stamp not in (None, stamp(plan.path)):
            raise ModelError(f"{plan.path} was changed while it was loaded; try again")
        loaded = Loaded.of(
            session,
            replace(plan.model, type=plan.model.type or session.info.type),
            str(plan.path),
            settings=settings,
            allow_random_weights=plan.options.allow_random_weights,
        )
        is_stream = loaded.heads is not None
        return replace(
            loaded,
            plain_weights=plan.plain_weights or plan.options.mapped_weights,
            vocabulary=None if is_stream else session.vocabulary_facts,
        )
    except BaseException:
        session.close()
        raise


def _settings(plan: Plan) -> Settings:
    # Imported here: `edgeguard --help` imports this module, and must not load llama.cpp.
    from edgeguard.session.library import library_identity

    settings = remembered(plan.model.sha256, library_identity()) or Settings(usable_cores())
    return replace(settings, threads=_threads(plan.options.threads, settings.threads))


def _begin_vocabulary(plan: Plan, flag: StopFlag) -> VocabularyThread | None:
    """Load it in a thread of its own, if enough is known of it and there is a core for that."""
    if plan.vocabulary is None or usable_cores() == 1:
        return None
    from edgeguard.session.vocabulary_thread import VocabularyThread

    return VocabularyThread(plan.path, plan.vocabulary, flag)


def _load_session(
    plan: Plan,
    settings: Settings,
    vocabulary: VocabularyThread | None,
    flag: StopFlag,
    on_progress: Callable[[float], None] | None,
) -> LlamaSession:
    from edgeguard.session.llama import LlamaSession  # loads numpy

    return LlamaSession(
        plan.path,
        settings=settings,
        n_ctx=plan.options.n_ctx,
        device=plan.options.device,
        prefixes=_prefix_folder(),
        sha256=plan.model.sha256,
        plain_weights=plan.plain_weights or plan.options.mapped_weights,
        mapped_weights=plan.options.mapped_weights,
        vocabulary=vocabulary,
        room=_SHORT if plan.options.one_shot else 0,
        flag=flag,
        on_progress=on_progress,
    )


def load_again(
    file: ModelFile,
    first: Plan,
    flag: StopFlag,
    on_progress: Callable[[float], None] | None,
) -> Loaded:
    """Load the file once more, with what the first load found out about it.

    Raises ModelError also if the file has changed since, and StoreError.
    """
    plan = prepare(file, first.options)
    if plan.model != first.model:
        raise ModelError(
            f"{file.path} is another file than the guard was made with, and its model was not in "
            "memory: make a new guard"
        )
    known = replace(plan, plain_weights=first.plain_weights, vocabulary=first.vocabulary)
    return load(known, flag, on_progress)


def _threads(asked: Threads, best: int) -> int:
    if asked == BACKGROUND:
        return max(1, min(best, usable_cores() - 1))
    return asked or best


def _prefix_folder() -> Path | None:
    try:
        return prefix_folder()
    except StoreError:
        return None  # without a home folder, each start is slower, and that is all
