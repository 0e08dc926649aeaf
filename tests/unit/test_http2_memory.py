"""The memory of HTTP/2 sessions: blocks of any size, asked for and given back in any order, against
a model of what is in use.
"""

from __future__ import annotations

import ctypes
import random
import resource
from collections.abc import Iterator

import pytest

from granite._core.buf import SANITIZE
from granite._core.http2 import SessionMemory

pytestmark = [
    pytest.mark.c_alone,
    pytest.mark.skipif(resource.getpagesize() != 4096, reason="slots are for pages of 4 KiB"),
]

PAGE = 4096
SLOT, SPARE = 6 * PAGE, 256
SESSION, TABLE, FRAMES = 2928, 4096, 16394  # what nghttp2 asks for
SIZES = (SESSION, TABLE, FRAMES, 1, 16, 1024, 2047, 2048, 3552, 3553, 4097, 20_000, 30_000)


def write(block: int, data: bytes) -> None:
    ctypes.memmove(block, data, len(data))


class Model:
    """A session's memory beside what must be in it."""

    def __init__(self, memory: SessionMemory, rng: random.Random) -> None:
        self.memory, self.rng = memory, rng
        self.blocks: dict[int, bytes] = {}
        self.in_slot = 0  # blocks that had their place there

    def __len__(self) -> int:
        return len(self.blocks)

    def size(self) -> int:
        if self.rng.random() < 0.7:
            return self.rng.choice(SIZES)
        return self.rng.randrange(1, 24_000)

    def take(self) -> None:
        """A new block, by one of the three ways."""
        size = self.size()
        way = self.rng.randrange(3)
        if way == 0:
            block = self.memory.malloc(size)
        elif way == 1:
            block = self.memory.realloc(0, size)
        else:
            count = self.rng.choice([n for n in (1, 2, 8, 16) if size % n == 0])
            block = self.memory.calloc(count, size // count)
            assert ctypes.string_at(block, size) == bytes(size)
        self.in_slot += self.memory.room(block) > 0
        self.keep(block, size, leave=way == 2 and self.rng.random() < 0.5)

    def keep(self, block: int, size: int, *, leave: bool = False) -> None:
        """The block is there; `leave` its zeros in it."""
        assert block
        assert block % 16 == 0
        assert block not in self.blocks
        assert self.memory.room(block) in (0, *range(size, SLOT))
        assert self.memory.allowed(block, size) == size
        data = bytes(size) if leave else self.rng.randbytes(size)
        write(block, data)
        self.blocks[block] = data

    def change(self) -> None:
        """A block gets another size, and keeps what it has."""
        block = self.rng.choice(list(self.blocks))
        data = self.blocks.pop(block)
        size = max(1, len(data) + self.rng.choice((-1, 1, -600, 600, len(data))))
        moved = self.memory.realloc(block, size)
        kept = min(size, len(data))
        assert ctypes.string_at(moved, kept) == data[:kept]
        self.keep(moved, size)

    def give(self) -> None:
        """A block is needed no more."""
        block = self.rng.choice(list(self.blocks))
        data = self.blocks.pop(block)
        assert ctypes.string_at(block, len(data)) == data
        of_slot = self.memory.room(block) > 0
        self.memory.free(block)
        if of_slot and SANITIZE:
            assert self.memory.allowed(block, len(data)) == 0

    def check(self) -> None:
        for block, data in self.blocks.items():
            assert ctypes.string_at(block, len(data)) == data

    def step(self) -> None:
        steps = [self.take, self.take, self.give, self.change, self.memory.rest]
        step = self.rng.choice(steps if self.blocks else steps[:1])
        if len(self) > 8:
            step = self.give
        step()

    def clear(self) -> None:
        while self.blocks:
            self.give()


def apart(models: list[Model]) -> None:
    """No two blocks have a byte in common, of whichever session they are."""
    end = 0
    for block, size in sorted(
        (b, len(data)) for model in models for b, data in model.blocks.items()
    ):
        assert block >= end
        end = block + size


@pytest.mark.parametrize("seed", range(4))
def test_any_order(seed):
    rng = random.Random(seed)
    first = SessionMemory()
    models = [Model(first, rng)]
    in_slot = 0
    for turn in range(4000):
        if len(models) < 6 and rng.random() < 0.01:
            models.append(Model(SessionMemory(first), rng))
        model = rng.choice(models)
        model.step()
        if turn % 50 == 0:
            apart(models)
        if turn % 200 == 0:
            model.check()
            assert first.figures()["slots"] == len(models)
        if model is not models[0] and rng.random() < 0.005:  # its connection has closed
            model.clear()
            in_slot += model.in_slot
            models.remove(model)
    apart(models)
    for model in models:
        model.check()
        model.clear()
        in_slot += model.in_slot
    assert in_slot > 250  # else it was malloc() that was looked at
    del model, models
    assert first.figures()["slots"] == 1


def test_what_nghttp2_asks_for_lies_in_the_slot():
    memory = SessionMemory()
    session = memory.calloc(1, SESSION)
    table = memory.calloc(512, 8)
    frames = memory.malloc(FRAMES)
    small = memory.malloc(1024)
    assert all(memory.room(block) for block in (session, table, frames))
    assert memory.room(small) == 0
    assert max(session, table, frames) - min(session, table, frames) < SLOT
    assert session // PAGE == frames // PAGE  # they share one
    for block in (session, table, frames, small):
        memory.free(block)


def test_a_slot_that_is_full():
    """What has no place in it is malloc()'s, and so is what does not fit any more."""
    memory = SessionMemory()
    first, second = memory.malloc(TABLE), memory.malloc(TABLE)
    assert (memory.room(first), memory.room(second)) == (PAGE, 0)
    write(first, b"x" * TABLE)
    moved = memory.realloc(first, 2 * TABLE)
    assert memory.room(moved) == 0
    assert ctypes.string_at(moved, TABLE) == b"x" * TABLE
    third = memory.malloc(TABLE)
    assert third == first
    for block in (second, moved, third):
        memory.free(block)
    memory.free(0)


@pytest.mark.skipif(SANITIZE, reason="AddressSanitizer takes it for a mistake")
def test_more_than_there_can_be():
    assert SessionMemory().calloc(2**33, 2**33) == 0


@pytest.mark.skipif(not SANITIZE, reason="AddressSanitizer is not there")
def test_the_sanitizer_knows_what_is_in_use():
    memory = SessionMemory()
    session = memory.malloc(SESSION - 8)
    assert memory.allowed(session, SESSION) == SESSION - 8
    assert memory.realloc(session, SESSION - 100) == session
    assert memory.allowed(session, SESSION) == SESSION - 100
    memory.free(session)
    assert memory.allowed(session, SESSION) == 0


@pytest.fixture
def table() -> Iterator[tuple[SessionMemory, int]]:
    memory = SessionMemory()
    block = memory.calloc(512, 8)
    yield memory, block
    memory.free(block)


@pytest.mark.parametrize(("at", "pages"), [(None, 1), (0, 2), (1, 2), (TABLE - 1, 2)])
def test_a_page_of_zeros_goes_back(table, at, pages):
    """Only then: it may be that the session has a stream after all."""
    memory, block = table
    data = bytearray(TABLE)
    if at is not None:
        data[at] = 1
    write(block, bytes(data))
    assert memory.figures()["pages"] == 2  # of the slot's head, too
    memory.rest()
    assert memory.figures()["pages"] == pages
    assert ctypes.string_at(block, TABLE) == data


def test_pages_go_back():
    """Some are kept for those who come."""
    first = SessionMemory()
    for _ in range(2):
        others = [SessionMemory(first) for _ in range(SPARE + 50)]
        for memory in others:
            blocks = [memory.malloc(size) for size in (SESSION, TABLE, FRAMES)]
            for block, size in zip(blocks, (SESSION, TABLE, FRAMES), strict=True):
                write(block, b"x" * size)
            for block in blocks:
                memory.free(block)
        figures = first.figures()
        assert figures["slots"] == len(others) + 1
        assert figures["pages"] == len(others) * 6 + 1
        del memory
        others.clear()
        figures = first.figures()
        assert (figures["slots"], figures["spare"]) == (1, SPARE)
        assert figures["pages"] == SPARE * 6 + 1


def test_what_is_no_block():
    memory = SessionMemory()
    block = memory.malloc(SESSION)
    with pytest.raises(ValueError, match="no block"):
        memory.free(block + 16)
    memory.free(block)
    with pytest.raises(ValueError, match="no block"):
        memory.realloc(block, 1)
