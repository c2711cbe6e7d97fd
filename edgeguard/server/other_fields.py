"""The text in fields that a host sends and that are unknown here.

A newer version of a host may send more fields. Their texts are judged with the rest, so that
nothing passes because it is new; files among them cannot be judged, and are an error. This module
judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from edgeguard.errors import InputError
from edgeguard.protocol.visible import has_visible
from edgeguard.server.http_errors import translate
from edgeguard.server.reading import Asked

Ask = Callable[[str, str], list[Asked]]
"""What is asked of a text that stands in a field."""
_FILE = "transfer_method"
"""By this key an object is a file of Dify's."""


def asked_of(
    fields: Mapping[str, object] | None, ask: Ask, known: Iterable[str] = ()
) -> list[Asked]:
    """What is judged of each field that has a text; ``known`` are those that say nothing."""
    left = {name: value for name, value in (fields or {}).items() if name not in known}
    return [each for name, value in left.items() for each in _asked(value, name, ask)]


def _asked(value: object, name: str, ask: Ask) -> list[Asked]:
    try:
        text = text_of(value)
    except InputError as error:
        return [Asked(name, translate(error, name))]
    return ask(text, name) if has_visible(text) else []


def text_of(value: object) -> str:
    """All strings in a value, a line each. Raises InputError for a file."""
    return "\n".join(_strings(value))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("data:") and ";base64," in value[:200]:
            raise InputError(_NO_FILES)
        yield value
    elif isinstance(value, Mapping):
        if _FILE in value:
            raise InputError(_NO_FILES)
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


_NO_FILES = "there is a file in it, which cannot be judged: only text is"
