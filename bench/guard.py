"""Did a change make the hot path slower? `make bench-guard`, in half a minute, on any machine.

Counted are the instructions (by callgrind, so that what else runs doesn't matter) of one message
through the parts that need no broker: decoded, framed, unframed, encoded, entered and acknowledged.
Set against the same work in pika's own coding, which makes it independent of how Python was built.
The share is compared with what is committed in guard.json; `--keep` writes that anew.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pika import frame, spec

from agent.operator.ledger import Ledger
from streams.broker import codec
from streams.framing import Decoder, Framing, encode
from streams.message import PUBLISHED_US, MessageIds, now_us

_KEPT = Path(__file__).with_name("guard.json")
_WORSE = 1.2
_COUNT, _WINDOW = 2000, 100
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
            found = codec.delivery(window, at)
            if found is None:
                raise RuntimeError("a delivery wasn't understood")
            at = found[3]
            ledger.receive(tag)
            fed += encode(Framing.LINES, found[2].body)
        for tag, line in enumerate(decoder.feed(fed), first + 1):
            encoder.encode("streams.b", "", _properties(ids), line, mandatory=True)
            ledger.done(tag)
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


def main() -> int:
    """Compare, or keep."""
    if sys.argv[1:2] == ["--work"]:
        {"ours": ours, "pikas": pikas}[sys.argv[2]](int(sys.argv[3]))
        return 0
    share = _instructions("ours") / _instructions("pikas")
    if sys.argv[1:] == ["--keep"]:
        _KEPT.write_text(json.dumps({"share_of_pikas_instructions": round(share, 3)}) + "\n")
    kept = json.loads(_KEPT.read_text())["share_of_pikas_instructions"]
    print(f"a message takes {share:.3f} of the instructions that pika's coding takes; was {kept}")
    if share > _WORSE * kept:
        print("that is worse by more than a fifth: see bench/guard.py", file=sys.stderr)
        return 1
    return 0


def _instructions(work: str) -> float:
    """Return those of one message: of many, less what starting takes."""
    return (_counted(work, _COUNT) - _counted(work, 0)) / _COUNT


def _counted(work: str, count: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        program = [sys.executable, "-m", "bench.guard", "--work", work, str(count)]
        subprocess.run([*command, *program], check=True, capture_output=True)
        written = Path(folder, "out").read_text(encoding="utf-8")
    found = re.search(r"^(?:summary|totals): (\d+)", written, re.MULTILINE)
    if found is None:
        raise RuntimeError("valgrind counted nothing")
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
