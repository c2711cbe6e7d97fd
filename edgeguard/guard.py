"""The guard: a loaded model that judges prompts, responses and conversations.

Every surface (command, library, server, batch) calls this one class with the same argument names.
It puts the parts together; the parts do the work: edgeguard.loading makes a model ready,
edgeguard.session.thread computes and can be stopped, edgeguard.check makes verdicts.

This module does not write questions, cut texts or read logits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NoReturn

from edgeguard.asking import Asking, How
from edgeguard.cancellation import Cancellation
from edgeguard.check import Check
from edgeguard.check_many import alone, together
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.row_lists import rows_of
from edgeguard.conversation.rows import CheckMessages, CheckRow
from edgeguard.conversation.value import Conversation, Judged
from edgeguard.engines import HowWatched, engine
from edgeguard.errors import EdgeguardError, InputError
from edgeguard.extras import require
from edgeguard.loading import Loaded, Options, load, load_again, prepare
from edgeguard.policy import Policy
from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.protocol.messages import check_text
from edgeguard.reloading import Model
from edgeguard.self_test import self_test
from edgeguard.session.interface import Session
from edgeguard.session.settings import BACKGROUND, MAX_THREADS, Settings, Threads
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.thread import ModelThread
from edgeguard.several import Several
from edgeguard.store import find_policy, resolve
from edgeguard.store.model_file import server_address
from edgeguard.store.registry import BUILT_INS
from edgeguard.trial import tried
from edgeguard.verdict import ModelId, Verdict
from edgeguard.verdict_cache import IN_MEMORY, CacheInfo, open_answers
from edgeguard.watch.interval import INTERVAL
from edgeguard.watch.watch import Watch

DEVICES = ("auto", "cpu")
N_CTX = 8192
"""Tokens of one window unless told: about 30,000 characters of English. Each token of context costs
112 KiB with the 0.6B model while it is in use."""

_SMALL_NOTE = (
    "%s is the small built-in model, for tests and for trying the tool; it is often wrong. "
    "Type `%s` for the real one"
)
_logger = logging.getLogger(__name__)


class Guard:
    """A model that judges texts. Use it as a context manager, or call ``close()``.

    One guard may be shared by threads; calls wait for each other, first come, first served. A guard
    does not survive a fork: a child makes its own.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        policy: str = "strict",
        threads: Threads = None,
        n_ctx: int = N_CTX,
        device: str = "auto",
        allow_random_weights: bool = False,
        mapped_weights: bool = False,
        category_probabilities: bool = False,
        cache: str | os.PathLike[str] | None = None,
        idle_unload: float | None = None,
        on_progress: Callable[[float], None] | None = None,
        cancel: Cancellation | None = None,
    ) -> None:
        """Load a model.

        model: a name (``nano``, ``gen-0.6b``, …) or the path of a GGUF file; None takes
        EDGEGUARD_MODEL, else ``gen-0.6b``. Nothing is ever downloaded. Or the address of a vLLM,
        SGLang or llama-server that serves a Qwen3Guard-Gen, as ``http://host:8000/v1``: threads and
        device mean nothing then, the key is EDGEGUARD_MODEL_KEY.
        policy: ``strict`` flags Controversial, ``loose`` does not; or the name of a saved policy,
        or the TOML file of one.
        threads: CPU threads; None takes what `edgeguard tune` found, else the physical cores;
        ``background`` leaves one of them alone, for the interface of a program.
        n_ctx: the most tokens of one window; longer texts are judged in several.
        device: ``auto`` uses the accelerator llama.cpp was built for, ``cpu`` does not.
        allow_random_weights: take a model that puts nearly none of its probability on the words
        of an answer, as only one with random or broken weights does. Its verdicts mean nothing.
        mapped_weights: leave the weights in the file's pages, which all processes of a machine
        share, instead of a copy that is rearranged for the processor. That loads sooner, computes
        more slowly on some processors, and gives other late digits.
        category_probabilities: have each verdict hold the shares of the categories, even where
        that takes a short pass more.
        cache: remember answers, by digests and without texts: ``memory``, or a file of them that
        several processes may share. See ``cache_info``.
        idle_unload: seconds without a call after which the model's memory is given back; the next
        call loads it again, or raises ModelError if the file is another one by then. None keeps it.
        on_progress: called in another thread with the share of the file that is loaded, 0 to 1.
        cancel: ends the load.

        Raises ModelNotFoundError, ModelError, SessionError, InputError (an option out of range),
        PolicyError, CancelledError, StoreError (the cache).
        """
        self._policy = find_policy(policy)
        _check_options(model, threads, n_ctx, device)
        idle_unload = None if idle_unload is None else seconds_of(idle_unload, "idle_unload")
        url = server_address(model)
        if url is not None:
            load_remote = _remote(url, cache, n_ctx, allow_random_weights)
            self._policy.check_model("", url)
            self._start(
                StopFlag(),
                load_remote,
                load_remote,
                shares=category_probabilities,
                cache=cache,
                cancel=cancel,
                idle_unload=idle_unload,
            )
            return
        file = resolve(model)
        if file.built_in:
            _logger.warning(_SMALL_NOTE, file.name, BUILT_INS[file.name].pull)
        options = Options(threads, n_ctx, device, allow_random_weights, mapped_weights)
        plan = prepare(file, options)
        self._policy.check_model(plan.model.sha256, str(file.path))
        plan = tried(plan, cancel=cancel)
        self._start(
            StopFlag(),
            lambda flag: load(plan, flag, on_progress),
            lambda flag: load_again(file, plan, flag, on_progress),
            shares=category_probabilities,
            cache=cache,
            cancel=cancel,
            idle_unload=idle_unload,
        )

    @classmethod
    def with_session(
        cls,
        session: Session,
        *,
        policy: str = "strict",
        allow_random_weights: bool = False,
        category_probabilities: bool = False,
        cache: str | os.PathLike[str] | None = None,
    ) -> Guard:
        """A guard on any session, for tests without a model; see edgeguard.session.fake."""
        guard = cls.__new__(cls)
        guard._policy = find_policy(policy)
        guard._policy.check_model("", session.info.name)
        model = ModelId(session.info.name, session.info.type, "")
        loaded = Loaded.of(session, model, model.name, allow_random_weights=allow_random_weights)
        guard._start(
            session.flag,
            lambda _flag: loaded,
            lambda _flag: loaded,
            shares=category_probabilities,
            cache=cache,
        )
        return guard

    def _start(
        self,
        flag: StopFlag,
        load: Callable[[StopFlag], Loaded],
        load_again: Callable[[StopFlag], Loaded],
        *,
        shares: bool,
        cache: str | os.PathLike[str] | None = None,
        cancel: Cancellation | None = None,
        idle_unload: float | None = None,
    ) -> None:
        self._answers = None if cache is None else open_answers(cache)
        self._model = model = Model(lambda: load(flag), lambda: load_again(flag))
        idle = None if idle_unload is None else (idle_unload, model.unload)
        self._thread = ModelThread(flag, idle)
        try:
            loaded = self._thread.run(model.get, cancel=cancel)
        except BaseException:
            self._thread.stop(abort=True)
            if self._answers is not None:
                self._answers.close()
            raise
        self._settings, device = loaded.settings, loaded.session.info.device
        if self._answers is not None:
            self._answers.belongs_to(loaded.model, device, loaded.settings)
        is_stream = loaded.heads is not None
        self._asking = Asking(
            model, self._thread, loaded.model, device, shares, self._answers, is_stream
        )
        # Runs at exit too, before libraries are torn down: a daemon thread may be in a check then.
        self._free = weakref.finalize(self, self._thread.stop, model.unload, abort=True)

    @property
    def model(self) -> ModelId:
        """Which model answers."""
        return self._asking.model_id

    @property
    def policy(self) -> Policy:
        """The policy of calls that name none."""
        return self._policy

    @property
    def device(self) -> str:
        """Where the model runs: ``cpu``, or the accelerator's name."""
        return self._asking.device

    @property
    def settings(self) -> Settings | None:
        """What the model computes with; None for a session that is not llama.cpp's."""
        return self._settings

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory now; without ``idle_unload``, until ``close``."""
        return self._model.is_loaded

    def check(
        self,
        text: str,
        *,
        policy: str | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> Verdict:
        """Judge a prompt, that is, what a user asks of an assistant.

        The result does not depend on earlier calls: it has the same bits in any order of calls.
        """
        messages = [{"role": "user", "content": text}]
        return self.check_messages(
            messages, policy=policy, fresh=True, timeout=timeout, cancel=cancel
        )

    def check_response(
        self,
        prompt: str,
        response: str,
        *,
        policy: str | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> Verdict:
        """Judge a response to a prompt, and whether it is a refusal."""
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": response},
        ]
        return self.check_messages(messages, policy=policy, timeout=timeout, cancel=cancel)

    def check_messages(
        self,
        messages: CheckMessages,
        *,
        policy: str | None = None,
        fresh: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> Verdict:
        """Judge the last message of a conversation, with the messages before it as context.

        messages: in any of the public forms (docs/conversations.md), as dictionaries with ``role``
        and ``content``. The last one's role decides whether a prompt or a response is judged.
        fresh: take as long as if nothing like it had been judged before, and give the same bits in
        any order of calls. Else a conversation that begins as the one before pays for what is new
        alone, and its probabilities differ from a fresh one's in late digits.
        strict_messages: refuse what the official template has no place for, as tool roles and
        several text parts, instead of showing it otherwise.
        tool_calls: show and judge the calls of tools, as text; else ``not_judged`` names them.
        skip_media: pass over images, sounds and files, which ``not_judged`` then names; else they
        are an error.
        timeout: seconds from now, waiting for other calls included.
        cancel: ends the call when it is cancelled, in any thread.
        Raises InputError, InputTooLongError, SessionError, ClosedError, PolicyError, ModelError
        (the model's numbers are broken), TimeoutError, CancelledError.
        """
        return self.begin(
            messages,
            policy=policy,
            fresh=fresh,
            strict_messages=strict_messages,
            tool_calls=tool_calls,
            skip_media=skip_media,
            timeout=timeout,
            cancel=cancel,
        ).verdict()

    def check_turns(
        self,
        messages: CheckMessages,
        *,
        judge: Judged = "each",
        policy: str | None = None,
        fresh: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> list[Verdict]:
        """Judge several messages of a conversation, each with those before it as context.

        judge: ``each`` message of the user, the assistant and tools; ``exchange``, those from the
        user's last message on; or ``last``, which is what ``check_messages`` does. Messages
        without a text get no verdict. ``Verdict.message`` is the index of the judged message.
        timeout: seconds for all of them together. The rest is as in ``check_messages``.
        """
        deadline = None if timeout is None else time.monotonic() + seconds_of(timeout)
        how = How(self._chosen(policy), fresh, False, deadline, cancel)
        read = Reading(strict_messages, tool_calls, skip_media)(messages)
        return [self._asking.begin(one, how).verdict() for one in read.judged(judge)]

    def begin(
        self,
        messages: CheckMessages,
        *,
        policy: str | Policy | None = None,
        fresh: bool = False,
        category_probabilities: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> Check:
        """Begin to judge a conversation: what it will cost, and its windows one by one.

        For programs that say no to what costs too much, or let long texts take turns. Arguments
        and errors are those of ``check_messages``, and of the guard itself.
        """
        deadline = None if timeout is None else time.monotonic() + seconds_of(timeout)
        how = How(self._chosen(policy), fresh, category_probabilities, deadline, cancel)
        return self._asking.begin(Reading(strict_messages, tool_calls, skip_media)(messages), how)

    def _chosen(self, name: str | Policy | None) -> Policy:
        """The policy of that name. Raises PolicyError if it is for another model, InputError."""
        if name is None:
            return self._policy
        policy = name if isinstance(name, Policy) else find_policy(name)
        policy.check_model(self.model.sha256, self.model.name)
        return policy

    def check_many(
        self,
        rows: Iterable[CheckRow],
        *,
        policy: str | None = None,
        exact: bool = True,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> Iterator[Verdict | EdgeguardError]:
        """Judge any number of texts, lazily and in order: one verdict for each, or its error.

        rows: each a prompt (str), a mapping with ``text`` and perhaps ``response``, or a
        conversation as ``check_messages`` takes it; a data frame or an array of them will do. What
        cannot be judged gives its error instead of a verdict, and the rest goes on. Texts that
        repeat are judged once, as far as the last 10,000 different ones reach.
        exact: judge one text after the other, with the bits that each has alone. False: short texts
        share passes; probabilities then differ in late digits, by what is in the same pass, and up
        to 32 rows are taken ahead.
        timeout: seconds for each text, which is then judged alone; one that takes longer gives its
        TimeoutError.
        Raises SessionError or ModelError when the model itself is broken, ClosedError,
        CancelledError; InputError at once if there is no such policy, or rows is no list of rows.
        """
        # Now and once: a saved policy is a file, and may change between two rows.
        chosen = self._chosen(policy)
        limit = None if timeout is None else seconds_of(timeout)
        reading = Reading(strict_messages, tool_calls, skip_media)
        found = rows_of(rows)

        def test() -> None:
            self_test(self, cancel)

        if exact or limit is not None or self._asking.is_stream:

            def judge(conversation: Conversation) -> Verdict:
                deadline = None if limit is None else time.monotonic() + limit
                how = How(chosen, True, False, deadline, cancel)
                return self._asking.begin(conversation, how).verdict()

            return alone(found, reading, judge, test)
        several = Several(self._asking, How(chosen, False, False, None, cancel))
        return together(found, reading, several, test)

    def watch(
        self,
        messages: CheckMessages,
        *,
        policy: str | Policy | None = None,
        interval: int = INTERVAL,
        in_a_row: int = IN_A_ROW,
        category_probabilities: bool = False,
        strict_messages: bool = False,
        tool_calls: bool = False,
        skip_media: bool = False,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> Watch:
        """Judge the response to a conversation while it is written; see edgeguard.watch.

        The conversation is judged first: ``watch.prompt`` is its verdict. An empty one stands for a
        prompt that is not known.
        interval: characters between two passes of a Gen model at least; it is asked at the next end
        of a sentence behind them. A Qwen3Guard-Stream judges what is fed at once, token by token.
        in_a_row: tokens in a row that flag a response, with a Qwen3Guard-Stream: 2 is the authors'
        rule, 1 flags sooner and oftener. A Gen model has no tokens to count.
        timeout: seconds for each pass over what was added.
        Raises what ``check_messages`` raises.
        """
        if not _is_whole(interval, 1, None):
            raise InputError(f"interval is {interval!r}; it must be at least 1 character")
        if not _is_whole(in_a_row, 1, None):
            raise InputError(f"in_a_row is {in_a_row!r}; it must be at least 1 token")
        chosen = self._chosen(policy)
        limit = None if timeout is None else seconds_of(timeout)
        reading = Reading(strict_messages, tool_calls, skip_media)
        asked = reading(messages) if messages else None
        how = HowWatched(chosen, interval, in_a_row, category_probabilities, limit, cancel)
        return Watch(engine(self._asking, asked, how))

    def tokenize(self, text: str) -> tuple[bytes, ...]:
        """The tokens of a plain text, each as the bytes that it stands for.

        Raises InputError, ClosedError.
        """
        check_text("text", text)
        return self._thread.run(lambda: _tokens(self._model.get().session, text))

    def cache_info(self) -> CacheInfo | None:
        """How often the cache knew an answer, and how many it holds; None without a cache."""
        return None if self._answers is None else self._answers.info()

    def unload(self) -> None:
        """Give the model's memory back, behind earlier calls; the next call loads it again.

        Raises ClosedError.
        """
        self._thread.run(self._model.unload)

    def close(self) -> None:
        """Free the memory, after a check that still runs; calling it again does nothing."""
        if self._free.detach() is not None:
            self._thread.stop(self._model.unload)
            if self._answers is not None:
                self._answers.close()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a guard cannot be pickled: make one in each process")


def _check_options(model: object, threads: Threads, n_ctx: int, device: str) -> None:
    if model is not None and not isinstance(model, (str, os.PathLike)):
        raise InputError(f"model is {type(model).__name__}; it must be a name or a path")
    if threads not in (None, BACKGROUND) and not _is_whole(threads, 1, MAX_THREADS):
        raise InputError(
            f"threads is {threads!r}; it must be at least 1 and at most {MAX_THREADS}, "
            f"or {BACKGROUND!r}"
        )
    if not _is_whole(n_ctx, 512, None):
        raise InputError(f"n_ctx is {n_ctx!r}; the question alone needs 512 tokens")
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}; there are: {', '.join(DEVICES)}")


def _remote(
    url: str, cache: object, n_ctx: int, allow_random_weights: bool
) -> Callable[[StopFlag], Loaded]:
    """What asks the server at an address. Raises InputError."""
    from edgeguard.remote.address import address

    require("remote", "a model at a server")
    from edgeguard.remote.start import start  # which loads an HTTP client

    if cache not in (None, IN_MEMORY):
        raise InputError(
            "answers of a server cannot be kept in a file: which weights gave them is not known; "
            f"cache={IN_MEMORY!r} keeps them as long as the guard lives"
        )
    at = address(url)
    return lambda flag: start(at, n_ctx=n_ctx, allow_random_weights=allow_random_weights, flag=flag)


def _tokens(session: Session, text: str) -> tuple[bytes, ...]:
    return tuple(session.token_bytes(token) for token in session.tokenize(text))


def _is_whole(value: object, least: int, most: int | None) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and least <= value and (most is None or value <= most)  # type: ignore[operator]


def seconds_of(value: float, name: str = "timeout") -> float:
    """A time that makes sense. Raises InputError."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < float("inf"):
        raise InputError(f"{name} is {value!r}; it must be a number of seconds above 0")
    return float(min(value, threading.TIMEOUT_MAX / 2))  # the system waits no longer
