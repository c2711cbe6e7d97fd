"""docs/reference/commands.md: every command, option, variable and default, from `--help`.

This module knows no command; generate.options reads them.
"""

from __future__ import annotations

from generate.markdown import NOTICE, anchor, code, escaped, table
from generate.options import Command, Option, commands

_HEAD = f"""{NOTICE}
# Commands

What `edgeguard COMMAND --help` says, on one page. An option that is given beats its variable, and a
variable beats the default. Results go to standard output, everything else to standard error;
[exit codes](errors.md#exit-codes) say how a command ended.

"""


def page() -> str:
    """The page."""
    found = list(commands())
    summary = table(
        ("command", "what it does"),
        (
            (f"[{code(each.name)}](#{anchor(each.name)})", escaped(each.paragraphs[0]))
            for each in found[1:]
        ),
    )
    return _HEAD + summary + "".join(map(_section, found))


def _section(command: Command) -> str:
    parts = [f"\n## {command.name}\n", f"```text\n{command.usage}\n```\n"]
    parts += [f"{escaped(each)}\n" for each in command.paragraphs]
    if command.options:
        rows = map(_row, command.options)
        parts.append(table(("option", "variable", "default", "what it does"), rows))
    return "\n".join(parts)


def _row(option: Option) -> tuple[str, str, str, str]:
    names = ", ".join(map(_typed, option.names))
    variable = code(option.variable) if option.variable else ""
    return names, variable, escaped(option.default), escaped(option.help)


def _typed(name: str) -> str:
    """An option with what it takes; a bar cannot stand in code in a table everywhere."""
    option, _, takes = name.partition(" ")
    return (
        code(name)
        if "|" not in takes
        else f"{code(option)} {'/'.join(map(code, takes.split('|')))}"
    )
