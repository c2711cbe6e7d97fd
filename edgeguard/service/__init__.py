"""`edgeguard serve` and `edgeguard proxy` as services of the user's own.

    unit        what is to run, whatever runs it
    rehearsal   the command run once by hand, until it is ready
    systemd     a unit of the user's systemd, on Linux
    launchd     an agent of the user's launchd, on macOS
    manager     which of the two, and what they have in common

Nothing here needs rights beyond the user's, and nothing here serves.
"""
