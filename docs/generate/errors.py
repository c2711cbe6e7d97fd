"""docs/reference/errors.md: the exceptions of edgeguard.errors, and what each exit code means.

Statuses of HTTP come from the function that the server translates errors with. This module knows
no error by name.
"""

from __future__ import annotations

from edgeguard import errors
from edgeguard.errors import EdgeguardError
from edgeguard.server.http_errors import translate
from generate.markdown import NOTICE, code, table

_HEAD = f"""{NOTICE}
# Errors and exit codes

Everything that edgeguard raises on purpose is an `EdgeguardError`. A message says what failed, what
exists, and what to type next; it never quotes a text that was judged. What other libraries raise is
the `__cause__`. Whatever goes wrong is an error: there is no text that is called Safe because it
could not be judged.

```text
"""


def page() -> str:
    """The page."""
    rows = (_row(each) for each in _classes(EdgeguardError))
    return (
        f"{_HEAD}{_tree(EdgeguardError)}```\n\n## Exceptions\n\n"
        + table(("exception", "is also", "what it means", "exit code", "HTTP status"), rows)
        + "\nThe server's other statuses are described with [its API](http.md).\n"
        + f"\n## Exit codes\n\n{_exit_codes()}"
    )


def _classes(base: type[EdgeguardError]) -> list[type[EdgeguardError]]:
    return [base, *(found for child in base.__subclasses__() for found in _classes(child))]


def _tree(of: type[EdgeguardError], lead: str = "") -> str:
    lines = f"{of.__name__}\n"
    children = of.__subclasses__()
    for child in children:
        last = child is children[-1]
        below = _tree(child, f"{lead}{'    ' if last else '│   '}")
        lines += f"{lead}{'└── ' if last else '├── '}{below}"
    return lines


def _row(error: type[EdgeguardError]) -> tuple[str, ...]:
    builtin = (base.__name__ for base in error.__bases__ if not issubclass(base, EdgeguardError))
    return (
        code(error.__name__),
        ", ".join(code(name) for name in builtin if name != "Exception"),
        " ".join((error.__doc__ or "").split()),
        str(error.exit_code),
        str(translate(error("")).status),
    )


def _exit_codes() -> str:
    meanings = {
        errors.EXIT_OK: "The text was judged and is not flagged; or the command did what it does.",
        errors.EXIT_FLAGGED: "The text was judged and is flagged. This is an answer, not an error.",
        errors.EXIT_ERROR: "It could not run, or not to the end. Nothing is to be taken for safe.",
        errors.EXIT_INTERRUPTED: "Interrupted by Ctrl-C.",
    }
    text = table(("exit code", "meaning"), ((str(c), text) for c, text in meanings.items()))
    return text + (
        "\n`edgeguard batch` and `edgeguard eval` end in 0 when every row has a verdict, flagged "
        "or not, and in 2 when some row has none.\n"
    )
