"""Signals on the loop."""

import os
import signal

from streams.broker import EventLoop, Signals


def test_each_signal_is_told_from_the_loop_and_its_old_handler_comes_back() -> None:
    loop, heard = EventLoop(), list[str]()
    before = signal.getsignal(signal.SIGUSR1)

    def ended() -> None:
        heard.append("term")
        loop.stop()

    with Signals(loop, {signal.SIGUSR1: lambda: heard.append("usr1")}) as signals:
        signals.on(signal.SIGTERM, ended)
        for number in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert heard == []
        loop.run()
    loop.close()
    assert sorted(heard) == ["term", "usr1", "usr1"]
    assert signal.getsignal(signal.SIGUSR1) is before
