"""The sockets that a server listens on: one for each address of its host.

`localhost` means both 127.0.0.1 and ::1, and `::` both address families, as people expect. This
module accepts no connection.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from edgeguard.errors import ServerError
from edgeguard.server.settings import Settings

_Address = tuple[socket.AddressFamily, Any]
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_TRIES = 20


def bind(settings: Settings) -> list[socket.socket]:
    """Listening sockets, all on one port. Raises ServerError."""
    where = f"{settings.host} port {settings.port}"
    addresses = _addresses(settings, where)
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            return _listen(addresses)
        except OSError as error:
            # A free port of one family may be taken in the other.
            if settings.port == 0 and error.errno == errno.EADDRINUSE and not last:
                continue
            raise _refused(where, error) from error
    raise AssertionError


def url_of(host: str, sock: socket.socket) -> str:
    """What a person types to get there."""
    shown = f"[{host.replace('%', '%25')}]" if ":" in host else host
    return f"http://{shown}:{sock.getsockname()[1]}"


def _addresses(settings: Settings, where: str) -> list[_Address]:
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise ServerError(f"cannot listen on {where}: {error}; check --host") from error
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _listen(addresses: list[_Address]) -> list[socket.socket]:
    """A socket for each address that this machine has; the first one's port for all."""
    socks: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, (host, port, *scope) in addresses:
            port = port or (socks[0].getsockname()[1] if socks else 0)
            try:
                socks.append(_create(family, (host, port, *scope)))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error  # such as ::1 where IPv6 is off
        if not socks and missing is not None:
            raise missing
    except BaseException:
        for sock in socks:
            sock.close()
        raise
    return socks


def _create(family: socket.AddressFamily, address: Any) -> socket.socket:
    both = family == socket.AF_INET6 and address[0] == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address, family=family, backlog=1024, dualstack_ipv6=both)


def _refused(where: str, error: OSError) -> ServerError:
    if isinstance(error, PermissionError):
        return ServerError(f"{where} needs rights that you do not have: take a port above 1023")
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    advice = "another --port" if error.errno == errno.EADDRINUSE else "another --host"
    return ServerError(f"cannot listen on {where}: {reason}; try {advice}")
