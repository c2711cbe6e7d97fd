"""Servers that serve nano in the documented shapes of vLLM, SGLang and llama-server.

The fields, their names and what stands in them are those of the sources that edgeguard.remote
names: vLLM's completion/protocol.py and serving.py, SGLang 0.5.23's io_struct.py and
tokenizer_manager.py, llama.cpp's server-task.cpp. What nano computes is real. A test may change an
answer, or answer instead.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from edgeguard.protocol.question import CONTROLS
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings

KINDS = ("vllm", "old vllm", "sglang", "llama-server")
NANO = Path(__file__).parent.parent / "models" / "nano" / "nano.gguf"
ASKS = ("/v1/completions", "/generate", "/completion")
_MAX_LOGPROBS = 20
_CONTROL = tuple(control.text for control in CONTROLS)

Answering = Callable[["Handler", str], bool]
Changing = Callable[[str, Any], Any]


class GuardServer(ThreadingHTTPServer):
    """``seen`` are the paths and bodies of requests; ``instead`` answers where it says True."""

    daemon_threads = True

    def __init__(self, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kind = kind
        self.model = "Qwen/nano"
        self.key = ""
        self.max_logprobs = _MAX_LOGPROBS
        self.seen: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.instead: Answering | None = None
        self.change: Changing | None = None
        self.lock = threading.Lock()
        self.session = LlamaSession(NANO, settings=Settings(threads=1), n_ctx=4096)

    @property
    def url(self) -> str:
        """What to give as a model."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is none."""

    # What nano computes

    def logprobs(self, tokens: list[int]) -> Any:
        """Of every token, after these."""
        with self.lock:
            logits = self.session.read(tokens, room=1, exact=False).astype("float64")
        top = logits.max()
        return logits - top - np.log(np.exp(logits - top).sum())

    def tokenize(self, text: str) -> list[int]:
        """As servers do: special tokens in a text are read as such."""
        if text in _CONTROL:
            return [self.session.control_token(text) or 0]
        return self.session.tokenize(text)

    # Answers

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        """The status and the answer."""
        name = self.kind.replace("old ", "").replace("-", "_")
        said: tuple[int, Any] | None = getattr(self, f"_{name}")(path, body)
        return said or (404, {"detail": "Not Found"})

    def _card(self, owner: str, **more: Any) -> dict[str, Any]:
        card = {"id": self.model, "object": "model", "created": 1, "owned_by": owner, **more}
        return {"object": "list", "data": [card]}

    def _vllm(self, path: str, body: Any) -> tuple[int, Any] | None:
        if path == "/v1/models":
            return 200, self._card("vllm", root=self.model, parent=None, max_model_len=4096)
        if path == "/tokenize":
            tokens = self.tokenize(body["prompt"])
            return 200, {"count": len(tokens), "max_model_len": 4096, "tokens": tokens}
        return self._vllm_completion(body) if path == "/v1/completions" else None

    def _vllm_completion(self, body: Any) -> tuple[int, Any]:
        if body["model"] != self.model:
            said = {"message": "The model does not exist.", "type": "NotFoundError", "code": 404}
            return 404, {"error": said}
        named = body.get("logprob_token_ids") if self.kind == "vllm" else None
        if body["logprobs"] > self.max_logprobs and not named:
            said = {
                "message": "Requested sample logprobs of 200, which is greater than max allowed"
            }
            return 400, {"error": {**said, "type": "BadRequestError", "code": 400}}
        found = self.logprobs(body["prompt"])
        order = np.argsort(-found)
        best = int(order[0])
        listed = [best, *named] if named else order[: body["logprobs"]].tolist()
        assert body["return_tokens_as_token_ids"]
        top = {f"token_id:{token}": max(float(found[token]), -9999.0) for token in listed}
        logprobs = {
            "text_offset": [0],
            "token_logprobs": [float(found[best])],
            "tokens": [f"token_id:{best}"],
            "top_logprobs": [top],
        }
        choice = {"index": 0, "text": "?", "logprobs": logprobs, "finish_reason": "length"}
        count = len(body["prompt"])
        usage = {"prompt_tokens": count, "total_tokens": count + 1, "completion_tokens": 1}
        said = {"id": "cmpl-1", "object": "text_completion", "model": self.model, "created": 1}
        return 200, {**said, "choices": [choice], "usage": usage}

    def _sglang(self, path: str, body: Any) -> tuple[int, Any] | None:
        if path == "/v1/models":
            return 200, self._card("sglang", root=self.model, max_model_len=4096)
        if path == "/model_info":
            return 200, {"model_path": self.model, "is_generation": True}
        if path == "/tokenize":
            tokens = self.tokenize(body["prompt"])
            return 200, {"tokens": tokens, "count": len(tokens), "max_model_len": 4096}
        if path != "/generate":
            return None
        found = self.logprobs(body["input_ids"])
        best = int(np.argmax(found))
        named = [[[float(found[token]), token, None] for token in body["token_ids_logprob"]]]
        meta = {
            "id": "1",
            "finish_reason": {"type": "length", "length": 1},
            "prompt_tokens": len(body["input_ids"]),
            "completion_tokens": 1,
            "input_token_logprobs": [],
            "output_token_logprobs": [[float(found[best]), best, None]],
            "input_token_ids_logprobs": [],
            "output_token_ids_logprobs": named,
        }
        return 200, {"text": "?", "output_ids": [best], "meta_info": meta}

    def _llama_server(self, path: str, body: Any) -> tuple[int, Any] | None:
        n_vocab = self.session.info.n_vocab
        if path == "/v1/models":
            meta = {"n_vocab": n_vocab, "n_ctx": 4096, "n_ctx_train": 4096, "ftype": "Q8_0"}
            return 200, self._card("llamacpp", aliases=[], meta=meta)
        if path == "/props":
            size = {"n_ctx": 4096}
            return 200, {"default_generation_settings": size, "model_path": "/models/nano.gguf"}
        if path == "/tokenize":
            return 200, {"tokens": self.tokenize(body["content"])}
        if path != "/completion":
            return None
        found = self.logprobs(body["prompt"])
        order = np.argsort(-found)[: body["n_probs"]]
        top = [{"id": int(t), "token": "?", "bytes": [], "logprob": float(found[t])} for t in order]
        one = {"id": top[0]["id"], "token": "?", "logprob": top[0]["logprob"], "top_logprobs": top}
        said = {"completion_probabilities": [one], "tokens_evaluated": len(body["prompt"])}
        return 200, {**said, "truncated": False}


