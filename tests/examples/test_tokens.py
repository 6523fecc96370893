"""The stream of tokens, from a model of the test's own, on virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import seawall


class Model(httpx.AsyncBaseTransport):
    """Answers with one script after the other: a status, or what is to come of tokens, silences and errors."""

    def __init__(self, *scripts: int | list[Any]) -> None:
        self.scripts: Iterator[int | list[Any]] = iter(scripts)
        self.asked: list[str] = []
        self.ended = 0
        self.silent = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content)["model"])
        script = next(self.scripts)
        return httpx.Response(script) if isinstance(script, int) else httpx.Response(200, stream=Lines(self, script))


class Lines(httpx.AsyncByteStream):
    def __init__(self, model: Model, script: list[Any]) -> None:
        self.model, self.script = model, script

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self.script:
            if step is SILENCE:
                self.model.silent.set()
                await asyncio.Event().wait()
            if isinstance(step, Exception):
                raise step
            yield json.dumps({"response": step}).encode() + b"\n"

    async def aclose(self) -> None:
        self.model.ended += 1


SILENCE = object()


@pytest.fixture
def tokens(example: Callable[[str], Any]) -> Any:
    return example("tokens")


def asked(tokens: Any, model: Model, reader: Callable[[AsyncIterator[str], Model, Any], Any]) -> Any:
    """What a reader makes of the answer of that model."""

    async def main() -> Any:
        tokens.client = httpx.AsyncClient(base_url="http://model", transport=model)
        return await reader(tokens.complete("why?"), model, clock)

    with seawall.testing.clock() as clock:
        return asyncio.run(main())


async def read(stream: AsyncIterator[str], model: Model, clock: Any) -> tuple[str, BaseException | None]:
    """All tokens, and the error that ended them. Whenever the model falls silent time passes."""
    text = ""

    async def collect() -> None:
        nonlocal text
        async for token in stream:
            text += token

    reading = asyncio.ensure_future(collect())
    while not reading.done():
        silent = asyncio.ensure_future(model.silent.wait())
        await asyncio.wait([reading, silent], return_when=asyncio.FIRST_COMPLETED)
        if silent.done():
            model.silent.clear()
            clock.advance("10s")
        silent.cancel()
    return text, reading.exception()


def test_before_the_first_token_the_call_is_tried_again(tokens: Any) -> None:
    model = Model(503, ["It ", "stands."])
    assert asked(tokens, model, read) == ("It stands.", None)
    assert model.asked == ["large", "large"]


def test_a_model_that_does_not_begin_is_cut_and_another_one_asked(tokens: Any) -> None:
    model = Model([SILENCE], [SILENCE], ["Stone."])
    assert asked(tokens, model, read) == ("Stone.", None)
    assert (model.asked, model.ended) == (["large", "large", "small"], 3)


def test_after_the_first_token_a_failure_surfaces(tokens: Any) -> None:
    model = Model(["It ", httpx.ReadError("gone")], ["never"])
    text, error = asked(tokens, model, read)
    assert text == "It " and isinstance(error, httpx.ReadError)
    found = seawall.failure(error)
    assert found is not None and found.reason == "stream_broken"
    assert model.asked == ["large"]


def test_a_model_that_falls_silent_is_cut(tokens: Any) -> None:
    model = Model(["It ", "stands ", SILENCE], ["never"])
    text, error = asked(tokens, model, read)
    assert text == "It stands "
    assert isinstance(error, seawall.TimeoutExceededError) and error.code == "timeout.idle"
    assert (model.asked, model.ended) == (["large"], 1)


def test_a_reader_that_stops_ends_the_request_and_is_no_failure(tokens: Any) -> None:
    async def first(stream: Any, model: Model, clock: Any) -> str:
        async for token in stream:
            await stream.aclose()
            return str(token)
        return ""

    model = Model(["It ", "stands."])
    assert asked(tokens, model, first) == "It "
    assert model.ended == 1


def test_the_time_that_the_reader_takes_does_not_count(tokens: Any) -> None:
    async def slowly(stream: AsyncIterator[str], model: Model, clock: Any) -> str:
        text = ""
        async for token in stream:
            clock.advance("1m")
            text += token
        return text

    assert asked(tokens, Model(["It ", "stands ", "here."]), slowly) == "It stands here."
