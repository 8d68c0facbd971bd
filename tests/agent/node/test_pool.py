"""The pool's own watch over its processes: real operators, connected to a real broker."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.node import pool
from agent.node.config import AgentConfig
from agent.node.isolation import Isolation
from agent.node.pool import Ground, Pool
from agent.node.scratch import Scratch
from streams.broker import EventLoop
from streams.settings import Settings

BEAT_S = 0.4


def test_an_operator_that_hangs_while_connected_is_ended_and_others_are_not(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two operator processes, connected, that beat quickly
    monkeypatch.setattr(pool, "BEAT_S", BEAT_S)
    loop, ended = EventLoop(), list[int]()
    config = AgentConfig(name="n", amqp_urls=settings.need_amqp())
    processes = Pool(
        loop,
        Ground(config, Scratch(tmp_path, "n"), Isolation()),
        on_said=lambda _process, _said: None,
        on_ended=lambda process, _status: ended.append(process.pid),
        on_room=lambda: None,
    )
    hanging, healthy = processes.take(), processes.take()
    assert hanging
    assert healthy

    def until(done: Callable[[], bool], within_s: float) -> bool:
        """Turn the loop until `done()` or the time is up."""
        deadline = time.monotonic() + within_s

        def look() -> None:
            processes.reap()
            if done() or time.monotonic() > deadline:
                loop.stop()
            else:
                loop.call_later(0.05, look)

        loop.call_later(0, look)  # not at once: `run` forgets a stop that came before it
        loop.run()
        return done()

    try:
        assert until(lambda: hanging.ready and healthy.ready, pool.READY_S)
        # When one is stopped, it is ended, and the other goes on for as long again
        os.kill(hanging.pid, signal.SIGSTOP)
        assert until(lambda: ended == [hanging.pid], 10)
        assert "said nothing for 2.4 s" in hanging.fault
        assert not until(lambda: healthy.pid in ended, 2 * pool.SILENT_LOOKS * BEAT_S)
    finally:
        processes.kill()
        until(lambda: processes.empty, 10)
