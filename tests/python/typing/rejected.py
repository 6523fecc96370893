"""What both type checkers must refuse: every line marked so, and no other."""

from __future__ import annotations

import seawall


@seawall.retry(max_attempts=2)
def price(product: str) -> int:
    return len(product)


@seawall.fallback(None)
def maybe(product: str) -> int:
    return len(product)


async def later(product: str) -> int:
    return len(product)


price(5)  # error
price()  # error
seawall.retry(max_attempts="two")  # error
seawall.retry(attempts=2)  # error
seawall.retry(jitter="some")  # error
seawall.circuit_breaker(failure_ratio="half")  # error
seawall.rate_limit()  # error
seawall.chaos(rate=1, fault="x", abort_when={"breaker": "closed"}, expires_in="1h")  # error
seawall.policy("p", seawall.retry)  # error
seawall.policy("p", price)  # error
length: int = maybe("tea")  # error
seawall.retry().call(price, 5)  # error
seawall.DeadLetterQueue("q").peek(colour="red")  # error
seawall.DeadLetterQueue(5)  # error
seawall.SeawallError("no", code="made.up")  # error
