"""`edgeguard service`: serve or proxy as a service of the user's own.

    edgeguard service install serve --model nano --port 8000

Reads the options; edgeguard.service installs, asks and removes.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from edgeguard.commands.service_options import asked_unit
from edgeguard.console import note
from edgeguard.errors import EXIT_ERROR, EXIT_OK
from edgeguard.service.unit import KINDS


@click.group(name="service")
def command() -> None:
    """Run serve or proxy as a service of your own: systemd on Linux, launchd on macOS."""


@command.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("kind", type=click.Choice(KINDS), metavar="serve|proxy")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF IT]")
def install(kind: str, options: tuple[str, ...]) -> int:
    """Install `edgeguard serve` or `edgeguard proxy` with these options, and start it.

    It starts at every login, and restarts after a failure. Environment variables of its options are
    used as they are set now; keys go into a file that only you can read. To change a service,
    install it again.
    """
    from edgeguard.service import manager

    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)
    command = root.command.get_command(root, kind)
    assert command is not None
    unit = asked_unit(command, kind, options)
    note("trying it once …")
    notes = manager.install(unit)
    for line in notes:
        note(line)
    return _show(kind)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def status(as_json: bool) -> int:
    """Say which services are installed, whether they run, where, and with which model.

    Exit code: 0 when one is installed and each answers, else 2.
    """
    return _show(None, as_json=as_json)


@command.command()
@click.argument("kind", type=click.Choice(KINDS), metavar="[serve|proxy]", required=False)
def remove(kind: str | None) -> int:
    """Stop a service and remove it completely. Models and policies stay."""
    from edgeguard.service import manager

    note(f"the service {manager.remove(kind)} is removed")
    return EXIT_OK


def _show(kind: str | None, *, as_json: bool = False) -> int:
    from edgeguard.service import manager
    from edgeguard.service.state import answers

    found = [state for state in manager.states() if kind in (None, state.kind)]
    if not found:
        note("no service is installed; edgeguard service install serve --help says how")
    well = bool(found)
    for state in found:
        answering = state.address is not None and answers(state.address)
        well = well and answering and state.condition == "running"
        shown = {
            **asdict(state),
            "address": state.address,
            "model": state.model,
            "answers": answering,
            "log": manager.manager().log_command(state.kind),
        }
        del shown["said"]
        click.echo(json.dumps(shown) if as_json else _lines(shown))
    return EXIT_OK if well else EXIT_ERROR


def _lines(shown: dict[str, object]) -> str:
    heading = f"{shown['kind']}: {shown['condition']}"
    if shown["condition"] == "running" and not shown["answers"]:
        heading += ", but does not answer"
    names = ("address", "model", "pid", "restarts", "detail", "file", "log")
    rows = [f"  {name:<9} {shown[name]}" for name in names if shown[name] not in (None, "")]
    return "\n".join([heading, *rows])
