"""The optional packages: installed, or one error that says what to type.

An extra is named in pyproject.toml and needed by a command or a file format. This module looks for
its packages without importing them.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Literal

from edgeguard.errors import MissingExtraError

Extra = Literal["eval", "mcp", "parquet", "proxy", "remote", "server"]

_SERVER = {
    "fastapi": "fastapi",
    "fastapi_offline": "fastapi-offline",
    "h11": "h11",
    "prometheus_client": "prometheus-client",
    "pydantic": "pydantic",
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "websockets": "websockets",
}
_MODULES: dict[Extra, dict[str, str]] = {
    "eval": {"sklearn": "scikit-learn", "scipy": "scipy", "matplotlib": "matplotlib"},
    "mcp": {"mcp": "mcp"},
    "parquet": {"pyarrow": "pyarrow"},
    "proxy": {**_SERVER, "httpx": "httpx"},
    "remote": {"httpx": "httpx"},
    "server": _SERVER,
}
"""The modules that each extra needs, and their packages."""


def require(extra: Extra, what: str) -> None:
    """Raise MissingExtraError if a package that `what` needs is not installed."""
    modules = _MODULES[extra]
    missing = [modules[name] for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{what} needs {', '.join(missing)}, which edgeguard does not install by itself; "
            f"type {_command(extra)}"
        )


def _command(extra: Extra) -> str:
    """The command that installs an extra, from the package or the folder edgeguard came from."""
    if _from_folder():
        return f'pip install ".[{extra}]" in the folder of the clone'
    return f'pip install "edgeguard[{extra}]"'


def _from_folder() -> bool:
    """Whether pip installed edgeguard from a folder (PEP 610); an index may not have it then."""
    import importlib.metadata  # which reads mails' headers, and takes its time

    try:
        text = importlib.metadata.distribution("edgeguard").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return True
    return text is not None and "dir_info" in json.loads(text)
