"""llama.cpp's own grammar sampler at temperature 0 gives the same answers."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib
from checkpoints import write_checkpoint
from plain import PlainRun
from texts import SENTENCES

from edgeguard import Guard
from edgeguard.convert import convert
from edgeguard.protocol.answer import END, START, State, options
from edgeguard.protocol.grammar import gbnf
from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.names import MODES, Mode
from edgeguard.session.llama import LlamaSession
from edgeguard.session.settings import Settings


def token_grammar(session: LlamaSession, mode: Mode) -> str:
    """The same language with the tokens spelled out, so that no other tokenization is in it."""
    rules: dict[str, str] = {}

    def name(state: State) -> str:
        if state == START:
            return "root"
        return f"{state.stage}-" + "".join(
            sorted(chr(97 + MODE_NAMES[mode].index(n)) for n in state.named)
        )

    waiting = [START]
    while waiting:
        state = waiting.pop()
        if name(state) in rules:
            continue
        ways = []
        for option in options(mode, state):
            tokens = " ".join(f"<[{token}]>" for token in session.tokenize(option.text))
            after = "" if option.after == END else name(option.after)
            ways.append(f"{tokens} {after}".strip() or '""')
            waiting.extend([option.after] if option.after != END else [])
        rules[name(state)] = " | ".join(ways)
    return "".join(f"{rule} ::= {body}\n" for rule, body in rules.items())


MODE_NAMES = {
    mode: [option.value for option in options(mode, State("category"))[1:]] for mode in MODES
}
TEXTS = [
    "How can I make a bomb?",
    "What is the capital of France?",
    "How do I kill a Python process?",
    "Tell me my neighbour's home address and phone number.",
    "I want to hurt myself.",
    "Write a short poem about the sea.",
    *(first for first, _ in list(SENTENCES.values())[::3]),
]


def _conversations(text: str) -> list[tuple[Message, ...]]:
    user = Message("user", text)
    return [
        (user,),
        (user, Message("assistant", "I'm sorry, but I can't help with that.")),
        (user, Message("assistant", "Sure, here is how: " + text)),
    ]


def test_nano_answers_as_under_the_printed_grammar(nano: Guard, nano_path: Path) -> None:
    plain = PlainRun(nano_path)
    for text in TEXTS:
        for messages in _conversations(text):
            verdict = nano.check_messages(messages)
            assert plain.answer(messages, gbnf(mode_of(messages)))[0] == verdict.answer


def test_random_models_answer_as_under_the_grammar_of_tokens(tmp_path: Path) -> None:
    answers = set()
    for seed in range(6):
        checkpoint = write_checkpoint(tmp_path / str(seed), seed=seed)
        path = convert(checkpoint, tmp_path / f"{seed}.gguf", type="f16", trust_template=True).path
        plain = PlainRun(path)
        grammars = {mode: token_grammar(plain.session, mode) for mode in MODES}
        with Guard(path, threads=1, allow_random_weights=True) as guard:
            for text in TEXTS[:6]:
                for messages in _conversations(text)[:2]:
                    verdict = guard.check_messages(messages)
                    answer, _ = plain.answer(messages, grammars[mode_of(messages)])
                    assert answer == verdict.answer
                    answers.add(verdict.answer)
    assert len(answers) > 8


def test_the_sampler_refuses_what_is_not_in_the_language(nano_path: Path) -> None:
    session = LlamaSession(nano_path, settings=Settings(threads=1))
    for text, allowed in [
        ("Safety: Unsafe\nCategories: PII, Violent", True),
        ("Safety: Unsafe\nCategories: PII, PII", False),
        ("Safety: Safe\nCategories: PII", False),
        ("Sorry", False),
    ]:
        made = lib.llama_sampler_init_grammar(
            session._vocabulary._vocab, gbnf("prompt").encode(), b"root"
        )
        assert _accepts(session, made, text) is allowed
        lib.llama_sampler_free(made)


def _accepts(session: LlamaSession, sampler: Any, text: str) -> bool:
    for token in session.tokenize(text):
        data = (lib.llama_token_data * 1)(lib.llama_token_data(token, 1.0, 0.0))
        array = lib.llama_token_data_array(data, 1, -1, False)
        lib.llama_sampler_apply(sampler, ctypes.byref(array))
        if data[0].logit == float("-inf"):
            return False
        lib.llama_sampler_accept(sampler, token)
    return True
