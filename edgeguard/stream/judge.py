"""Judges a response with a Qwen3Guard-Stream while it is written; each new token is computed once.

The conversation is read once, up to the ``<|im_end|>`` of the user's message, where the query heads
judge it. The response's tokens follow in the same context, and the response heads label each. The
header of the answer is not judged; the ``<|im_end|>`` and the line break that end it are, as in the
authors' evaluation.

A response that outgrows the context continues in a new window: the conversation, cut to half a
context, then the last judged tokens (a quarter of the rest), then the new ones. Labels already
given stay. A prompt that outgrows the context is judged in overlapping windows, and the worst
counts. Harm that was found is never forgotten.

edgeguard.policy.in_a_row decides token by token what is flagged. This module does not know which
thread computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from edgeguard.policy import Decision, Evidence, Policy, decide
from edgeguard.policy.in_a_row import IN_A_ROW, Flag, decision_at, first_run, flag_of, suspected
from edgeguard.protocol.messages import Message
from edgeguard.protocol.names import CATEGORIES, SAFE, SEVERITIES, SEVERITY_RANK, Mode, Severity
from edgeguard.protocol.stream import (
    ANSWER_START,
    RISKS,
    after_answer,
    before_answer,
    categories,
    conversation,
)
from edgeguard.session.stream_interface import States, StreamSession
from edgeguard.stream.answer_tokens import AnswerTokens, ids
from edgeguard.stream.heads import Heads
from edgeguard.stream.interface import Reading, TokenLabel
from edgeguard.stream.rule import Summary

_ORDER = tuple(RISKS.index(severity) for severity in SEVERITIES)


class StreamJudge:
    """Judges one response. If a call fails, its text is kept, and the next call continues."""

    def __init__(
        self,
        session: StreamSession,
        heads: Heads,
        *,
        policy: Policy,
        in_a_row: int = IN_A_ROW,
    ) -> None:
        """``policy`` says which tokens are flagged, ``in_a_row`` how many flag the text."""
        self._session = session
        self._heads = heads
        self._policy = policy
        self._in_a_row = in_a_row
        self._states: States = session.hidden_states()
        self._answer = AnswerTokens(session)
        self._blank = ids(session, [ANSWER_START])
        self._before: list[int] = []  # the conversation and the answer's header
        self._begins = 0  # index of the first answer token in the context
        self._ids: list[int] = []  # the answer's judged tokens
        self._ends: list[int] = []  # where they end, in bytes
        self._labels: list[TokenLabel] = []  # their labels, without the blank line's
        self._flags: list[Flag | None] = []  # the policy's decision on each label
        self._searched = 0  # no run of flagged tokens begins before this index
        self._summary = Summary(in_a_row=in_a_row)
        self._sure = 0  # how many of the judged ids are final
        self._windows = 1
        self._severity: Severity = SAFE
        self._decision = Decision(False, "")
        self._safe_to = 0
        self._span: tuple[int, int] | None = None

    def begin(self, messages: tuple[Message, ...]) -> Reading:
        """Judge the user's message at its end. Raises SessionError, ModelError, CancelledError."""
        tokens = ids(self._session, conversation(messages))
        found = [label_at_end(self._states, self._heads, w) for w in windows(self._session, tokens)]
        self._before = end_of_conversation(self._session, tokens)
        self._before += ids(self._session, before_answer())
        found.sort(key=lambda label: (SEVERITY_RANK[label.severity], harm(label)), reverse=True)
        worst = found[0]
        return Reading(
            severity=worst.severity,
            probabilities=worst.probabilities,
            categories=tuple(dict.fromkeys(n for each in found for n in named(each, "prompt"))),
            decision=decide(self._policy, [evidence(each, "prompt") for each in found]),
            judged_to=0,
            safe_to=0,
            span=None,
            tokens=len(tokens),
            windows=len(found),
            category_probabilities=by_category(worst, "prompt"),
        )

    def feed(self, text: str) -> Reading:
        """Add more of the response, and judge what is ready. Raises what ``begin`` does."""
        self._answer.add(text)
        return self._go_on(())

    def end(self) -> Reading:
        """Judge the rest, and the tokens that end an answer."""
        self._answer.end()
        return self._go_on(ids(self._session, after_answer()))

    @property
    def length(self) -> int:
        """Characters of the response that were fed."""
        return self._answer.length

    def labels(self) -> tuple[TokenLabel, ...]:
        """The labels of the tokens judged so far."""
        return tuple(self._labels)

    def close(self) -> None:
        """Free the context."""
        self._states.free()

    def _go_on(self, ending: Sequence[int]) -> Reading:
        sure, settled = self._sure, self._answer.settled
        tokens = [*self._answer.ids_from(sure), *ending]
        same = takewhile(lambda pair: pair[0] == pair[1], zip(self._ids[sure:], tokens))
        self._take_back(sure + sum(1 for _ in same))
        while (done := len(self._ids) - sure) < len(tokens):
            self._make_room()
            room = self._session.n_ctx - len(self._held())
            self._judge(tokens[done : done + room])
        self._sure = settled
        return self._reading()

    def _take_back(self, kept: int) -> None:
        """Drop the labels of tokens that are no longer in the text."""
        if kept == len(self._ids):
            return
        gone = sum(1 for end in self._ends[kept:] if end > 0)
        left = len(self._labels) - gone
        del self._labels[left:], self._flags[left:], self._ids[kept:], self._ends[kept:]
        self._searched = min(self._searched, max(0, left - self._in_a_row + 1))
        self._begins = min(self._begins, kept)
        self._summary = Summary(self._labels, self._in_a_row)

    def _held(self) -> list[int]:
        """What precedes the next token in the context."""
        blank = self._blank if self._begins else []
        return self._before + blank + self._ids[self._begins :]

    def _make_room(self) -> None:
        """Continue in a new window if the context is full."""
        if len(self._held()) < self._session.n_ctx:
            return
        free = self._session.n_ctx - len(self._before) - len(self._blank)
        self._begins = len(self._ids) - free // 4
        self._windows += 1

    def _judge(self, tokens: list[int]) -> None:
        """Label tokens that follow those judged."""
        held = self._held()
        states = self._states.read(held + tokens, len(held))
        start = self._ends[-1] if self._ends else -len(ANSWER_START)
        ends = self._answer.ends(tokens, start)
        risks, shares = self._heads.labels(states, "response")
        for begin, end, risk, share in zip([start, *ends], ends, risks.tolist(), shares.tolist()):
            if end > 0:
                first, last = self._answer.place(begin), self._answer.place(end, up=True)
                found = label(first, last, risk, share)
                self._labels.append(found)
                self._summary.add(found)
                self._flags.append(flag_of(self._policy, evidence(found, "response")))
        self._ids += tokens
        self._ends += ends

    def _reading(self) -> Reading:
        found = self._summary.severity
        self._severity = max(self._severity, found, key=lambda one: SEVERITY_RANK[one])
        judged_to = self._answer.place(self._ends[-1]) if self._ends else 0
        self._follow_harm(judged_to)
        decided = self._summary.deciding
        return Reading(
            severity=self._severity,
            probabilities=decided.probabilities if decided else (1.0, 0.0, 0.0),
            categories=categories_of(self._summary),
            decision=self._decision,
            judged_to=judged_to,
            safe_to=self._safe_to,
            span=self._span,
            tokens=len(self._before) + len(self._ids),
            windows=self._windows,
            category_probabilities=by_category(decided, "response") if decided else None,
        )

    def _follow_harm(self, judged_to: int) -> None:
        """Update where harm began, and up to where the text may be shown."""
        labels = self._labels
        if not self._decision.reason:
            first = first_run(self._flags, self._in_a_row, self._searched)
            if first is not None:
                self._decision = decision_at(self._flags, first, self._in_a_row)
                self._span = (labels[first].start, labels[first + self._in_a_row - 1].end)
            self._searched = max(0, len(labels) - self._in_a_row + 1)
        safe = judged_to
        if self._decision.flagged:
            assert self._span is not None
            safe = self._span[0]
        elif not self._policy.observe and (doubtful := suspected(self._flags, self._in_a_row)):
            safe = labels[-doubtful].start
        self._safe_to = max(self._safe_to, min(safe, judged_to))


