"""Which server is at an address, and which model it serves.

All three kinds list their model at /v1/models and say there what they are. A server that is none
of them is refused: what stands in between (a gateway, a proxy) sees texts only, and would write
another question. This module judges nothing.
"""

from __future__ import annotations

import re

from edgeguard.errors import ModelError, SessionError
from edgeguard.remote import llama_server, sglang, vllm
from edgeguard.remote.connection import Connection, Request
from edgeguard.remote.server import Served, Server, at, entries
from edgeguard.session.compatibility import is_gen_name
from edgeguard.store.registry import BUILT_IN, names

_KINDS = {"vllm": vllm.KIND, "sglang": sglang.KIND, "llamacpp": llama_server.KIND}
"""By what ``owned_by`` says."""
_SEPARATORS = re.compile(r"[/\\]|--|:")


def served(connection: Connection) -> tuple[Served, Server]:
    """What is served, and how to ask it. Raises SessionError, ModelError."""
    listed = entries(connection.ask(Request("/v1/models")), "data")
    if len(listed) != 1:
        raise ModelError(
            f"the server at {connection.root} lists {len(listed)} models: start one that serves a "
            "Qwen3Guard-Gen alone"
        )
    (card,) = listed
    owner = card.get("owned_by") if isinstance(card, dict) else None
    kind = _KINDS.get(owner) if isinstance(owner, str) else None
    if kind is None:
        raise ModelError(
            f"the server at {connection.root} is none of vLLM, SGLang and llama-server: give the "
            "address of one of these itself, and not of a gateway before it"
        )
    if kind == vllm.KIND:
        return _vllm(connection, card)
    return _sglang(connection, card) if kind == sglang.KIND else _llama_server(connection, card)


def family_name(names_: tuple[str, ...]) -> str | None:
    """The part of one of these names that says Qwen3Guard-Gen, or is the built-in model's."""
    for name in names_:
        for part in reversed(_SEPARATORS.split(name)):
            plain = re.sub(r"\.gguf$", "", part, flags=re.IGNORECASE)
            if plain == BUILT_IN or is_gen_name(plain) or _is_release(plain):
                return plain
    return None


def _is_release(name: str) -> bool:
    """Whether a folder is named as `edgeguard pull` names it: gen-0.6b-q4_k_m."""
    gens = [release for release in names() if release.startswith("gen-")]
    return any(name == release or name.startswith(f"{release}-") for release in gens)


def _vllm(connection: Connection, card: object) -> tuple[Served, Server]:
    name = _text(card, "id")
    size = _whole(at(card, "max_model_len"))
    found = Served(vllm.KIND, name, (_text(card, "root"), name), "", size)
    return found, vllm.Vllm(name, _top(connection, name))


def _top(connection: Connection, name: str) -> int:
    """How many of the likeliest tokens it gives at most; a request for more is refused."""
    for top in vllm.TOPS[:-1]:
        (request,) = vllm.Vllm(name, top).asks([0], [0])
        try:
            connection.ask(request)
        except SessionError:
            continue
        return top
    return vllm.TOPS[-1]


def _sglang(connection: Connection, card: object) -> tuple[Served, Server]:
    name = _text(card, "id")
    info = _either(connection, "/model_info", "/get_model_info")
    size = _whole(at(card, "max_model_len"))
    found = Served(sglang.KIND, name, (_text(info, "model_path"), name), "", size)
    return found, sglang.Sglang(name)


def _llama_server(connection: Connection, card: object) -> tuple[Served, Server]:
    name, meta = _text(card, "id"), at(card, "meta")
    if not isinstance(meta, dict):
        raise SessionError(
            f"the server at {connection.root} has not loaded its model yet: try again"
        )
    props = connection.ask(Request("/props"))
    size = _whole(at(props, "default_generation_settings", "n_ctx"))
    said = meta.get("ftype")
    type_ = said.lower() if isinstance(said, str) and re.fullmatch(r"[\w.]{1,16}", said) else ""
    path = props.get("model_path") if isinstance(props, dict) else None
    names_ = (path, name) if isinstance(path, str) else (name,)
    server = llama_server.LlamaServer(name, _whole(at(meta, "n_vocab")))
    return Served(llama_server.KIND, name, names_, type_, size), server


def _either(connection: Connection, *paths: str) -> object:
    """The answer of the first path that there is; newer versions have the first."""
    for path in paths[:-1]:
        try:
            return connection.ask(Request(path))
        except SessionError:
            continue
    return connection.ask(Request(paths[-1]))


def _text(value: object, key: str) -> str:
    found = at(value, key)
    return found if isinstance(found, str) else ""


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SessionError("the server does not say how many tokens it takes")
    return value
