"""Waiting in tests: look again until it is so, never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def eventually(probe: Callable[[], T], *, within_s: float = 15.0, what: str = "") -> T:
    """Return the first truthy value of `probe`, or fail."""
    deadline = time.monotonic() + within_s
    while not (value := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"not so within {within_s:g} s: {what or probe}")
        time.sleep(0.02)
    return value
