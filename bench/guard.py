"""Did a change make the hot path slower? `make bench-guard`, in half a minute on a quiet machine.

Counted are the instructions (by cachegrind, so that what else runs doesn't matter) of one message
through the parts that need no broker: decoded, framed, unframed, encoded, entered and acknowledged.
Set against the same work in pika's own coding, which makes it independent of how Python was built.
The share is compared with what is committed in guard.json; `--keep` writes that anew.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pika import frame, spec

from agent.operator.ledger import Ledger
from streams.broker import arrivals, codec
from streams.framing import Decoder, Framing, encode
from streams.message import PUBLISHED_US, MessageIds, now_us

Work = Callable[[int], None]

_KEPT = Path(__file__).with_name("guard.json")
_WORSE = 1.2
_COUNT, _WINDOW = 1000, 100
_BODY = b"x" * 100


def _properties(ids: MessageIds) -> codec.Outgoing:
    us = now_us()
    return codec.Outgoing("text/plain", {PUBLISHED_US: us}, ids.next(), None, us // 1_000_000)


def _frames(properties: codec.Outgoing, method: frame.Method[spec.Basic.Deliver]) -> bytes:
    header = frame.Header(1, len(_BODY), properties).marshal()
    return method.marshal() + header + frame.Body(1, _BODY).marshal()


def ours(count: int) -> None:
    """Take messages through, a window at a time."""
    ids, ledger, decoder = MessageIds(), Ledger(), Decoder(Framing.LINES)
    encoder = codec.Encoder(1, 131_064)
    deliver = spec.Basic.Deliver("ctag1.0123456789abcdef", 1, False, "streams.a", "")  # noqa: FBT003
    window = _frames(_properties(ids), frame.Method(1, deliver)) * _WINDOW
    for first in range(0, count, _WINDOW):
        at, fed = 0, b""
        for tag in range(first + 1, first + _WINDOW + 1):
            found = arrivals.delivery(window, at)
            if found is None:
                raise RuntimeError("a delivery wasn't understood")
            at = found[3]
            ledger.receive(tag)
            fed += encode(Framing.LINES, found[2].body)
        lines = decoder.feed(fed)
        encoder.encode_alike(
            "streams.b", "", _properties(ids), ids.several(_WINDOW), lines, mandatory=True
        )
        ledger.done(range(first + 1, first + _WINDOW + 1))
        ledger.due()


def pikas(count: int) -> None:
    """Decode and encode as many messages as pika does."""
    ids = MessageIds()
    deliver = spec.Basic.Deliver("ctag1.0123456789abcdef", 1, False, "streams.a", "")  # noqa: FBT003
    came = _frames(_properties(ids), frame.Method(1, deliver))
    publish = frame.Method(1, spec.Basic.Publish(exchange="streams.b", mandatory=True))
    for _ in range(count):
        at = 0
        while at < len(came):
            at += frame.decode_frame(came[at:])[0]
        publish.marshal()
        frame.Header(1, len(_BODY), _properties(ids)).marshal()
        frame.Body(1, _BODY).marshal()


def nothing(_count: int) -> None:
    """Do nothing: what everybody took before."""


_WORKS: tuple[Work, ...] = (nothing, ours, pikas)


def main() -> int:
    """Compare, or keep."""
    if sys.argv[1:2] == ["--work"]:
        _work(Path(sys.argv[2]))
        return 0
    counted = _counted()
    share = (counted[ours] - counted[nothing]) / (counted[pikas] - counted[nothing])
    if sys.argv[1:] == ["--keep"]:
        _KEPT.write_text(json.dumps({"share_of_pikas_instructions": round(share, 3)}) + "\n")
    kept = json.loads(_KEPT.read_text())["share_of_pikas_instructions"]
    print(f"a message takes {share:.3f} of the instructions that pika's coding takes; was {kept}")
    if share > _WORSE * kept:
        print("that is worse by more than a fifth: see bench/guard.py", file=sys.stderr)
        return 1
    return 0


def _work(folder: Path) -> None:
    """Do each work in a child of its own, so that starting is paid once, and note which it was."""
    for work in _WORKS:
        child = os.fork()
        if not child:
            work(_COUNT)
            return
        os.waitpid(child, 0)
        (folder / work.__name__).write_text(str(child))


def _counted() -> dict[Work, int]:
    """Return the instructions of each work, those of starting included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no"]
        command += [f"--cachegrind-out-file={folder}/%p", sys.executable, "-m", "bench.guard"]
        subprocess.run([*command, "--work", folder], check=True, capture_output=True)
        return {work: _total(folder / (folder / work.__name__).read_text()) for work in _WORKS}


def _total(written: Path) -> int:
    found = re.search(r"^summary: (\d+)", written.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError("valgrind counted nothing")
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
