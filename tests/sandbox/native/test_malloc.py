"""Free memory goes back to the system where the C library can return it."""

import pytest

from app.allocator import configure_allocator
from app.sandbox.native import malloc
from app.sandbox.native.malloc import FreeMemory
from tests.sandbox.native.engines import TURNED_OFF


def test_free_memory_is_returned() -> None:
    free_memory = FreeMemory()

    assert free_memory.state == "on"
    free_memory.release(keep_bytes=0)


def test_a_c_library_without_it_keeps_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(malloc, "_NAME", "missing")
    free_memory = FreeMemory()

    assert free_memory.state == "off: the C library does not export missing"
    free_memory.release(keep_bytes=0)


def test_the_setting_turns_it_off() -> None:
    assert configure_allocator(native=False) == TURNED_OFF
    assert configure_allocator(native=True) == "on"
