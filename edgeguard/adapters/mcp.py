"""A server of the Model Context Protocol with one tool, `check` (mcp 2.x).

A tool is only advice: a model may or may not call it. To enforce verdicts, put `edgeguard proxy` in
front of the model, or use the host's hooks.
"""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from edgeguard._version import __version__
from edgeguard.async_guard import AsyncGuard
from edgeguard.errors import EdgeguardError

_INSTRUCTIONS = "Judges with Qwen3Guard-Gen on this machine whether a text is safe."


def make_server(guard: AsyncGuard) -> MCPServer[Any]:
    """The server; ``run()`` serves stdin and stdout."""
    server: MCPServer[Any] = MCPServer(
        "edgeguard", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING"
    )

    @server.tool(
        title="Check a text",
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )
    async def check(text: str, prompt: str | None = None) -> dict[str, Any]:
        """Judge whether a text is safe.

        Give a user's text as `text` alone; give an assistant's answer as `text` with the `prompt`
        that it answers. `flagged` is what counts; `severity` and `categories` say why.
        """
        try:
            if prompt is None:
                return (await guard.check(text)).to_dict()
            return (await guard.check_response(prompt, text)).to_dict()
        except EdgeguardError as error:  # the client is not told the message of other exceptions
            raise ToolError(str(error)) from error

    return server
