"""`edgeguard serve` and `edgeguard proxy` as services of the user's own.

    unit        what is to be run, by any service manager
    rehearsal   runs the command once until it is ready
    systemd     a unit of the user's systemd, on Linux
    launchd     an agent of the user's launchd, on macOS
    manager     which of the two, and what they have in common

Nothing here needs more rights than the user has, and nothing here serves requests.
"""
