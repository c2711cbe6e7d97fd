"""Try a library, a processor and a model file together for the first time, in a child process.

llama.cpp can end the process it runs in: where it was built for another processor, where GCC
compiled its AMX code wrong, and on some damaged files. So the first time a combination is met, a
child process loads the file and computes long and short passes with it. The child passes if its
numbers are finite, are the same when computed again, and give an answer; and if the model judges
the test questions of `edgeguard pull` as it should, which damaged weights often do not.

If the child fails, a second one tries without repacked weights, that is without the processor's
special instructions. If that one passes, the model runs in this slower way and the user is told.
If it fails too, the user gets an error, and this process is unharmed.

At last the child loads the file as later starts will, its vocabulary beside its weights; only if
the numbers are the same do they load it so.

The outcome is remembered under EDGEGUARD_HOME, keyed by everything that it depends on. The child
also leaves behind the computed prefix of the questions (edgeguard.session.prefix_files). So only
the first start pays for the trial: two more loads and four short checks.
"""

from __future__ import annotations

import hashlib
import json
import logging
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import edgeguard.errors
from edgeguard import child_process
from edgeguard.cancellation import Cancellation
from edgeguard.decoder import Decoded
from edgeguard.errors import EdgeguardError, ModelError, SessionError, StoreError
from edgeguard.files import replace_text
from edgeguard.loading import Loaded, Options, Plan, load
from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import SAFE
from edgeguard.session.interface import VocabularyFacts
from edgeguard.session.library_files import library_files, rebuild_command
from edgeguard.session.memory import is_about_memory, not_enough
from edgeguard.session.processor import processor
from edgeguard.session.stop_flag import StopFlag
from edgeguard.store.paths import trials_folder
from edgeguard.store.registry import PROBES, Probe
from edgeguard.verdict import ModelId

_FORM = 2  # version of the trial; a new one makes the remembered outcomes invalid
_MOST = 256
"""Outcomes that are kept; the oldest go first."""
_SECONDS = 900.0
"""How long a child may take: a large model on a slow disk, and no longer."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Outcome of a successful trial: which weights work, and what failed before, if anything."""

    plain_weights: bool
    failure: str = ""
    vocabulary: VocabularyFacts | None = None
    """None if the vocabulary has to be loaded with the weights."""


def tried(plan: Plan, *, cancel: Cancellation | None = None) -> Plan:
    """The plan, with plain weights if only they work here.

    Raises SessionError if the library cannot be used at all, ModelError for a damaged file, and
    CancelledError.
    """
    key = _key(plan)
    outcome = _recall(key)
    if outcome is None:
        outcome = try_out(plan, cancel=cancel)
        _remember(key, outcome)
    if outcome.failure:
        _logger.warning("%s; the model runs with plain weights, which is slower", outcome.failure)
    return replace(plan, plain_weights=outcome.plain_weights, vocabulary=outcome.vocabulary)


def try_out(plan: Plan, *, cancel: Cancellation | None = None) -> Outcome:
    """Run the trial now, even if an outcome is remembered. Raises what ``tried`` does."""
    try:
        return Outcome(plain_weights=False, vocabulary=_ask(plan, cancel))
    except child_process.ChildError as error:
        if error.code is None:
            # No child can be started here. Plain weights have never been seen to fail.
            return Outcome(plain_weights=True, failure=f"llama.cpp could not be tried out: {error}")
        first: Exception = error
    except (ModelError, SessionError) as error:
        first = error
    _logger.info("the first try failed (%s); trying plain weights", _how(first))
    try:
        vocabulary = _ask(replace(plan, plain_weights=True), cancel)
    except child_process.ChildError as error:
        raise _dead(plan, error) from error
    what = f"with this processor's own instructions llama.cpp fails ({_how(first)})"
    return Outcome(True, f"{what}; {_rebuild()}", vocabulary)


def _ask(plan: Plan, cancel: Cancellation | None) -> VocabularyFacts | None:
    """Run the trial in a child. Raises ChildError, or the error that the child reports."""
    request = {**asdict(plan), "path": str(plan.path)}
    passed, vocabulary = False, None
    try:
        for reply in child_process.run(__name__, request, timeout=_SECONDS, cancel=cancel):
            if "error" in reply:
                raise _known(reply["error"])(reply["message"])
            passed, vocabulary = True, _facts(reply["vocabulary"])
    except child_process.ChildError:
        if not passed:
            raise
    except TimeoutError as error:
        if not passed:
            raise SessionError(
                f"llama.cpp did not end a first try of {plan.path} within {_SECONDS:.0f} seconds"
            ) from error
    return vocabulary


def _facts(found: dict[str, Any] | None) -> VocabularyFacts | None:
    """Facts out of JSON. Raises TypeError, KeyError, ValueError."""
    if found is None:
        return None
    special = tuple(map(int, found["special"]))
    return VocabularyFacts(str(found["architecture"]), int(found["size"]), special)


