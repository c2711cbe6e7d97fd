"""A conversation that goes on: it pays for what is new, and its numbers stay within rounding."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeguard import Guard

TURNS = [
    ("What is a good soup for winter?", "Pumpkin soup is easy: roast, blend, add stock."),
    ("Which spices go with it?", "Ginger, nutmeg and a little cumin."),
    ("And what bread?", "A dark rye bread, toasted."),
    ("How long does it keep?", "Three days in the fridge."),
]
TOLERANCE = 0.02
"""How far a probability moves when a text is computed in other batches (nano at q8_0)."""


def _conversation(turns: int) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    for user, assistant in TURNS[:turns]:
        messages.append({"role": "user", "content": user})
        messages.append({"role": "assistant", "content": assistant})
    return messages


@pytest.mark.parametrize("last", ["user", "assistant"])
def test_a_conversation_pays_for_its_new_turns_only(
    nano: Guard, computed: list[int], last: str
) -> None:
    everything = _conversation(len(TURNS))
    costs = []
    for turns in range(1, len(TURNS) + 1):
        end = 2 * turns - (last == "user")
        computed.clear()
        nano.check_messages(everything[:end])
        costs.append(sum(computed))
    # The fixed tail and one turn, however long the conversation is.
    assert max(costs[1:]) <= costs[0] + 40


def test_prompts_and_responses_in_turn_stay_warm(nano: Guard, computed: list[int]) -> None:
    everything = _conversation(len(TURNS))
    for end in range(1, len(everything) + 1):
        computed.clear()
        nano.check_messages(everything[:end])
        assert end < 3 or sum(computed) < 200


def test_a_grown_conversation_gives_the_numbers_of_a_fresh_one(
    nano: Guard, nano_path: Path
) -> None:
    everything = _conversation(len(TURNS))
    for end in range(1, len(everything) + 1):
        grown = nano.check_messages(everything[:end])
        with Guard(nano_path, threads=1) as guard:
            fresh = guard.check_messages(everything[:end])
        assert grown.answer == fresh.answer
        for name, share in fresh.probabilities.items():
            assert abs(grown.probabilities[name] - share) < TOLERANCE


def test_a_single_prompt_never_goes_on_from_another(nano: Guard, nano_path: Path) -> None:
    """Rows of a list that begin alike give the same bits in any order."""
    with Guard(nano_path, threads=1) as guard:
        alone = guard.check("How to make bread rise").probabilities
    nano.check("How to make bread")
    assert nano.check("How to make bread rise").probabilities == alone


def test_another_start_of_the_conversation_is_not_taken_for_it(
    nano: Guard, nano_path: Path
) -> None:
    first = _conversation(2)
    other = [{"role": "user", "content": "Hello"}, *_conversation(3)[1:]]
    with Guard(nano_path, threads=1) as guard:
        alone = guard.check_messages(other)
    nano.check_messages(first)
    assert nano.check_messages(other).probabilities == alone.probabilities


def test_a_conversation_that_outgrows_its_context_keeps_its_computed_part(
    nano: Guard, computed: list[int]
) -> None:
    long = [{"role": "user", "content": "A walk by the sea. " * 30}]
    nano.check_messages(long)
    computed.clear()
    reply = {"role": "assistant", "content": "Nice. " * 60}
    nano.check_messages([*long, reply, {"role": "user", "content": "Thanks"}])
    assert sum(computed) < 350


def test_a_fresh_check_gives_the_same_bits_in_any_order(nano: Guard, nano_path: Path) -> None:
    everything = _conversation(3)
    with Guard(nano_path, threads=1) as guard:
        alone = guard.check_messages(everything).probabilities
    nano.check_messages(everything[:4])
    assert nano.check_messages(everything, fresh=True).probabilities == alone
