"""The tokens of a language model, as they are made.

    MODEL_URL=http://localhost:11434 python tokens.py "Why does a seawall stand?"

Until the first token the call may be tried again, and then asked of a second model; after it a failure surfaces, for the reader
has seen the tokens. A model that falls silent in mid-sentence is cut. The time that the reader takes does not count.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator

import httpx
import seawall

client = httpx.AsyncClient(base_url=os.environ.get("MODEL_URL", "http://localhost:11434"), timeout=None)


async def ask(model: str, prompt: str) -> AsyncIterator[str]:
    """The tokens of one answer, each a line of JSON."""
    question = {"model": model, "prompt": prompt}
    async with client.stream("POST", "/api/generate", json=question, headers=seawall.headers()) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            yield json.loads(line)["response"]


async def small(prompt: str) -> AsyncIterator[str]:
    async for token in ask("small", prompt):
        yield token


@seawall.policy(
    "model",
    seawall.fallback(small),
    seawall.retry(max_attempts=2, base_delay="200ms"),
    seawall.bulkhead(max_concurrent=4, max_queue=16),
    seawall.circuit_breaker(),
    seawall.timeout(attempt="10s", idle="5s", total="2m"),
)
async def complete(prompt: str) -> AsyncIterator[str]:
    async for token in ask("large", prompt):
        yield token


async def main(prompt: str) -> None:
    async for token in complete(prompt):
        print(token, end="", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