class Handler(BaseHTTPRequestHandler):
    """Reads a request, and answers in JSON."""

    server: GuardServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        """A question without a body."""
        self._respond(None)

    def do_POST(self) -> None:
        """A question with one."""
        self._respond(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def _respond(self, body: Any) -> None:
        server = self.server
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            server.seen.append((self.path, body))
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
        try:
            self._answer(body)
        finally:
            with server.lock:
                server.at_once -= 1

    def _answer(self, body: Any) -> None:
        server = self.server
        if server.instead is not None and server.instead(self, self.path):
            return
        if server.key and self.headers.get("authorization") != f"Bearer {server.key}":
            self.reply(401, {"error": "Unauthorized"})
            return
        status, said = server.answer(self.path, body)
        if server.change is not None and status == 200:
            said = server.change(self.path, said)
        self.reply(status, said)

    def reply(self, status: int, said: object, **headers: str) -> None:
        """Answer with a value, or with bytes as they are."""
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def guard_server(kind: str) -> Iterator[GuardServer]:
    """A server in a thread."""
    server = GuardServer(kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
        _wait_until_idle(server)
        server.session.close()


def _wait_until_idle(server: GuardServer) -> None:
    deadline = time.monotonic() + 10
    while server.at_once and time.monotonic() < deadline:
        time.sleep(0.01)
