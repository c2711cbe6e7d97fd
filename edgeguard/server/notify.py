"""Reports the server's progress to whatever started it, in the protocol of sd_notify(3).

NOTIFY_SOCKET contains the address of a datagram socket; without it, nothing is sent. A lost message
does not stop the server. This module decides nothing.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

VARIABLE = "NOTIFY_SOCKET"


def notify(*, ready: bool = False, stopping: bool = False, status: str = "") -> None:
    """Say that the server is ready or stops, and in a line what it does."""
    address = os.environ.get(VARIABLE, "")
    family = getattr(socket, "AF_UNIX", None)
    if not address or family is None:
        return
    lines = ["READY=1"] * ready + ["STOPPING=1"] * stopping
    lines += [f"STATUS={' '.join(status.split())}"] * bool(status)
    if address.startswith("@"):  # Linux' abstract names begin with a zero byte
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto("\n".join(lines).encode(), address)
