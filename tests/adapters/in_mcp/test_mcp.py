"""The tool over stdin and stdout, with the official client."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

pytestmark = pytest.mark.host

SERVER = """
from scripted import scripted
from edgeguard.adapters.mcp import make_server
from edgeguard.async_guard import AsyncGuard
from edgeguard.session.fake import FakeSession
make_server(AsyncGuard.with_session(FakeSession(scripted))).run()
"""
HERE = Path(__file__).parents[1]


def test_the_tool() -> None:
    asyncio.run(use())


async def use() -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-c", SERVER],
        env={"PYTHONPATH": f"{HERE.parents[1]}:{HERE}"},
    )
    async with Client(stdio_client(parameters)) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.name == "check"
        assert set(tool.input_schema["properties"]) == {"text", "prompt"}
        assert await ask(client, text="What is the capital?") == ("Safe", False, "prompt")
        assert await ask(client, text="unsafe") == ("Unsafe", True, "prompt")
        assert await ask(client, text="unsafe", prompt="What?") == ("Unsafe", True, "response")
        blank = await client.call_tool("check", {"text": " "})
        assert blank.is_error
        assert "nothing to judge" in blank.content[0].text


async def ask(client: Any, **arguments: str) -> tuple[str, bool, str]:
    said = await client.call_tool("check", arguments)
    assert not said.is_error
    verdict = said.structured_content
    return verdict["severity"], verdict["flagged"], verdict["mode"]
