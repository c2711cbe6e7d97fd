"""What one request may cost, and that a long one blocks nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import openai
import pytest
from raw_http import connect, post, until
from served import MILD, Doorman, Process, Served, process, serving

from edgeguard import InputError
from edgeguard.server.settings import Settings

LONG = "word and word " * 300
"""Several windows of the fake session, whose tokens are bytes."""


def ask(served: Served, text: str, found: list[httpx.Response]) -> threading.Thread:
    def run() -> None:
        with served.client() as client:
            found.append(client.post("/v1/guard", json={"prompt": text}))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_more_tokens_than_a_request_may_have_are_an_error_with_both_numbers() -> None:
    door = Doorman()
    with serving(door, max_tokens=2000) as served, served.client() as client:
        assert client.post("/v1/guard", json={"prompt": MILD}).status_code == 200
        seen = len(door.seen)
        answer = client.post("/v1/guard", json={"prompt": "word " * 300})
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["code"] == "context_length_exceeded"
        assert error["param"] == "prompt"
        assert "2,000" in error["message"]
        assert "tokens" in error["message"]
        assert len(door.seen) == seen  # nothing was computed
        chat = {"messages": [{"role": "user", "content": "word " * 300}]}
        assert client.post("/v1/chat/completions", json=chat).status_code == 400


def test_the_texts_of_a_list_share_the_tokens_and_lose_nothing() -> None:
    with serving(max_tokens=4000) as served, served.client() as client:
        texts = ["a", "unsafe", "b", "c"]
        answer = client.post("/v1/moderations", json={"input": texts})
        results = answer.json()["results"]
        assert answer.status_code == 200
        assert [result["flagged"] for result in results] == [False, True, False, True]
        error = results[3]["edgeguard"]["error"]
        assert error["code"] == "context_length_exceeded"
        assert "4,000, of which its other texts have taken 3,9" in error["message"]


def test_a_request_that_computes_for_too_long_is_504_and_not_retried() -> None:
    with serving(seconds=5.0, timeout=0.3) as served, served.client() as client:
        started = time.monotonic()
        answer = client.post("/v1/guard", json={"prompt": "a"})
        assert time.monotonic() - started < 2
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "timeout"
        assert "0.3 s" in answer.json()["error"]["message"]
        assert answer.headers["x-should-retry"] == "false"
        options = {"api_key": "EMPTY", "base_url": f"{served.url}/v1", "max_retries": 5}
        with openai.OpenAI(**options) as sdk, pytest.raises(openai.InternalServerError):  # type: ignore[arg-type]
            sdk.moderations.create(input="a")
        text = client.get("/metrics").text
        assert 'route="/v1/moderations",status="504"} 1.0' in text


def test_the_time_of_a_list_is_its_own_and_waiting_costs_nothing() -> None:
    with serving(seconds=0.2, timeout=0.5) as served:
        found: list[httpx.Response] = []
        waiting = [ask(served, "a", found) for _ in range(4)]
        with served.client() as client:
            inputs = [{"prompt": "a"} for _ in range(5)]
            verdicts = client.post("/v1/guard", json={"inputs": inputs}).json()["verdicts"]
        for thread in waiting:
            thread.join(20)
        assert [answer.status_code for answer in found] == [200] * 4
        late = [item["error"]["code"] for item in verdicts if "error" in item]
        assert 2 <= len(late) <= 4
        assert set(late) == {"timeout"}
        assert all("severity" in item for item in verdicts[: 5 - len(late)])


def test_the_windows_of_a_long_text_take_turns_with_other_requests() -> None:
    with serving(seconds=0.1, n_ctx=2048) as served:
        found: list[httpx.Response] = []
        long = ask(served, LONG, found)
        until(lambda: served.worker.queue.busy_seconds > 0.15)
        short = ask(served, "a", found)
        short.join(20)
        assert len(found) == 1
        long.join(30)
        assert found[1].json()["windows"] > 4


def test_what_a_client_left_is_not_computed_further_and_the_rest_is_right() -> None:
    with serving(seconds=0.3, n_ctx=2048) as served, served.client() as client:
        body = b'{"prompt": "%s"}' % LONG.encode()
        socks = [connect(served) for _ in range(3)]
        for sock in socks:
            sock.sendall(post(body))
        until(lambda: served.worker.queue.in_flight[0] == 3)
        for sock in socks:
            sock.close()
        started = time.monotonic()
        assert client.post("/v1/guard", json={"prompt": "unsafe"}).json()["flagged"] is True
        assert time.monotonic() - started < 2  # what they wanted takes more
        until(lambda: served.worker.queue.in_flight == (0, 0))


def ask_many(served: Served, number: int) -> None:
    with served.client() as client:
        client.post("/v1/guard", json={"inputs": [{"prompt": "a"}] * number})


def test_retry_after_counts_texts_and_not_requests() -> None:
    door = Doorman()
    with serving(door, queue=1) as served, served.client() as client:
        found: list[httpx.Response] = []
        first = ask(served, "wait", found)
        assert door.arrived.wait(20)
        second = threading.Thread(target=ask_many, args=(served, 100))
        second.start()
        until(lambda: served.worker.depth == 1)
        served.worker.queue.speed = 1000.0
        after = int(client.post("/v1/guard", json={"prompt": "a"}).headers["retry-after"])
        assert 20 < after <= 60
        door.open.set()
        first.join(20)
        second.join(20)


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"timeout": float("nan")}, {"timeout": float("inf")},
              {"max_tokens": 0}, {"max_tokens": 511}],
)  # fmt: skip
def test_limits_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Settings(**wrong)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bounded() -> Iterator[Process]:
    with process("--model", "nano", "--n-ctx", "1024", "--max-tokens-per-request", "20000",
                 "--timeout", "5") as found:  # fmt: skip
        yield found


def test_on_the_model_a_client_that_leaves_frees_it_within_a_tenth_of_a_second(
    bounded: Process,
) -> None:
    with bounded.client() as client:
        assert any("may have 20,000 tokens and 5 s" in line for line in bounded.notes)
        alone = min(timed(client) for _ in range(5))
        waits = []
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/guard", json={"prompt": "word and word " * 900}, timeout=0.3)
            waits.append(timed(client))
        assert min(waits) - alone < 0.1


def timed(client: httpx.Client) -> float:
    started = time.monotonic()
    assert client.post("/v1/guard", json={"prompt": MILD}).status_code == 200
    return time.monotonic() - started


def test_on_the_model_more_tokens_than_allowed_are_refused_before_they_are_read(
    bounded: Process,
) -> None:
    with bounded.client() as client:
        answer = client.post("/v1/guard", json={"prompt": "word and word " * 5000})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert answer.elapsed.total_seconds() < 4