def windows(session: StreamSession, tokens: list[int]) -> list[list[int]]:
    """A conversation that ends with ``<|im_end|>``, in overlapping windows that end with it too."""
    if len(tokens) <= session.n_ctx:
        return [tokens]
    start, end = _opening(session), tokens[-1:]
    size = session.n_ctx - len(start) - len(end)
    body, step = tokens[:-1], size - size // 8
    firsts = [at for at in range(0, len(body), step) if at == 0 or at + size // 8 < len(body)]
    return [
        (body[at : at + size] if at == 0 else [*start, *body[at : at + size]]) + end
        for at in firsts
    ]


def label_at_end(states: States, heads: Heads, tokens: Sequence[int]) -> TokenLabel:
    """What the query heads say of a conversation at its last token."""
    risks, shares = heads.labels(states.read(tokens, len(tokens) - 1), "prompt")
    return label(0, 0, risks[0].tolist(), shares[0].tolist())


def label(start: int, end: int, risks: list[float], shares: list[float]) -> TokenLabel:
    """A label with the most likely severity, and all probabilities."""
    return TokenLabel(
        start,
        end,
        RISKS[max(range(len(risks)), key=risks.__getitem__)],
        tuple(risks[index] for index in _ORDER),
        tuple(shares),
    )


def named(found: TokenLabel, mode: Mode) -> tuple[str, ...]:
    """The most likely category, unless the token is Safe."""
    if found.severity == SAFE:
        return ()
    shares = found.categories
    return (categories(mode)[max(range(len(shares)), key=shares.__getitem__)],)


def evidence(found: TokenLabel, mode: Mode) -> Evidence:
    """The evidence of one token, for a policy."""
    probabilities = dict(zip(SEVERITIES, found.probabilities))
    shares = dict(zip(categories(mode), found.categories))
    return Evidence(found.severity, probabilities, named(found, mode), None, shares)


def categories_of(summary: Summary) -> tuple[str, ...]:
    """The categories that a response's labels name."""
    return tuple(categories("response")[index] for index in summary.categories)


def by_category(found: TokenLabel, mode: Mode) -> tuple[tuple[str, float], ...]:
    """The probabilities of the categories, in the order of CATEGORIES."""
    shares = dict(zip(categories(mode), found.categories))
    return tuple((name, shares[name]) for name in CATEGORIES if name in shares)


def harm(found: TokenLabel) -> float:
    """The probability that a token is not Safe."""
    return 1.0 - found.probabilities[SEVERITIES.index(SAFE)]


def end_of_conversation(session: StreamSession, tokens: list[int]) -> list[int]:
    """The end of the conversation that fits half a context, after an opening."""
    half = session.n_ctx // 2
    if len(tokens) <= half:
        return list(tokens)
    start = _opening(session)
    return [*start, *tokens[len(tokens) - half + len(start) :]]


def _opening(session: StreamSession) -> list[int]:
    return ids(session, conversation((Message("user", ""),))[:-1])
