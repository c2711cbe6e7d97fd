"""`edgeguard licenses`: the licence texts that a program containing edgeguard has to carry.

This module only shows what edgeguard.licenses found.
"""

from __future__ import annotations

import click

from edgeguard.console import note
from edgeguard.errors import EXIT_OK


@click.command(name="licenses")
def command() -> int:
    """Print the licences, with their texts, of edgeguard and everything that it needs.

    For the "about" page or the licence file of a program. For the libraries inside a Python
    interpreter (OpenSSL, SQLite, a compiler's runtime), see whoever built it.
    """
    from edgeguard.licenses import licenses

    for part in licenses():
        head = f"{part.name} {part.version}: {part.license}"
        click.echo("\n".join([head, "=" * len(head), "", *(f"{t.strip()}\n" for t in part.texts)]))
        if not part.texts and part.name != "Python":
            note(f"no text of {part.name}'s licence is here; add it yourself")
    return EXIT_OK
