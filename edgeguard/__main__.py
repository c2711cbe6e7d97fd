"""`python -m edgeguard` is the command `edgeguard`."""

from edgeguard.cli import main

main()
