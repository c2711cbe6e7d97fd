"""A guarding proxy side by side: first text, total time, and what a client sees of the harm.

    python benchmarks/proxy.py [--litellm VENV/bin/litellm] [--model nano] [--rounds N]

The same made-up model streams a harmless and a harmful story, a few words at a time, to: nobody
between, `edgeguard proxy` at several intervals, and LiteLLM's proxy with its guardrail
`openai_moderation` (asking `edgeguard serve` with the same model) in its modes. Writes
benchmarks/results/proxy.md. `pip install "litellm[proxy]"` in an environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests")]

import machine  # noqa: E402
import upstream as fake  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "proxy.md"
KEY = f"sk-{secrets.token_hex(24)}"  # LiteLLM does not start without a strong one
PAUSE = 0.02
SAFE = "The small dog went for a long walk by the sea and came home happy. "
HARM = "I will kill you with a bomb. "
HARMLESS = SAFE * 6
HARMFUL = SAFE * 4 + HARM * 4 + SAFE
START = len(SAFE * 4)
INTERVALS = (20, 40, 80, 160)
MODES: dict[str, dict[str, Any] | None] = {
    "LiteLLM, no guardrail": None,
    "LiteLLM, pre_call": {"mode": "pre_call"},
    "LiteLLM, during_call": {"mode": "during_call"},
    "LiteLLM, post_call": {"mode": "post_call"},
    "LiteLLM, post_call, end of stream": {
        "mode": "post_call",
        "streaming_end_of_stream_only": True,
    },
}


@dataclass(frozen=True)
class Seen:
    """What a client saw: seconds to the first text and to the end, and the text."""

    first: float
    total: float
    text: str
    end: str


def pieces(text: str) -> list[str]:
    """A word at a time, as models do."""
    return re.findall(r"\S+\s*", text)


def ask(url: str, story: str) -> Seen:
    body = {
        "model": "story",
        "messages": [{"role": "user", "content": f"Tell me a {story} story."}],
        "stream": True,
    }
    started, first, text, end = time.perf_counter(), 0.0, "", ""
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.stream(
        "POST", f"{url}/chat/completions", json=body, headers=headers, timeout=120, trust_env=False
    ) as answer:
        if answer.status_code != 200:
            return Seen(0.0, time.perf_counter() - started, "", f"HTTP {answer.status_code}")
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            value = json.loads(line[6:])
            if "error" in value:
                end = "an error event"
            for choice in value.get("choices", ()):
                said = choice["delta"].get("content") or ""
                if said and not text:
                    first = time.perf_counter() - started
                text += said
                end = choice.get("finish_reason") or end
    return Seen(first, time.perf_counter() - started, text, end)


@contextmanager
def program(argv: list[str], ready: str, **env: str) -> Iterator[None]:
    """A server that runs until the end; ``ready`` is asked until it answers."""
    with tempfile.TemporaryFile() as log:
        popen = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, **env})
        try:
            for _ in range(600):
                with suppress(httpx.HTTPError):
                    if httpx.get(ready, timeout=5, trust_env=False).status_code == 200:
                        break
                if popen.poll() is not None:
                    log.seek(0)
                    raise SystemExit(log.read().decode()[-3000:])
                time.sleep(0.2)
            yield
        finally:
            popen.terminate()
            popen.wait(60)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def edgeguard(*argv: str) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "edgeguard", *argv, "--port", str(port)]
    with program(command, f"{url}/health"):
        yield f"{url}/v1"


@contextmanager
def litellm(binary: str, upstream: str, guard: str, mode: dict[str, Any] | None) -> Iterator[str]:
    model = {"model": "openai/story", "api_base": upstream, "api_key": "x"}
    config: dict[str, Any] = {"model_list": [{"model_name": "story", "litellm_params": model}]}
    if mode is not None:
        chosen: dict[str, Any] = {"guardrail": "openai_moderation", "api_base": guard}
        chosen |= {"api_key": "x", "default_on": True, **mode}
        config["guardrails"] = [{"guardrail_name": "edgeguard", "litellm_params": chosen}]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(config))  # JSON is YAML
        command = [binary, "--config", str(file), "--port", str(port), "--host", "127.0.0.1"]
        env = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MASTER_KEY": KEY,
            "NO_PROXY": "127.0.0.1",
        }
        with program(command, f"{url}/health/liveliness", **env):
            yield f"{url}/v1"


def measure(url: str, rounds: int) -> str:
    """The cells of a row."""
    ask(url, "harmless")  # warm
    good = [ask(url, "harmless") for _ in range(rounds)]
    bad = [ask(url, "harmful") for _ in range(rounds)]
    leak = max(_leak(seen) for seen in bad)
    whole = all(seen.text == HARMLESS for seen in good)
    stopped = bad[0].end if _stopped(bad[0]) else "not stopped"
    return " | ".join(
        (
            f"{statistics.median(seen.first for seen in good) * 1000:,.0f} ms",
            f"{statistics.median(seen.total for seen in good):.2f} s",
            "yes" if whole else "no",
            f"{leak:,}",
            stopped,
        )
    )


def _leak(seen: Seen) -> int:
    """How many characters of the harm, and of what follows it, a client saw."""
    shown = 0
    for place in range(START, len(HARMFUL)):
        if len(seen.text) <= place or seen.text[place] != HARMFUL[place]:
            break
        shown += 1
    return shown


def _stopped(seen: Seen) -> bool:
    return seen.text != HARMFUL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--litellm", help="the command of an environment that has litellm[proxy]")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows: list[tuple[str, str]] = []
    with ExitStack() as stack:
        model = stack.enter_context(fake.upstream())
        model.reply = lambda _path, body: fake.stream(
            fake.chat_events(
                pieces(HARMFUL if "harmful" in json.dumps(body.get("messages")) else HARMLESS)
            ),
            pause=PAUSE,
        )

        def run(name: str, url: str) -> None:
            rows.append((name, measure(url, options.rounds)))
            print(*rows[-1], sep=" | ", flush=True)

        run("nobody between", model.url)
        argv = ("--model", options.model, "--upstream", model.url)
        for interval in INTERVALS:
            with edgeguard("proxy", *argv, "--interval", str(interval)) as url:
                run(f"edgeguard proxy, --interval {interval}", url)
        with edgeguard("proxy", *argv, "--observe") as url:
            run("edgeguard proxy, --observe", url)
        with edgeguard("proxy", *argv, "--prompt", "first") as url:
            run("edgeguard proxy, --prompt first", url)
        if options.litellm:
            with edgeguard("serve", "--model", options.model) as guard:
                for name, mode in MODES.items():
                    with litellm(options.litellm, model.url, guard, mode) as url:
                        run(name, url)
    RESULTS.write_text(page(rows, options))


def page(rows: list[tuple[str, str]], options: argparse.Namespace) -> str:
    head = (
        "| between client and model | first text | whole answer | unchanged | leak | how it ended |"
    )
    table = [head, "|---|---|---|---|---|---|", *(f"| {name} | {cells} |" for name, cells in rows)]
    version = _version(options.litellm)
    return "\n".join(
        (
            "# A proxy that guards, side by side",
            "",
            f"Made by `python benchmarks/proxy.py`, {options.rounds} rounds, medians; the guard is "
            f"`{options.model}` everywhere{version}. {machine.describe()}",
            "",
            f"A made-up model streams a word every {PAUSE * 1000:.0f} ms: a harmless story of "
            f"{len(HARMLESS)} characters, and one that turns harmful at character {START}. "
            "*First text* and *whole answer* are those of the harmless one. *Leak* is the most "
            "characters of the harm, and of what follows it, that a client saw in any round. "
            "LiteLLM's pre_call and during_call judge the prompt alone, which is harmless here. A "
            "machine that does other work shows it in the times: what they differ by from nobody "
            "between, above or below, is then noise.",
            "",
            *table,
            "",
        )
    )


def _version(binary: str | None) -> str:
    if binary is None:
        return ", and LiteLLM was not measured"
    python = Path(binary).with_name("python")
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return f", LiteLLM is {said.stdout.strip()}"


if __name__ == "__main__":
    main()
