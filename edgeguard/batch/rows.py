"""A row: its place in the input, and its fields; and errors for inputs without them.

edgeguard.conversation.rows finds the conversation in a row. This module reads no file and judges
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgeguard.conversation.rows import OPTION, Names, has_field
from edgeguard.errors import InputError


@dataclass(frozen=True)
class Place:
    """A place between two rows: ``offset`` in bytes (Parquet: in rows), ``line`` in lines."""

    offset: int = 0
    line: int = 0


START = Place()


@dataclass(frozen=True)
class Row:
    """A row of the input.

    ``number`` is the line on which it starts, from 1 (Parquet: the row's number). ``raw`` is the
    row as it was read, without its line end; ``fields`` are its values by name. A row that could
    not be read has a ``problem`` instead of fields, in words that quote nothing of it.
    """

    number: int
    after: Place
    raw: bytes = b""
    fields: Mapping[str, object] | None = None
    problem: str = ""


def already(name: str, spelled: str = OPTION) -> str:
    """The message about a field that exists already and would be written again."""
    option = spelled.format("verdict").strip()
    return f"the field {name!r} is there already; name another one with {option}"


def nothing(where: str) -> InputError:
    """The error for an input without rows, which nearly always comes from an earlier mistake."""
    return InputError(f"{where} has no rows: there is nothing to judge")


def no_field(where: str, names: Names, there: Iterable[str], spelled: str = OPTION) -> InputError:
    """The error for an input without a required field; ``there`` are the fields it has.

    ``spelled`` is how an option that names a field is typed.
    """
    fields = list(there)
    name = next(name for name in names.needed if not has_field(fields, name))
    option = spelled.format("text").strip()
    if name == names.text and names.response in fields:
        return InputError(
            f"{where} has no field {name!r} for the prompts of the responses in "
            f"{names.response!r}, by which the model judges them: name it with {option}. "
            "Responses without prompts can be judged as texts: "
            f"{spelled.format('text')}{names.response}"
        )
    if name == names.messages:
        option = spelled.format("messages").strip()
    elif name != names.text:
        option = spelled.format("response").strip()
    # Long names are not shown: in a file without a header they are texts.
    listed = ", ".join(field if _is_name(field) else "…" for field in fields[:20])
    listed += ", …" if len(fields) > 20 else ""
    return InputError(
        f"{where} has no field {name!r}; it has: {listed}; name the right one with {option}"
    )


def _is_name(field: str) -> bool:
    return len(field) <= 30 and len(field.split()) <= 3 and field.isprintable()
