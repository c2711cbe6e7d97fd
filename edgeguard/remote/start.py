"""From a server's address to a model that can be asked, or the reason why it cannot be.

Before the first text is judged, this must hold:

    the server is vLLM, SGLang or llama-server, and serves one model whose name says Qwen3Guard-Gen
    its vocabulary is ours: a text with all that tokenizers differ in has the same ids there
    it reads as many tokens as it is sent, and gives log probabilities
    it judges the test questions of `edgeguard pull` as every Qwen3Guard does

Which weights it has, only the server knows. This module judges no text of anybody's.
"""

from __future__ import annotations

import importlib.resources
import logging
from pathlib import Path

from edgeguard.decoder import Decoder
from edgeguard.errors import ModelError
from edgeguard.loading import Loaded
from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import PROTOCOL, SAFE
from edgeguard.protocol.question import CONTROLS
from edgeguard.remote.address import Address
from edgeguard.remote.connection import Connection
from edgeguard.remote.served import family_name, served
from edgeguard.remote.server import Served, Server, entries, ids
from edgeguard.remote.session import RemoteSession
from edgeguard.session.compatibility import ARCHITECTURE, MIN_CONTEXT, TOKENIZER
from edgeguard.session.interface import ModelInfo
from edgeguard.session.stop_flag import StopFlag
from edgeguard.session.vocabulary import LoadedVocabulary
from edgeguard.store.model_file import built_in
from edgeguard.store.registry import BUILT_INS, PROBES
from edgeguard.tokens import QuestionTokenizer
from edgeguard.verdict import ModelId
from edgeguard.windows import Windows

_SMALL_NOTE = "%s is a small model for tests and for trying the tool; it is often wrong"
_TEXT = (
    "I'll say: it's 12,345.67 €  (or 3/4?) —\n\n\tdef f(x): return x**2  # naïve\r\n"
    "你好，世界。 Привет! 안녕하세요 हिन्दी مرحبا 🙂👍🏽 ab\u0301c  \n \n end"
)
"""Contractions, digits, blanks at line ends, marks, many scripts: where tokenizers differ."""
_ANSWERED = Message("assistant", "It is Paris.")
_logger = logging.getLogger(__name__)


def start(address: Address, *, n_ctx: int, allow_random_weights: bool, flag: StopFlag) -> Loaded:
    """Ask the server what it is, and try it. Raises ModelError, SessionError, CancelledError."""
    connection = Connection(address, flag)
    session: RemoteSession | None = None
    try:
        connection.quotes = True  # nothing that it is asked here is anybody's text
        found, server = served(connection)
        session = _session(connection, found, server, n_ctx, flag)
        loaded = _loaded(session, found, allow_random_weights)
        _check_vocabulary(connection, server, session)
        _check_answers(loaded, connection.root, allow_random_weights)
        connection.quotes = False
        return loaded
    except BaseException:
        if session is None:
            connection.close()
        else:
            session.close()
        raise


def _session(
    connection: Connection, found: Served, server: Server, n_ctx: int, flag: StopFlag
) -> RemoteSession:
    name = family_name(found.names)
    if name is None:
        called = " and ".join(dict.fromkeys(repr(name) for name in found.names if name))
        raise ModelError(
            f"the server at {connection.root} calls its model {called}, not Qwen3Guard-Gen: serve "
            "one, under a name that says so (vLLM, SGLang: --served-model-name; llama-server: "
            "--alias)"
        )
    if found.n_ctx < MIN_CONTEXT:
        raise ModelError(
            f"the server at {connection.root} takes {found.n_ctx} tokens; the question alone needs "
            f"{MIN_CONTEXT}"
        )
    if name in BUILT_INS:
        _logger.warning(_SMALL_NOTE, name)
    vocabulary = LoadedVocabulary(_vocabulary_file(name), flag)
    info = ModelInfo(
        architecture=ARCHITECTURE,
        name=name,
        type=found.type,
        protocol=PROTOCOL,
        n_ctx_train=found.n_ctx,
        n_vocab=vocabulary.size,
        tokenizer=TOKENIZER[0],
        pre_tokenizer=TOKENIZER[1],
        device=found.kind,
    )
    return RemoteSession(connection, server, vocabulary, info, n_ctx=n_ctx, flag=flag)


def _vocabulary_file(name: str) -> Path:
    """All released models share one vocabulary; the built-in one has its own."""
    if name in BUILT_INS:
        return built_in(name).path
    return Path(str(importlib.resources.files("edgeguard.vocabulary") / "qwen3.gguf"))


def _loaded(session: RemoteSession, found: Served, allow_random_weights: bool) -> Loaded:
    decoder = Decoder(session, allow_random_weights=allow_random_weights)
    windows = Windows(session, QuestionTokenizer(session), decoder.room)
    return Loaded(session, ModelId(session.info.name, found.type, ""), None, decoder, windows)


def _check_vocabulary(connection: Connection, server: Server, session: RemoteSession) -> None:
    """The server's own ids of a test text, and of the control tokens, must be ours."""
    ours = {_TEXT: session.tokenize(_TEXT)}
    ours |= {control.text: [session.control_token(control.text) or 0] for control in CONTROLS}
    for text, expected in ours.items():
        theirs = ids(entries(connection.ask(server.tokenize(text)), "tokens"))
        if theirs != expected:
            raise ModelError(
                f"the tokenizer of the server at {connection.root} is not that of "
                f"{session.info.name}: a test text has other tokens there; serve the model with "
                "the tokenizer that it was published with"
            )


def _check_answers(loaded: Loaded, root: str, allow_random_weights: bool) -> None:
    """It must answer in both modes, and know what is beyond doubt."""
    decoder, windows = loaded.decoder, loaded.windows
    for probe in PROBES:
        asked = Message("user", probe.text)
        (question,) = windows.questions((asked,))
        severity = decoder.decode(question).answer.severity
        expected = probe.flagged is None or probe.flagged == (severity != SAFE)
        if not (expected or allow_random_weights):
            raise ModelError(
                f"the server at {root} calls {probe.text!r} {severity}: its weights are damaged, "
                "or it is no Qwen3Guard-Gen; type --allow-random-weights if its verdicts may mean "
                "nothing"
            )
    (question,) = windows.questions((Message("user", PROBES[0].text), _ANSWERED))
    decoder.decode(question)
