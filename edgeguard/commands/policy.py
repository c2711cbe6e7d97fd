"""`edgeguard policy`: the policies on this machine, and a template for a new one.

Prints, writes and removes files; edgeguard.policy says what they mean.
"""

from __future__ import annotations

import json
from dataclasses import replace

import click

from edgeguard.console import note
from edgeguard.errors import EXIT_OK, EdgeguardError
from edgeguard.policy import OFFICIAL, STRICT, write_policy
from edgeguard.policy.categories import words_for
from edgeguard.policy.rules import REFUSAL_RULES, RULE_WORDS
from edgeguard.policy.wording import in_words
from edgeguard.protocol.names import CATEGORIES
from edgeguard.store.policies import (
    check_new_policy,
    find_policy,
    remove_policy,
    save_policy,
    saved_policies,
)


@click.group(name="policy")
def command() -> None:
    """Policies: which rules apply. --policy takes the name of one, or its TOML file."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> int:
    """List the policies there are, one per line."""
    for name in [*OFFICIAL, *saved_policies()]:
        try:
            said, problem = in_words(find_policy(name)), None
        except EdgeguardError as error:
            said, problem = "damaged", str(error)
        if as_json:
            click.echo(json.dumps({"name": name, "says": said, "problem": problem}))
        else:
            click.echo(f"{name:<20} {said}")
        if problem is not None:
            note(problem)
    return EXIT_OK


@command.command()
@click.argument("name")
def show(name: str) -> int:
    """Print the policy NAME, or that of a file, as TOML."""
    policy = find_policy(name)
    click.echo(f"# {in_words(policy)}\n{write_policy(policy)}", nl=False)
    return EXIT_OK


@command.command()
@click.argument("name")
@click.option(
    "--from",
    "origin",
    default=STRICT.name,
    show_default=True,
    metavar="NAME|FILE",
    help="The policy to begin with.",
)
def new(name: str, origin: str) -> int:
    """Save a policy under NAME, with comments that explain its keys; then edit the file."""
    check_new_policy(name)
    path = save_policy(replace(find_policy(origin), name=name), heading=_heading())
    click.echo(path)
    note(f"edit it, look at it with edgeguard policy check {name}, use it with --policy {name}")
    return EXIT_OK


@command.command()
@click.argument("file")
def check(file: str) -> int:
    """Say what a policy's FILE means, or what is wrong with it; takes a saved policy's name too."""
    click.echo(in_words(find_policy(file)))
    return EXIT_OK


@command.command()
@click.argument("name")
def rm(name: str) -> int:
    """Remove the saved policy NAME."""
    note(f"{remove_policy(name)} is removed")
    return EXIT_OK


def _heading() -> str:
    """The comments that explain a policy's file."""
    rules = ", ".join(f'"{word}"' for word in RULE_WORDS)
    lines = [
        'base: "strict" or "loose"; or instead: threshold = 0.3, over = "unsafe+controversial"',
        f"refusal: {', '.join(REFUSAL_RULES)}: what it means that a response refuses",
        "observe: say what would be flagged, flag nothing",
        "normalise: judge the text without its disguises too",
        f"[categories]: for each one that has a rule of its own, {rules},",
        "  or the probability from which it flags, as 0.2. Categories, and words for them:",
    ]
    lines += [f"    {', '.join((name, *words_for(name)))}" for name in CATEGORIES]
    return "".join(f"# {line}\n" for line in lines) + "\n"
