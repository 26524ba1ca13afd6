"""An endpoint as a sampler of a server that misbehaves; tests/commands/test_serving.py has vLLM's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pydantic
import pytest
from chat_server import Behaviour, ChatServer, Reply, chat_server, fails, says

from selfimprove import Budget, Delimiters, Endpoint, PlainQuestion, Sampling, UserError
from selfimprove.records import Checkpoint, Problem, Request, Trace, Usage
from selfimprove.sampling.endpoint import OpenEndpoint
from selfimprove.sampling.sampling import requests_for
from selfimprove.settings.paths import describe, explain
from selfimprove.thinking.traces import parsed

pytestmark = pytest.mark.slow

Serve = Callable[..., "Served"]


class Served:
    """An endpoint that is open, and the server behind it."""

    def __init__(self, endpoint: Endpoint, server: ChatServer | None = None) -> None:
        self.endpoint, self.server = endpoint, server
        self.opened: OpenEndpoint = endpoint.open()

    def traces(self, requests: list[Request]) -> dict[str, Trace]:
        found = [trace for batch in self.opened.sample(self.endpoint.checkpoint(), requests) for trace in batch]
        assert len(found) == len({trace.id for trace in found})
        return {trace.id: trace for trace in found}

    def one(self, **decoding: Any) -> Trace:
        (trace,) = self.traces(requests(1, **decoding)).values()
        return trace


@contextmanager
def opened(endpoint: Endpoint, server: ChatServer | None = None) -> Iterator[Served]:
    served = Served(endpoint, server)
    try:
        yield served
    finally:
        served.opened.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server with this behaviour, and opens an endpoint with these settings."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(behaviour: Behaviour, **settings: Any) -> Served:
            server = stack.enter_context(chat_server(behaviour))
            chosen = {"key_from": None, "retries": 0, **settings}
            return stack.enter_context(opened(Endpoint(server.url, "teacher-1", **chosen), server))

        yield start


def requests(count: int, delimiters: Delimiters = Delimiters(), **decoding: Any) -> list[Request]:  # noqa: B008
    problems = [Problem(f"p-{n}", f"What is {n} + {n}?", str(2 * n), "test") for n in range(count)]
    return requests_for(problems, PlainQuestion(), Sampling(n=1, **decoding), "g1", 7, delimiters)


def line_of(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_request_becomes_a_body_and_its_answer_a_trace_with_usage_and_cost(serve: Serve) -> None:
    served = serve(lambda body, number: says("<think>\n0.\n</think>\n0"), price_per_million_in=1.0, price_per_million_out=4.0, extra={"min_p": 0.1})
    (request,) = requests(1, temperature=0.7, top_p=0.9, max_tokens=99)
    (trace,) = served.traces([request]).values()
    assert served.server.bodies == [
        {
            "model": "teacher-1",
            "messages": [dict(message) for message in request.messages],
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 99,
            "seed": request.seed,
            "min_p": 0.1,
        }
    ]
    assert trace == Trace(
        "p-0/g1/s0", "p-0", "teacher", (), (), "<think>\n0.\n</think>\n0", (), "stop", 0.7, request.seed, usage=Usage(10, 5, (10 + 4 * 5) / 1e6)
    )
    assert trace.output_tokens == 5


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (says("5\ud800"), "5\ufffd"),
        (says("\ud83d\ude00 7", reasoning="4 \udfff+ 3"), "<think>4 \ufffd+ 3</think>😀 7"),
        (says("7", finish_reason="st\udcffop"), "7"),
    ],
    ids=range(3),
)
def test_half_of_a_surrogate_pair_in_an_answer_is_replaced_since_the_same_seed_would_bring_it_again(serve: Serve, body: Reply, text: str) -> None:
    trace = serve(lambda *_: body).one()
    assert trace.text == text
    f"{trace.text}{trace.finish_reason}".encode()


@pytest.mark.parametrize(
    "content", ['{"a": ' * 100_000, '{"choices": ' + "9" * 5000 + "}", '{"choices": [{"message": {"content": "5"}}], "usage": %s}'], ids=range(3)
)
def test_an_answer_of_odd_json_is_named_in_one_line(serve: Serve, content: str) -> None:
    usage = '{"prompt_tokens": 1' + "0" * 300 + ', "completion_tokens": 1}'
    with pytest.raises(UserError, match="sent an invalid chat completion 1 times") as error:
        serve(lambda *_: Reply(content % usage if "%s" in content else content)).one()
    assert len(line_of(error)) < 400


def test_the_sampling_s_extra_is_in_the_body_and_the_endpoint_s_overrides_it(serve: Serve) -> None:
    served = serve(lambda body, number: says("0"), extra={"top_k": 5})
    served.one(extra={"top_k": 20, "min_p": 0, "stop": ["\n\n"]})
    assert {name: served.server.bodies[0][name] for name in ("top_k", "min_p", "stop")} == {"top_k": 5, "min_p": 0, "stop": ["\n\n"]}


def test_a_field_that_the_server_does_not_know_is_left_out(serve: Serve) -> None:
    served = serve(lambda body, number: says("0"), extra={"max_tokens": None, "max_completion_tokens": 7, "temperature": None})
    served.one()
    assert set(served.server.bodies[0]) == {"model", "messages", "top_p", "seed", "max_completion_tokens"}


@pytest.mark.parametrize(
    ("reply", "text", "flags"),
    [
        (says("7", reasoning_content="4 + 3."), "<think>4 + 3.</think>7", set()),
        (says("\n\n7", reasoning="\n4 + 3.\n"), "<think>\n4 + 3.\n</think>\n\n7", set()),
        (says("7", reasoning="4 + 3.", reasoning_content="4 + 3."), "<think>4 + 3.</think>7", set()),
        (says("<think>4 + 3.</think>7"), "<think>4 + 3.</think>7", set()),
        (says("It is 7."), "It is 7.", {"missing"}),
        (says("7", reasoning=""), "7", {"missing"}),
        (says(None, reasoning="4 +", finish_reason="length"), "<think>4 +", {"unclosed"}),
        (says(None, finish_reason="length"), "", {"missing"}),
    ],
)
def test_reasoning_in_any_field_becomes_the_trace_s_thinking(serve: Serve, reply: Reply, text: str, flags: set[str]) -> None:
    trace = serve(lambda body, number: reply).one()
    assert (trace.text, parsed(trace).flags) == (text, flags)


def test_reasoning_is_put_between_the_delimiters_of_the_request(serve: Serve) -> None:
    served = serve(lambda body, number: says("7", reasoning="4 + 3."))
    (trace,) = served.traces(requests(1, Delimiters("[T]", "[/T]"))).values()
    assert trace.text == "[T]4 + 3.[/T]7" and parsed(trace).thinking == "4 + 3."


def test_requests_run_concurrently_up_to_the_limit(serve: Serve) -> None:
    under_way, lock = [0, 0], threading.Lock()

    def behaviour(body: dict[str, Any], number: int) -> Reply:
        with lock:
            under_way[0] += 1
            under_way[1] = max(under_way)
        time.sleep(0.05)
        with lock:
            under_way[0] -= 1
        return says(body["messages"][-1]["content"])

    served = serve(behaviour, concurrency=4)
    asked = requests(24)
    found = served.traces(asked)
    assert {request.id: request.messages[-1]["content"] for request in asked} == {name: trace.text for name, trace in found.items()}
    assert 2 <= under_way[1] <= 4


def test_traces_are_handed_over_as_they_finish(serve: Serve) -> None:
    served = serve(lambda body, number: Reply(says("7").body, seconds=3.0 if "What is 0 " in body["messages"][-1]["content"] else 0.0))
    batches = served.opened.sample(served.endpoint.checkpoint(), requests(6))
    began = time.monotonic()
    early = [trace.id for _, batch in zip(range(1), batches, strict=False) for trace in batch]
    assert early and "p-0/g1/s0" not in early and time.monotonic() - began < 2.5


@pytest.mark.parametrize(
    "trouble",
    [
        fails(429, "slow down", Retry_After="1"),
        fails(500, "out of order"),
        Reply("{half a", 200),
        Reply("<html>Bad gateway</html>", 200, {"Content-Type": "text/html"}),
        Reply({"error": {"message": "overloaded"}}, 200),
        Reply("", 200, seconds=3.0),
    ],
    ids=["429", "500", "half", "html", "error-as-200", "hanging"],
)
def test_temporary_failures_are_retried(serve: Serve, trouble: Reply) -> None:
    served = serve(lambda body, number: says("7") if number else trouble, retries=1, timeout=2.0 if trouble.seconds else 60.0)
    assert served.one().text == "7"
    assert served.server.bodies[0] == served.server.bodies[1] and len(served.server.bodies) == 2
    waited = served.server.times[1] - served.server.times[0]
    assert waited > 0.3 and (trouble.status != 429 or waited > 0.95)


@pytest.mark.parametrize(
    ("reply", "line", "attempts"),
    [
        (fails(401, "bad key"), "answered 401: bad key; it asks for a key: name its variable in key_from", 1),
        (fails(404, "no such model"), "answered 404: no such model; it serves no model teacher-1, or its url does not end with its version", 1),
        (fails(400, "prompt\nis too long"), "answered 400: prompt is too long; the request was for problem p-0", 1),
        (fails(429, "slow down"), "answered 429: slow down; lower requests_per_minute or concurrency, or wait; the same command continues", 2),
        (fails(429, "tomorrow", Retry_After="9999"), "answered 429: tomorrow; lower", 1),
        (fails(503, "down"), "answered 503: down; the same command continues the run", 2),
        (Reply("half", 200), "sent an invalid chat completion 2 times (Invalid JSON: Expecting value", 2),
        (Reply("", seconds=3.0), "gave no answer within 2 s: raise timeout", 2),
    ],
)
def test_a_request_that_fails_for_good_ends_with_one_line(serve: Serve, reply: Reply, line: str, attempts: int) -> None:
    served = serve(lambda body, number: reply, retries=1, timeout=2.0 if reply.seconds else 60.0)
    with pytest.raises(UserError) as error:
        served.one()
    assert line_of(error).startswith(f"{served.endpoint.url} {line}")
    assert len(served.server.bodies) == attempts


def test_a_server_that_is_not_there_is_named(serve: Serve) -> None:
    with chat_server(lambda body, number: says("7")) as gone:
        pass
    with opened(Endpoint(gone.url, "m", key_from=None, retries=0)) as served, pytest.raises(UserError) as error:
        served.one()
    assert line_of(error).startswith(f"{gone.url} cannot be reached (All connection attempts failed)")


def test_traces_before_a_failure_are_handed_over_and_no_more_requests_follow(serve: Serve) -> None:
    served = serve(lambda body, number: fails(400, "no") if number == 5 else Reply(says("7").body, seconds=0.05), concurrency=1)
    kept: list[Trace] = []
    with pytest.raises(UserError):
        for batch in served.opened.sample(served.endpoint.checkpoint(), requests(40)):
            kept += batch
    assert len(kept) == 5
    time.sleep(0.3)
    assert len(served.server.bodies) <= 7
    served.server.behaviour = lambda body, number: says("8")
    assert served.one().text == "8"


def test_requests_are_spaced_by_the_minute_tries_included(serve: Serve) -> None:
    served = serve(lambda body, number: says("7") if number else fails(500, "once"), requests_per_minute=600, retries=1)
    served.traces(requests(5))
    times = served.server.times
    assert len(times) == 6 and times[-1] - times[0] > 0.4


def test_a_budget_is_refused_before_anything_is_asked(serve: Serve) -> None:
    served = serve(lambda body, number: says("7"))
    with pytest.raises(UserError, match="an Endpoint cannot enforce a budget of thinking"):
        served.one(budget=Budget(max_tokens=5))
    assert not served.server.bodies


def test_a_checkpoint_of_the_student_is_refused(serve: Serve) -> None:
    served = serve(lambda body, number: says("7"))
    with pytest.raises(UserError, match="an Endpoint cannot load base: it serves a model of its own; make it the sampler of the workflow's teacher"):
        next(served.opened.sample(Checkpoint("base", "somewhere", None, 0, "", ""), requests(1)))


def test_the_key_goes_to_the_server_and_nowhere_else(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret\n")
    served = serve(lambda body, number: says("7") if number == 0 else fails(401, "I do not know s3cret"), key_from="MY_KEY")
    trace = served.one()
    assert served.server.headers[0]["authorization"] == "Bearer s3cret"
    with pytest.raises(UserError) as error:
        served.one()
    assert line_of(error).endswith("answered 401: I do not know ***; it rejects the key of MY_KEY")
    assert not any("s3cret" in str(thing) for thing in (describe(served.endpoint), repr(served.endpoint), trace))


def test_a_key_that_is_not_set_is_named(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UserError, match="the environment variable MY_KEY holds no key; set it, or key_from=None for a server without keys"):
        serve(lambda body, number: says("7"), key_from="MY_KEY").one()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("http://example.org/v1", "the key of OPENAI_API_KEY would travel unencrypted to example.org: use https"),
        ("https://me:secret@example.org/v1", "the url holds a password: put it into an environment variable"),
        ("example.org/v1", "url 'example.org/v1' is not an http address"),
    ],
)
def test_an_unsafe_address_is_refused(url: str, line: str) -> None:
    with pytest.raises(pydantic.ValidationError) as error:
        Endpoint(url, "m")
    assert line in explain(error.value)


@pytest.mark.parametrize("url", ["http://localhost:8000/v1", "http://127.0.0.1:8000/v1", "http://[::1]:8000/v1", "https://example.org/v1"])
def test_a_key_may_go_to_this_machine_and_over_https(url: str) -> None:
    assert Endpoint(url, "m").key_from == "OPENAI_API_KEY"


def test_pace_price_and_key_are_not_part_of_a_run_s_settings() -> None:
    slow = Endpoint("https://example.org/v1", "m", key_from="OTHER", concurrency=1, requests_per_minute=3, retries=99, price_per_million_in=7)
    assert describe(slow) == describe(Endpoint("https://example.org/v1", "m"))
    assert describe(slow) != describe(Endpoint("https://example.org/v1", "n"))
