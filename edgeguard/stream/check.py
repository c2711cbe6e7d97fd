"""Asks a Qwen3Guard-Stream about a complete text, through the same interface as a Gen.

StreamQuestions replaces edgeguard.windows.Windows, and StreamDecoder edgeguard.decoder.Decoder: the
"question" is the conversation itself, whose first ``prefix`` tokens are not judged. A conversation
that does not fit the context is read in overlapping windows.
"""

from __future__ import annotations

from edgeguard.decoder import Decoded
from edgeguard.errors import InputTooLongError
from edgeguard.protocol.answer import Answer
from edgeguard.protocol.messages import Message, mode_of
from edgeguard.protocol.names import Mode
from edgeguard.protocol.stream import (
    ANSWER_START,
    after_answer,
    answer_text,
    before_answer,
    conversation,
)
from edgeguard.session.stream_interface import States, StreamSession
from edgeguard.stream.answer_tokens import ids
from edgeguard.stream.heads import Heads
from edgeguard.stream.judge import (
    by_category,
    categories_of,
    end_of_conversation,
    evidence,
    label,
    label_at_end,
    named,
    windows,
)
from edgeguard.stream.rule import Summary
from edgeguard.tokens import Question
from edgeguard.windows import MAX_WINDOWS


class StreamQuestions:
    """Writes conversations as the model reads them."""

    def __init__(self, session: StreamSession) -> None:
        self._session = session

    def questions(self, messages: tuple[Message, ...]) -> list[Question]:
        """What to read, in the order of the text. Raises InputTooLongError."""
        if mode_of(messages) == "prompt":
            tokens = ids(self._session, conversation(messages))
            parts = windows(self._session, tokens)
            found = [_question("prompt", part, len(part) - 1) for part in parts]
        else:
            found = self._responses(messages)
        if len(found) > MAX_WINDOWS:
            raise InputTooLongError(
                f"the text needs {len(found)} windows of {self._session.n_ctx} tokens, and at most "
                f"{MAX_WINDOWS} are judged: split it and check the parts"
            )
        return found

    def _responses(self, messages: tuple[Message, ...]) -> list[Question]:
        """The conversation with each part of the response; the parts overlap by a quarter."""
        session = self._session
        before = end_of_conversation(session, ids(session, conversation(messages[:-1])))
        before += ids(session, before_answer())
        blank = ids(session, [ANSWER_START])
        answer = ids(session, [ANSWER_START + answer_text(messages[-1].content)])
        header = 0
        if answer[: len(blank)] == blank:
            header, answer = len(blank), answer[len(blank) :]
        answer += ids(session, after_answer())
        size = session.n_ctx - len(before) - len(blank)
        step = size if len(answer) <= size else size - size // 4
        found = []
        for first in range(0, len(answer), step):
            start = before + (blank[:header] if first == 0 else blank)
            part = answer[first : first + size]
            found.append(_question("response", [*start, *part], len(start)))
            if first + size >= len(answer):
                break
        return found


def _question(mode: Mode, tokens: list[int], prefix: int) -> Question:
    return Question(mode, tuple(tokens), prefix, 0)


class StreamDecoder:
    """Makes a verdict from labels."""

    def __init__(self, session: StreamSession, heads: Heads) -> None:
        self._session = session
        self._heads = heads
        self._states: States | None = None

    def decode(
        self,
        question: Question,
        *,
        fresh: bool = False,
        categories: bool = False,  # noqa: ARG002 - the shares cost nothing, and are always given
    ) -> Decoded:
        """What the heads say; ``fresh``: reuse nothing. Raises SessionError, ModelError.

        A Stream never gives a refusal.
        """
        states = self._open(fresh)
        if question.mode == "prompt":
            found = label_at_end(states, self._heads, list(question.tokens))
            answer = Answer(found.severity, named(found, "prompt"), None)
            shares = by_category(found, "prompt")
            return Decoded(answer, found.probabilities, category_probabilities=shares)
        found_states = states.read(question.tokens, question.prefix)
        risks, all_shares = self._heads.labels(found_states, "response")
        labels = [label(0, 0, *pair) for pair in zip(risks.tolist(), all_shares.tolist())]
        said = Summary(labels)
        decided = said.deciding
        assert decided is not None  # the end of an answer is judged in any case
        return Decoded(
            Answer(said.severity, categories_of(said), None),
            decided.probabilities,
            category_probabilities=by_category(decided, "response"),
            tokens=tuple(evidence(each, "response") for each in labels),
        )

    def _open(self, fresh: bool) -> States:
        if self._states is None:
            self._states = self._session.hidden_states()
        elif fresh:
            self._states.free()
        return self._states
