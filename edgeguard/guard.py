"""The guard: a loaded model that judges prompts, responses and conversations.

Every surface (command, library, later server and batch) calls this one class with the same argument
names. It puts the parts together and holds the lock that makes one guard safe under threads; the
parts do the work: edgeguard.tokens, edgeguard.windows, edgeguard.decoder, edgeguard.session.

This module does not write questions, cut texts or read logits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from edgeguard.decoder import Decoded, Decoder
from edgeguard.errors import ClosedError, InputError, StoreError
from edgeguard.policy import Policy
from edgeguard.protocol.answer import Answer, write
from edgeguard.protocol.messages import Message, mode_of, parse_messages
from edgeguard.protocol.names import SEVERITIES, SEVERITY_RANK, UNSAFE, Mode
from edgeguard.session.claims import check_claims
from edgeguard.session.cpu import physical_cores
from edgeguard.session.interface import Session
from edgeguard.session.settings import Settings
from edgeguard.store import file_sha256, find_policy, resolve
from edgeguard.store.paths import starts_folder
from edgeguard.tokens import QuestionTokenizer
from edgeguard.tuning.record import remembered
from edgeguard.verdict import ModelId, Probabilities, Verdict
from edgeguard.windows import Windows

DEVICES = ("auto", "cpu")
N_CTX = 8192
"""Tokens of one window unless told: about 30,000 characters of English. Each token of context costs
112 KiB with the 0.6B model while it is in use."""

_NANO_NOTE = (
    "nano is the small built-in model, for tests and for trying the tool; it is often wrong. "
    "Type `edgeguard pull` for the real one"
)
_logger = logging.getLogger(__name__)

CheckMessages = Iterable[Message | Mapping[str, object]]
CheckRow = str | Mapping[str, object] | CheckMessages


class Guard:
    """A model that judges texts. Use it as a context manager, or call ``close()``.

    One guard may be shared by threads; calls wait for each other. A guard does not survive a fork.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        policy: str = "strict",
        threads: int | None = None,
        n_ctx: int = N_CTX,
        device: str = "auto",
    ) -> None:
        """Load a model.

        model: a name (``nano``, ``gen-0.6b``, …) or the path of a GGUF file; None takes
        EDGEGUARD_MODEL, else ``gen-0.6b``. Nothing is ever downloaded.
        policy: ``strict`` flags Controversial, ``loose`` does not; or the name of a policy that
        ``edgeguard calibrate`` saved for this model file.
        threads: CPU threads; None takes what `edgeguard tune` found, else the physical cores.
        n_ctx: the most tokens of one window; longer texts are judged in several.
        device: ``auto`` uses the accelerator llama.cpp was built for, ``cpu`` does not.

        Raises ModelNotFoundError, ModelError, SessionError, InputError (an option out of range),
        PolicyError.
        """
        self._policy = find_policy(policy)
        _check_options(threads, n_ctx, device)
        file = resolve(model)
        if file.built_in:
            _logger.warning("%s", _NANO_NOTE)
        # Here and not above: `edgeguard --help` imports this module's neighbours, not llama.cpp.
        from edgeguard.session.library import library_identity
        from edgeguard.session.llama import LlamaSession

        sha256 = file.sha256 or file_sha256(file.path)
        self._policy.check_model(sha256, str(file.path))
        settings = remembered(sha256, library_identity()) or Settings(physical_cores())
        if threads is not None:
            settings = replace(settings, threads=threads)
        session = LlamaSession(
            file.path,
            settings=settings,
            n_ctx=n_ctx,
            device=device,
            starts=_starts_folder(),
            sha256=sha256,
        )
        try:
            check_claims(session, str(file.path))
            identity = ModelId(file.name, file.type or session.info.type, sha256)
            self._set_up(session, identity, warn=not file.built_in)
        except BaseException:
            session.close()
            raise

    @classmethod
    def with_session(cls, session: Session, *, policy: str = "strict") -> Guard:
        """A guard on any session, for tests without a model; see edgeguard.session.fake."""
        guard = cls.__new__(cls)
        guard._policy = find_policy(policy)
        guard._policy.check_model("", session.info.name)
        check_claims(session, session.info.name)
        guard._set_up(session, ModelId(session.info.name, session.info.type, ""))
        return guard

    def _set_up(self, session: Session, model: ModelId, *, warn: bool = True) -> None:
        self._lock = threading.Lock()
        self._session: Session | None = session
        self._model = model
        self._device = session.info.device
        self._decoder = Decoder(session, warn=warn)
        self._windows = Windows(session, QuestionTokenizer(session), self._decoder.room)

    @property
    def model(self) -> ModelId:
        """Which model answers."""
        return self._model

    def check(self, text: str, *, policy: str | None = None) -> Verdict:
        """Judge a prompt: what a user asks of an assistant."""
        return self.check_messages([{"role": "user", "content": text}], policy=policy)

    def check_response(self, prompt: str, response: str, *, policy: str | None = None) -> Verdict:
        """Judge a response to a prompt, and whether it is a refusal."""
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": response},
        ]
        return self.check_messages(messages, policy=policy)

    def check_messages(
        self, messages: CheckMessages, *, policy: str | None = None, fresh: bool = False
    ) -> Verdict:
        """Judge the last message of a conversation, with the messages before it as context.

        messages: dictionaries with ``role`` (system, user, assistant) and ``content`` (str). The
        last one's role decides whether a prompt or a response is judged.
        fresh: use nothing of the conversation that was judged just before, even where this one
        goes on from it. It then takes longer, and gives the same bits in any order of calls.
        Raises InputError, InputTooLongError, SessionError, ClosedError, PolicyError.
        """
        chosen = self._chosen(policy)
        return self._check(parse_messages(messages), chosen, fresh=fresh)

    def _check(self, parsed: tuple[Message, ...], policy: Policy, *, fresh: bool) -> Verdict:
        with self._lock:
            if self._session is None:
                raise ClosedError("the guard is closed: make a new one")
            started = time.perf_counter()
            questions = self._windows.questions(parsed)
            decoded = [self._decoder.decode(question, fresh=fresh) for question in questions]
            seconds = time.perf_counter() - started
        tokens = sum(len(question.tokens) for question in questions)
        return self._verdict(mode_of(parsed), decoded, policy, tokens, seconds)

    def _chosen(self, name: str | None) -> Policy:
        """The policy of that name. Raises PolicyError if it is for another model, InputError."""
        if name is None:
            return self._policy
        policy = find_policy(name)
        policy.check_model(self._model.sha256, self._model.name)
        return policy

    def check_many(
        self, rows: Iterable[CheckRow], *, policy: str | None = None
    ) -> Iterator[Verdict | InputError]:
        """Judge any number of texts, lazily and in order: one verdict for each, or its error.

        rows: each a prompt (str), a mapping with ``text`` and perhaps ``response``, or a
        conversation as ``check_messages`` takes it. What cannot be judged gives its InputError
        instead of a verdict, and the rest goes on. Texts that repeat are judged once, as far as
        the last 10,000 different ones reach.
        Raises SessionError, ClosedError; InputError at once if there is no such policy.
        """
        from edgeguard.batch.many import check_many

        # Now and once: a saved policy is a file, and may change between two rows.
        chosen = self._chosen(policy)
        return check_many(rows, lambda messages: self._check(messages, chosen, fresh=True))

    @property
    def policy(self) -> Policy:
        """The policy of calls that name none."""
        return self._policy

    @property
    def device(self) -> str:
        """Where the model runs: ``cpu``, or the accelerator's name."""
        return self._device

    def _verdict(
        self, mode: Mode, windows: list[Decoded], policy: Policy, tokens: int, seconds: float
    ) -> Verdict:
        """The verdict of one or more windows: the worst counts, and no category is lost."""
        worst = max(windows, key=_badness)
        severity = worst.answer.severity
        named = [worst, *windows]
        categories = tuple(dict.fromkeys(c for w in named for c in w.answer.categories))
        refusal = worst.answer.refusal
        if refusal is not None and any(w.answer.refusal == "No" for w in windows):
            refusal = "No"  # what complies anywhere is no refusal
        return Verdict(
            mode=mode,
            severity=severity,
            probabilities=Probabilities(worst.probabilities),
            categories=categories,
            refusal=refusal,
            policy=policy.name,
            flagged=any(_flags(policy, window) for window in windows),
            answer=write(Answer(severity, categories, refusal)),
            model=self._model,
            device=self._device,
            tokens=tokens,
            windows=len(windows),
            seconds=round(seconds, 6),
            choices=worst.choices if len(windows) == 1 else (),
        )

    def tokenize(self, text: str) -> tuple[bytes, ...]:
        """The tokens of a plain text, each as the bytes that it stands for. Raises ClosedError."""
        with self._lock:
            if self._session is None:
                raise ClosedError("the guard is closed: make a new one")
            session = self._session
            return tuple(session.token_bytes(token) for token in session.tokenize(text))

    def close(self) -> None:
        """Free the memory, after a check that still runs; calling it again does nothing."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _starts_folder() -> Path | None:
    try:
        return starts_folder()
    except StoreError:
        return None  # a user without a home folder pays at each start, and nothing else


def _flags(policy: Policy, window: Decoded) -> bool:
    return policy.flags(window.answer.severity, Probabilities(window.probabilities))


def _badness(window: Decoded) -> tuple[int, float]:
    unsafe = window.probabilities[SEVERITIES.index(UNSAFE)]
    return SEVERITY_RANK[window.answer.severity], unsafe


def _check_options(threads: int | None, n_ctx: int, device: str) -> None:
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}; it must be at least 1")
    if n_ctx < 512:
        raise InputError(f"n_ctx is {n_ctx}; the question alone needs 512 tokens")
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}; there are: {', '.join(DEVICES)}")
