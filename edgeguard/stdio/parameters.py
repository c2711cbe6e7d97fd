"""Checks the named parameters of a method against the annotations of its function.

    def check(self, call: Call, *, text: str, timeout: float | None = None) -> ...

This module knows the JSON types, and leaves the meaning of a value to the library.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, get_type_hints

from edgeguard.stdio.connection import Call, Method
from edgeguard.stdio.jsonrpc import BAD_PARAMETERS, RpcError

_KINDS: dict[Any, tuple[str, tuple[type, ...]]] = {
    str: ("a string", (str,)),
    str | None: ("a string or null", (str, type(None))),
    float | None: ("a number or null", (int, float, type(None))),
    int: ("a whole number", (int,)),
    bool: ("true or false", (bool,)),
    list: ("an array", (list,)),
}


def method(function: Callable[..., object]) -> Method:
    """The function as a method that checks the Call's parameters first. Raises RpcError."""
    hints = get_type_hints(function)
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }

    @wraps(function)
    def called(call: Call) -> object:
        _check_names(parameters, call.params)
        for name, value in call.params.items():
            _check_kind(name, value, hints[name])
        return function(call, **call.params)

    return called


def _check_names(parameters: Mapping[str, inspect.Parameter], params: Mapping[str, object]) -> None:
    needed = [name for name, p in parameters.items() if p.default is inspect.Parameter.empty]
    missing = [name for name in needed if name not in params]
    if missing or not params.keys() <= parameters.keys():
        what = f"{missing[0]} is missing" if missing else "there is one that is not known"
        raise RpcError(BAD_PARAMETERS, f"{what}; params: {', '.join(parameters) or 'none'}")


def _check_kind(name: str, value: object, hint: object) -> None:
    kind, types = _KINDS[hint]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise RpcError(BAD_PARAMETERS, f"{name} must be {kind}")
