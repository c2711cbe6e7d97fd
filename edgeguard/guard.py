"""The guard: a loaded model that judges prompts, responses and conversations.

Every surface (command, library, server, batch) calls this one class with the same argument names.
It puts the parts together; the parts do the work: edgeguard.loading makes a model ready,
edgeguard.session.thread computes and can be stopped, edgeguard.check makes verdicts.

This module does not write questions, cut texts or read logits.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from edgeguard.arguments import N_CTX, check_options, check_watch, seconds_of
from edgeguard.asking import Asking, How
from edgeguard.cancellation import Cancellation
from edgeguard.check import Check
from edgeguard.conversation.reader import Reading
from edgeguard.conversation.value import Conversation, Judged
from edgeguard.errors import EdgeguardError, InputError
from edgeguard.loading import Loaded, Options, load, load_again, prepare
from edgeguard.policy import Policy
from edgeguard.policy.in_a_row import IN_A_ROW
from edgeguard.protocol.messages import check_text
from edgeguard.reloading import Model
from edgeguard.session.interface import Session
from edgeguard.session.settings import Settings, Threads, most_in_a_pass
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.thread import ModelThread
from edgeguard.store import find_policy, resolve
from edgeguard.store.model_file import server_address
from edgeguard.store.registry import BUILT_INS
from edgeguard.trial import tried
from edgeguard.verdict import ModelId, Verdict
from edgeguard.watch import INTERVAL

# What a single check does not need is imported by the methods that do: a command's start counts.
if TYPE_CHECKING:
    from edgeguard.conversation.rows import CheckMessages, CheckRow
    from edgeguard.verdict_cache import CacheInfo
    from edgeguard.watch.watch import Watch

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
        one_shot: bool = False,
        on_progress: Callable[[float], None] | None = None,
        cancel: Cancellation | None = None,
    ) -> None:
        """Load a model.

        model: a name (``nano``, ``gen-0.6b``, …), the path of a GGUF file, or the address of a
        vLLM, SGLang or llama-server that serves a Qwen3Guard-Gen (``http://host:8000/v1``; then
        threads and device have no effect, and the key is EDGEGUARD_MODEL_KEY). None takes
        EDGEGUARD_MODEL, or ``gen-0.6b`` if it is not set. Nothing is ever downloaded.
        policy: ``strict`` flags Controversial, ``loose`` does not; or the name of a saved policy,
        or the path of a policy's TOML file.
        threads: CPU threads. None takes the number that `edgeguard tune` found, or one for each
        physical core; ``background`` uses one fewer, which keeps a desktop responsive.
        n_ctx: the largest window in tokens; a longer text is judged in several windows.
        device: ``auto`` uses the accelerator that llama.cpp was built for, ``cpu`` does not.
        allow_random_weights: accept a model that gives hardly any probability to the words of an
        answer, which only random or broken weights do. Its verdicts mean nothing.
        mapped_weights: use the weights in the file's own pages, which all processes of a machine
        share, instead of a copy rearranged for the processor. This loads faster, computes more
        slowly on some processors, and changes late digits. Where `edgeguard tune` found that it
        computes faster, it is always done.
        category_probabilities: put the probabilities of the categories into every verdict, even
        if that takes one more short pass.
        cache: remember answers under digests of the texts, never the texts: ``memory``, or the
        path of a file, which several processes may share. See ``cache_info``.
        idle_unload: free the model's memory after so many seconds without a call. The next call
        loads it again, or raises ModelError if the file has changed. None keeps it loaded.
        one_shot: for a guard that judges a short text or two and is then closed. A large file
        loads half a second faster on some processors; each pass takes a little longer.
        on_progress: called from another thread with the fraction of the file loaded, 0 to 1.
        cancel: cancels the load.

        Raises ModelNotFoundError, ModelError, SessionError, InputError (an option out of range),
        PolicyError, CancelledError, StoreError (the cache).
        """
        self._policy = find_policy(policy)
        check_options(model, threads, n_ctx, device)
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
        options = Options(threads, n_ctx, device, allow_random_weights, mapped_weights, one_shot)
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
        self._answers = None
        if cache is not None:
            from edgeguard.verdict_cache import open_answers

            self._answers = open_answers(cache)
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
            self._answers.belongs_to(
                loaded.model, device, loaded.settings, plain_weights=loaded.plain_weights
            )
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
        """Judge a prompt, the message of a user to an assistant.

        The result does not depend on earlier calls, down to its last bit.
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
        fresh: compute everything anew, so that the result has the same bits in any order of calls.
        Otherwise a conversation that begins like the previous one costs only what is new, and its
        probabilities may differ in late digits.
        strict_messages: refuse what the official template cannot express, such as tool roles and
        several text parts, instead of showing it in another form.
        tool_calls: judge tool calls too, as text; otherwise ``not_judged`` lists them.
        skip_media: skip images, audio and files, and list them in ``not_judged``; otherwise they
        are an error.
        timeout: seconds from now, including the wait for other calls.
        cancel: cancelling it, from any thread, ends the call.
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
        """Start a check: see what it will cost, then run it window by window.

        For programs that refuse expensive texts, or let long ones take turns. Arguments and errors
        are those of ``check_messages`` and ``Guard``.
        """
        deadline = None if timeout is None else time.monotonic() + seconds_of(timeout)
        how = How(self._chosen(policy), fresh, category_probabilities, deadline, cancel)
        return self._asking.begin(Reading(strict_messages, tool_calls, skip_media)(messages), how)

    def answer_ahead(
        self, checks: Sequence[Check], *, cancel: Cancellation | None = None
    ) -> list[Check]:
        """Compute the next step of several checks in common passes, where that is possible.

        For programs with many callers: the next ``step`` of such a check costs nothing, and its
        probabilities differ in late digits. Returns the checks that took part. Raises SessionError,
        ModelError, ClosedError, CancelledError; each check can then go on alone.
        """
        from edgeguard.ahead import answer_ahead

        return answer_ahead(self._asking, checks, cancel)

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

        rows: each a prompt (str), a mapping with ``text`` and optionally ``response``, or a
        conversation as ``check_messages`` takes it; data frames and arrays of these are accepted. A
        row that cannot be judged yields its error in place of a verdict, and the rest continues.
        A text that is among the last 10,000 different ones is not judged again.
        exact: judge one text at a time, with the same bits as a single check. False: short texts
        share passes, unless `edgeguard tune` found that to be slower; probabilities then differ in
        late digits, depending on the other texts of the pass, and up to 32 rows are read ahead.
        timeout: seconds for each text, which is then judged alone; a slower one yields a
        TimeoutError.
        Raises SessionError or ModelError when the model itself is broken, ClosedError,
        CancelledError; InputError at once if there is no such policy, or rows is no list of rows.
        """
        from edgeguard.check_many import alone, together
        from edgeguard.conversation.row_lists import rows_of
        from edgeguard.self_test import self_test
        from edgeguard.several import Several

        # Now and once: a saved policy is a file, and may change between two rows.
        chosen = self._chosen(policy)
        limit = None if timeout is None else seconds_of(timeout)
        reading = Reading(strict_messages, tool_calls, skip_media)
        found = rows_of(rows)

        def test() -> None:
            self_test(self, cancel)

        shared = most_in_a_pass(self._settings) > 1
        if exact or limit is not None or self._asking.is_stream or not shared:

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

        The conversation is judged first: ``watch.prompt`` is its verdict. Pass an empty one if the
        prompt is unknown.
        interval: the minimum number of characters between two checks of a Gen model, which happen
        at the next end of a sentence. A Qwen3Guard-Stream judges every token as it is fed.
        in_a_row: how many harmful tokens in a row flag a response, with a Qwen3Guard-Stream: 2 is
        the authors' rule, 1 flags sooner and more often. It has no effect with a Gen model.
        timeout: seconds for each check of the text that was added.
        Raises what ``check_messages`` raises.
        """
        from edgeguard.engines import HowWatched, engine
        from edgeguard.watch.watch import Watch

        check_watch(interval, in_a_row)
        chosen = self._chosen(policy)
        limit = None if timeout is None else seconds_of(timeout)
        reading = Reading(strict_messages, tool_calls, skip_media)
        asked = reading(messages) if messages else None
        how = HowWatched(chosen, interval, in_a_row, category_probabilities, limit, cancel)
        return Watch(engine(self._asking, asked, how))

    def tokenize(self, text: str) -> tuple[bytes, ...]:
        """The tokens of a plain text, each as its bytes.

        Raises InputError, ClosedError.
        """
        check_text("text", text)
        return self._thread.run(lambda: _tokens(self._model.get().session, text))

    def cache_info(self) -> CacheInfo | None:
        """How many answers came from the cache, and how many it holds; None without a cache."""
        return None if self._answers is None else self._answers.info()

    def unload(self) -> None:
        """Free the model's memory once earlier calls are done; the next call loads it again.

        Raises ClosedError.
        """
        self._thread.run(self._model.unload)

    def close(self) -> None:
        """Free the memory once a running check is done; calling it again does nothing."""
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


def _remote(
    url: str, cache: object, n_ctx: int, allow_random_weights: bool
) -> Callable[[StopFlag], Loaded]:
    """What asks the server at an address. Raises InputError."""
    from edgeguard.extras import require
    from edgeguard.remote.address import address
    from edgeguard.verdict_cache import IN_MEMORY

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
