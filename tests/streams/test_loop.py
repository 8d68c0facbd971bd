"""The event loop over pipes."""

import os
import time

from streams.broker import EventLoop


def _cpu_of(loop: EventLoop) -> float:
    loop.call_later(5, loop.stop)
    start_s = time.process_time()
    loop.run()
    loop.close()
    return time.process_time() - start_s


def test_the_end_of_an_empty_pipe_is_read_without_a_busy_wait() -> None:
    loop, got = EventLoop(), list[bytes]()
    reader, writer = os.pipe()

    def read() -> None:
        got.append(os.read(reader, 10))
        loop.unwatch(reader)
        loop.stop()

    loop.watch(reader, read=read)
    loop.call_later(0.1, lambda: os.close(writer))
    assert _cpu_of(loop) < 0.1
    assert got == [b""]
    os.close(reader)


def test_a_full_pipe_whose_reader_is_gone_is_told_to_its_writer() -> None:
    loop, broken = EventLoop(), list[bool]()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def write() -> None:
        try:
            os.write(writer, b"x" * 65536)  # fills it
            loop.call_later(0.05, lambda: os.close(reader))
        except BrokenPipeError:
            broken.append(True)
            loop.unwatch(writer)
            loop.stop()

    loop.watch(writer, write=write)
    _cpu_of(loop)
    assert broken == [True]
    os.close(writer)


def test_what_is_watched_may_change_inside_a_callback() -> None:
    loop, seen = EventLoop(), list[str]()
    reader, writer = os.pipe()

    def read() -> None:
        seen.append(os.read(reader, 10).decode())
        loop.watch(reader)
        loop.stop()

    def write() -> None:
        os.write(writer, b"x")
        loop.unwatch(writer)

    loop.watch(reader, read=read)
    loop.watch(writer, write=write)
    _cpu_of(loop)
    assert seen == ["x"]
    os.close(reader)
    os.close(writer)


def test_run_until_may_be_called_again() -> None:
    loop, count = EventLoop(), [0]

    def tick() -> None:
        count[0] += 1
        loop.call_later(0.001, tick)

    tick()
    loop.run_until(lambda: count[0] >= 3)
    assert count[0] == 3
    loop.run_until(lambda: count[0] >= 5)
    assert count[0] == 5
    loop.close()
