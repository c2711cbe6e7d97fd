"""`python -m edgeguard` is the command `edgeguard`."""

from edgeguard.cli import own_process

own_process()
