"""A FastAPI application: `granite run examples.fastapi_app:app`.

Shows a JSON body that is validated, a response that is streamed, a task that runs after the
response, and a dependency on what the lifespan has set up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


class NewItem(BaseModel):
    name: str
    price: float


class Item(NewItem):
    id: int


class Shop:
    """What the application keeps while it runs; a database connection would live here."""

    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.journal: list[str] = []

    def add(self, new: NewItem) -> Item:
        item = Item(id=len(self.items) + 1, **new.model_dump())
        self.items[item.id] = item
        return item


class State(TypedDict):
    shop: Shop


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    # What is yielded is the state: the server copies it to every request.
    yield {"shop": Shop()}


def get_shop(request: Request) -> Shop:
    shop = request.state.shop
    assert isinstance(shop, Shop)
    return shop


TheShop = Annotated[Shop, Depends(get_shop)]
app = FastAPI(title="granite example", lifespan=lifespan)


@app.post("/items", status_code=201)
async def create_item(new: NewItem, shop: TheShop, tasks: BackgroundTasks) -> Item:
    item = shop.add(new)
    tasks.add_task(shop.journal.append, f"created {item.name}")
    return item


@app.get("/items/{item_id}")
async def read_item(item_id: int, shop: TheShop) -> Item:
    if item_id not in shop.items:
        raise HTTPException(404, "no such item")
    return shop.items[item_id]


@app.get("/export")
async def export_items(shop: TheShop) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for item in shop.items.values():
            yield item.model_dump_json() + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@app.get("/journal")
async def read_journal(shop: TheShop) -> list[str]:
    return shop.journal
