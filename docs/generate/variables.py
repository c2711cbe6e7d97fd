"""docs/reference/variables.md: every variable of the environment, and which options it sets.

The options' variables are read from the commands. The few that belong to no option stand here; a
test looks for variables in the source that stand nowhere.
"""

from __future__ import annotations

from generate.markdown import NOTICE, anchor, code, escaped, table
from generate.options import commands

OWN = {
    "EDGEGUARD_HOME": "The folder of models, saved policies and small files that are remembered. "
    "Default: the platform's folder for application data (`edgeguard path` prints it).",
    "EDGEGUARD_MODEL_KEY": "The key of the server that computes the model, where `EDGEGUARD_MODEL` "
    "or `--model` is an address. It has no option either, and is never shown.",
    "EDGEGUARD_UPSTREAM_KEY": "The key of the model behind `edgeguard proxy`. It has no option, "
    "since others on a machine can read a command line, and it is never shown.",
}
"""Those that are no option of a command."""

FOREIGN = {
    "HF_HOME": "Where the Hugging Face cache lies, with the checkpoints that `pull` fetches.",
    "HF_HUB_CACHE": "The same for the cache's folder alone; it beats `HF_HOME`.",
    "HF_HUB_OFFLINE": "`pull` asks nobody, and works from the cache.",
    "HF_ENDPOINT": "The address of the hub, or of a mirror.",
    "HF_TOKEN": "A token for the hub. The official weights need none.",
    "LLAMA_CPP_LIB_PATH": "A folder with another build of llama.cpp's libraries.",
    "NO_COLOR": "No colours in a terminal.",
    "XDG_DATA_HOME": "On Linux, the folder in which edgeguard's folder lies, if `EDGEGUARD_HOME` "
    "is not set.",
}
"""Those of other programs that edgeguard heeds."""

_HEAD = f"""{NOTICE}
# Environment variables

Every variable that edgeguard reads. An option on the command line beats its variable. A switch is
on with `1`, `true`, `yes` or `on`, and off with `0`, `false`, `no` or `off`.

"""


def page() -> str:
    """The page."""
    own = table(("variable", "what it does"), ((code(name), text) for name, text in OWN.items()))
    foreign = table(
        ("variable", "what it does"), ((code(name), text) for name, text in FOREIGN.items())
    )
    return (
        f"{_HEAD}## Of the options\n\n{_options()}\n## Without an option\n\n{own}\n"
        f"## Of other programs\n\n{foreign}"
    )


def _options() -> str:
    meanings: dict[str, dict[str, list[str]]] = {}
    for command in commands():
        for option in command.options:
            if option.variable:
                found = meanings.setdefault(option.variable, {})
                name = option.names[-1].split()[0]
                found.setdefault(f"{code(name)}: {escaped(option.help)}", []).append(command.name)
    rows = [
        (code(variable), text, ", ".join(map(_link, names)))
        for variable, found in sorted(meanings.items())
        for text, names in found.items()
    ]
    return table(("variable", "the option that it sets", "of"), rows)


def _link(command: str) -> str:
    return f"[{command.partition(' ')[2]}](commands.md#{anchor(command)})"
