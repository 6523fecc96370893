"""A flaky bank, which the other examples charge: `uvicorn bank:app --port 8001`.

It turns away every fifth request, the first one too, and knows a charge by its idempotency key, however often that arrives.
"""

from __future__ import annotations

import itertools

from fastapi import FastAPI, Header, HTTPException

app = FastAPI()
receipts: dict[str, str] = {}
requests = itertools.count()


@app.post("/charges/{order}")
async def charge(order: str, idempotency_key: str = Header()) -> dict[str, str]:
    if next(requests) % 5 == 0:
        raise HTTPException(503)
    return {"receipt": receipts.setdefault(idempotency_key, f"{order}/{len(receipts) + 1}")}