def _known(name: str) -> type[EdgeguardError]:
    kind = getattr(edgeguard.errors, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, EdgeguardError) else SessionError


def _dead(plan: Plan, error: child_process.ChildError) -> EdgeguardError:
    """The error for a child that died with plain weights too."""
    if is_about_memory(str(error)):
        return not_enough(f"to load {plan.path} ({_how(error)})")
    if error.code == -getattr(signal, "SIGABRT", 0):
        return ModelError(
            f"llama.cpp cannot read {plan.path}: it ended itself in a first try ({_how(error)}); "
            "the file is damaged: fetch it again with `edgeguard pull`, or make it again with "
            "`edgeguard convert`"
        )
    return SessionError(
        f"llama.cpp cannot be used here: it died in a first try of {plan.path} ({_how(error)}); "
        f"{_rebuild()}"
    )


def _rebuild() -> str:
    return (
        f"build it for this machine ({rebuild_command()}), or install another wheel; "
        "`edgeguard doctor` says more"
    )


def _how(error: Exception) -> str:
    """How a child ended: the name of its signal, and the likely reason."""
    code = getattr(error, "code", None)
    if code is None or code >= 0:
        return str(error)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return name if str(code) in str(error) else f"{name}: {error}"


# The child's side


def main(request: Any, reply: Callable[[Any], None]) -> None:
    """Load, compute and compare; reply with the error, if there is one."""
    plan = Plan(
        Path(request["path"]),
        ModelId(**request["model"]),
        Options(**request["options"]),
        request["plain_weights"],
        tuple(request["stamp"]) if request["stamp"] else None,
    )
    logging.disable(logging.WARNING)  # the parent process prints this warning
    try:
        first, vocabulary = _try(plan)
    except EdgeguardError as error:
        reply({"error": type(error).__name__, "message": str(error)})
        return
    reply({"vocabulary": None})  # passed, whatever becomes of this process now
    if vocabulary is not None and _is_same(replace(plan, vocabulary=vocabulary), first):
        reply({"vocabulary": asdict(vocabulary)})


def _try(plan: Plan) -> tuple[Decoded, VocabularyFacts | None]:
    """The answer to the first question, and what the load found out about the vocabulary."""
    loaded = load(plan, StopFlag(), None)
    with closing(loaded.session):
        first, again = _judged(loaded, PROBES[0]), _judged(loaded, PROBES[0])
        if first != again:
            raise SessionError("llama.cpp computes other numbers for the same text each time")
        if not plan.options.allow_random_weights:
            for probe in PROBES:
                _check_probe(plan, probe, first if probe is PROBES[0] else _judged(loaded, probe))
    return first, loaded.vocabulary


def _is_same(plan: Plan, first: Decoded) -> bool:
    """Whether the file answers alike if its vocabulary is loaded beside its weights."""
    try:
        loaded = load(plan, StopFlag(), None)
        with closing(loaded.session):
            return _judged(loaded, PROBES[0]) == first
    except EdgeguardError:
        return False


def _check_probe(plan: Plan, probe: Probe, judged: Decoded) -> None:
    severity = judged.answer.severity
    if probe.flagged is not None and probe.flagged != (severity != SAFE):
        raise ModelError(
            f"{plan.path} calls {probe.text!r} {severity}: its weights are damaged, or it is "
            "no Qwen3Guard-Gen; fetch it again with `edgeguard pull`, or type "
            "--allow-random-weights if its verdicts may mean nothing"
        )


def _judged(loaded: Loaded, probe: Probe) -> Decoded:
    """Judge test questions: a long pass for the prefix, if it is not on disk, then short ones."""
    (question,) = loaded.windows.questions((Message("user", probe.text),))
    return loaded.decoder.decode(question, fresh=True)


# What is remembered


def _key(plan: Plan) -> str:
    """Everything that the outcome of a trial depends on."""
    parts = {
        "form": _FORM,
        "model": plan.model.sha256,
        "library": library_files(),
        "processor": processor(),
        "device": plan.options.device,
        "random": plan.options.allow_random_weights,
        "mapped": plan.options.mapped_weights,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _recall(key: str) -> Outcome | None:
    try:
        found = json.loads((trials_folder() / key).read_text(encoding="utf-8"))
        return Outcome(**{**found, "vocabulary": _facts(found["vocabulary"])})
    except (OSError, ValueError, TypeError, KeyError, StoreError):
        return None


def _remember(key: str, outcome: Outcome) -> None:
    if outcome.failure.startswith("llama.cpp could not be tried out"):
        return
    try:
        folder = trials_folder()
        replace_text(folder / key, json.dumps(asdict(outcome)))
        for old in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)[:-_MOST]:
            with suppress(OSError):
                old.unlink()
    except (OSError, StoreError) as error:
        _logger.warning(
            "that llama.cpp works here cannot be remembered (%s), so it is tried out at each "
            "start; set EDGEGUARD_HOME to a folder that can be written",
            error,
        )
