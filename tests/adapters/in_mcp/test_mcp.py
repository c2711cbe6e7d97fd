"""The tool over stdin and stdout, with the official client."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from pages import block

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


def test_what_the_page_shows(tmp_path: Path) -> None:
    """The command of the page, found on PATH, with the arguments that stand there."""
    (server,) = json.loads(block("mcp", "json"))["mcpServers"].values()
    assert server == {"command": "edgeguard", "args": ["mcp"]}
    program = tmp_path / "edgeguard"
    program.write_text(f"#!{sys.executable}\nfrom edgeguard.cli import main\nmain()\n")
    program.chmod(0o755)
    asyncio.run(start(str(program), *server["args"]))


async def start(command: str, *args: str) -> None:
    """The real command: it says its tool before it has a model, and fails a call without one."""
    parameters = StdioServerParameters(
        command=command,
        args=[*args, "--model", "/nowhere/missing.gguf"],
        env={"PYTHONPATH": f"{HERE.parents[1]}:{HERE}"},
    )
    async with Client(stdio_client(parameters)) as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.annotations.read_only_hint is True
        assert tool.input_schema["required"] == ["text"]
        assert tool.input_schema["type"] == "object"
        said = await client.call_tool("check", {"text": "What is the capital?"})
        assert said.is_error
        assert "missing.gguf" in said.content[0].text


def test_what_is_no_call_is_an_error_and_calls_may_overlap() -> None:
    asyncio.run(attack())


async def attack() -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-c", SERVER],
        env={"PYTHONPATH": f"{HERE.parents[1]}:{HERE}"},
    )
    async with Client(stdio_client(parameters)) as client:
        for arguments in ({}, {"text": 7}, {"text": None}, {"text": ["a"]}):
            assert (await client.call_tool("check", arguments)).is_error
        long = await client.call_tool("check", {"text": "mild " * 200_000})
        assert long.is_error
        found = await asyncio.gather(
            *(ask(client, text="unsafe" if n % 2 else "mild") for n in range(20))
        )
        assert [flagged for _, flagged, _ in found] == [bool(n % 2) for n in range(20)]
