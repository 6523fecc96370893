"""The client middleware for aiohttp, against a server of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import seawall
from aiohttp import ClientSession, web
from seawall.aiohttp import Middleware

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def talk(answer: Answer, work: Callable[[str], Awaitable[None]]) -> None:
    """Runs `work` with the address of a server that answers so."""

    async def main() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            await work(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        finally:
            await runner.cleanup()

    asyncio.run(main())


def test_it_retries_what_may_be_sent_again_with_the_headers_of_each_attempt() -> None:
    seen: list[tuple[str, str | None, str | None, str]] = []

    async def answer(request: web.Request) -> web.Response:
        headers = request.headers
        seen.append((request.method, headers.get("x-seawall-attempt"), headers.get("x-correlation-id"), (await request.text())))
        return web.Response(status=503 if len(seen) % 2 else 200, text="fine")

    async def work(url: str) -> None:
        bank = seawall.policy("bank", seawall.retry(base_delay="1ms"), seawall.circuit_breaker())
        async with ClientSession(middlewares=(Middleware(bank),)) as session:
            with seawall.correlate("web-1"):
                async with session.put(url, data=b"same") as response:
                    assert (response.status, await response.text()) == (200, "fine")
                async with session.post(url, data=b"once") as response:
                    assert response.status == 503, "a POST without a key is sent once, and its response is the caller's"
                seen.pop()
                own = {"idempotency-key": "k", "x-correlation-id": "own"}
                async with session.post(url, data=b"{}", headers=own) as response:
                    assert response.status == 200, "one with a key is sent again"

    talk(answer, work)
    assert seen[:2] == [("PUT", "1", "web-1", "same"), ("PUT", "2", "web-1", "same")]
    assert seen[2:] == [("POST", "1", "own", "{}"), ("POST", "2", "own", "{}")]


def test_the_breaker_sees_bad_statuses_and_refuses_by_host() -> None:
    calls = 0

    async def answer(_request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return web.Response(status=500)

    async def work(url: str) -> None:
        bank = seawall.policy("bank", seawall.circuit_breaker(consecutive_failures=2), key=lambda *_: "unused")
        async with ClientSession(middlewares=(Middleware(bank),)) as session:
            for _ in range(2):
                async with session.get(url) as response:
                    assert response.status == 500
            with pytest.raises(seawall.CircuitOpenError) as refused:
                await session.get(url)
            assert refused.value.key == "127.0.0.1"

    talk(answer, work)
    assert calls == 2
