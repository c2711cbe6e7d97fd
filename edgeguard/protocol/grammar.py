"""The answer language printed as GBNF, for anything that runs llama.cpp's grammar sampler.

Each state of the automaton in edgeguard.protocol.answer becomes one rule. No category can be named
twice, so there is a rule for every set of categories named so far: 512 in prompt mode. Rule names
consist of letters, digits and hyphens only: llama.cpp ends a rule name at an underscore, and some
builds then answer without any constraint. Source: grammars/README.md of llama.cpp.

This module does not run a grammar.
"""

from __future__ import annotations

from edgeguard.protocol.answer import END, START, State, options
from edgeguard.protocol.names import Mode, categories


def gbnf(mode: Mode) -> str:
    """The grammar of a mode's answers; `root` is the whole answer."""
    rules: dict[State, str] = {}
    waiting = [START]
    while waiting:
        state = waiting.pop(0)
        if state in rules:
            continue
        rules[state] = _rule(mode, state)
        waiting.extend(o.after for o in options(mode, state) if o.after != END)
    return "".join(f"{_name(mode, state)} ::= {body}\n" for state, body in rules.items())


def _rule(mode: Mode, state: State) -> str:
    alternatives = []
    for option in options(mode, state):
        after = "" if option.after == END else " " + _name(mode, option.after)
        alternatives.append(_quote(option.text) + after)
    return " | ".join(alternatives)


def _name(mode: Mode, state: State) -> str:
    """`root`, `category`, `refusal`, or `more-` and a letter for every category named so far."""
    if state == START:
        return "root"
    if state.stage != "more":
        return state.stage
    letters = (chr(ord("a") + i) for i, name in enumerate(categories(mode)) if name in state.named)
    return "more-" + "".join(letters)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
