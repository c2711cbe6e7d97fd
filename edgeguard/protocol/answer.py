"""The closed answer language: everything that Qwen3Guard-Gen may answer, and nothing else.

    Safety: Unsafe
    Categories: Violent, PII
    Refusal: No                     (response mode only)

The language is a small automaton. A state offers options; an option is a piece of text, what it
decides, and the state after it. The decoder walks the automaton with a model's logits, the grammar
prints it as GBNF, and the parser reads with it, so all three share one definition. A Safe answer
has no category, and a category is named at most once, so the language is finite. Source: model card
of Qwen3Guard-Gen.

This module knows no tokens and no probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from edgeguard.protocol.names import (
    NO_CATEGORY,
    REFUSALS,
    SAFE,
    SEVERITIES,
    Mode,
    Refusal,
    Severity,
    categories,
)

Stage = Literal["severity", "category", "more", "refusal", "end"]


@dataclass(frozen=True)
class State:
    """A position in the answer, and the categories named so far."""

    stage: Stage
    named: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Option:
    """One way to go on: the text to write, what it decides, and the state after it."""

    text: str
    value: str
    after: State


@dataclass(frozen=True)
class Answer:
    """What an answer says. Categories are in the order in which the model named them."""

    severity: Severity
    categories: tuple[str, ...]
    refusal: Refusal | None


START = State("severity")
END = State("end")
_REFUSAL = State("refusal")


def options(mode: Mode, state: State) -> tuple[Option, ...]:
    """The ways to continue from a state; an option with empty text ends the answer."""
    if state.stage == "severity":
        return tuple(_severity(mode, name) for name in SEVERITIES)
    if state.stage == "category":
        return (_none(mode, " "), *_names(mode, state, " "))
    if state.stage == "more":
        return (*_names(mode, state, ", "), *_close(mode))
    if state.stage == "refusal":
        return _close(mode)
    return ()


def answer_of(path: tuple[tuple[State, Option], ...]) -> Answer:
    """The answer written by a walk from START to END."""
    decided = [(state.stage, option) for state, option in path]
    severity = next(option.value for stage, option in decided if stage == "severity")
    named = tuple(
        option.value
        for stage, option in decided
        if stage in ("category", "more") and option.after.stage == "more"
    )
    refusal = next((option.value for _, option in decided if option.value in REFUSALS), None)
    return Answer(cast(Severity, severity), named, refusal)


def write(answer: Answer) -> str:
    """The answer in the model's own format."""
    lines = [f"Safety: {answer.severity}"]
    lines.append(f"Categories: {', '.join(answer.categories) or NO_CATEGORY}")
    if answer.refusal is not None:
        lines.append(f"Refusal: {answer.refusal}")
    return "\n".join(lines)


def parse(mode: Mode, text: str) -> Answer:
    """Read an answer; ValueError unless the whole text is in the language."""
    for path in _paths(mode, START, text):
        return answer_of(path)
    raise ValueError(f"not an answer of the {mode} language")


def _paths(mode: Mode, state: State, text: str) -> Iterator[tuple[tuple[State, Option], ...]]:
    if state == END:
        if not text:
            yield ()
        return
    for option in options(mode, state):
        if text.startswith(option.text):
            for rest in _paths(mode, option.after, text[len(option.text) :]):
                yield ((state, option), *rest)


def _severity(mode: Mode, name: Severity) -> Option:
    opening = f"Safety: {name}\nCategories:"
    if name == SAFE:
        after = _none(mode, " ")
        return Option(opening + after.text, name, after.after)
    return Option(opening, name, State("category"))


def _none(mode: Mode, before: str) -> Option:
    return Option(before + NO_CATEGORY, NO_CATEGORY, END if mode == "prompt" else _REFUSAL)


def _names(mode: Mode, state: State, before: str) -> tuple[Option, ...]:
    return tuple(
        Option(before + name, name, State("more", state.named | {name}))
        for name in categories(mode)
        if name not in state.named
    )


def _close(mode: Mode) -> tuple[Option, ...]:
    if mode == "prompt":
        return (Option("", "", END),)
    return tuple(Option(f"\nRefusal: {name}", name, END) for name in REFUSALS)
