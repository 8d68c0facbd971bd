"""`try`: a definition's program on the desk, exactly as an agent would run it."""

import difflib
import json
import os
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.definition import ProcessDefinition, ProcessType, Replies
from streams.errors import DefinitionError, StreamsError
from streams.framing import Decoder, Framing, encode
from tools import console

if TYPE_CHECKING:
    from agent.trial import Trial

app = typer.Typer()

#: How long to wait for stdin before the program is looked after again.
_MOMENT_S = 0.02
_PIECE_BYTES = 64 * 1024
#: More failures than this aren't told one by one.
_MOST_TOLD = 5

HELD_BACK = (
    "the program kept its output to itself until its input ended, which an operation's never does:"
    " its stdout is block-buffered. Flush it after each message (print(..., flush=True),"
    " fflush(stdout), $| = 1), or let the program write line by line: 'python3 -u',"
    " 'grep --line-buffered', 'sed -u', 'jq --unbuffered', or 'stdbuf -oL PROGRAM'"
)
ONE_TO_ONE = (
    'each message got one answer: with "replies": "one" in the definition an operation'
    " acknowledges each by its own answer, and loses nothing when the program is killed"
)


@app.command("try")
def try_(  # noqa: PLR0917 - a command line
    file: Annotated[Path, typer.Argument(metavar="DEFINITION.json")],
    expect: Annotated[Path | None, typer.Option(help="What should come out; compared.")] = None,
    framing: Annotated[Framing, typer.Option(help="Of stdin and stdout.")] = Framing.LINES,
    whole: Annotated[bool, typer.Option("--whole", help="All of stdin is one message.")] = False,  # noqa: FBT002 - a flag
    content_type: Annotated[str | None, typer.Option(help="Of every message.")] = None,
    on_node: Annotated[bool, typer.Option("--on-node", help="On a node that offers it.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,  # noqa: FBT002
) -> None:
    """Run a definition's program on stdin, exactly as an agent would; needs no broker.

    Each line is a message, as for `publish`. Answers come on stdout, the program's stderr, its
    exit status and how long it took on stderr.

    Example: echo hello | streamboss try definition.json

    With --on-node a node that offers the definition's application runs it, for at most 30 s a
    message; the manager is asked, and nothing is registered.

    Example: streamboss try thumbnail.json --whole < picture.png > small.png
    """
    from agent import trial
    from tools.commands.node_trial import try_on_node

    definition = _definition(file)
    expected = None if expect is None else _expected(expect, framing, whole=whole)
    kind = content_type or ("application/octet-stream" if whole else trial.TEXT)
    if sys.stdin.isatty():
        console.say("type messages, one a line; ^D ends")
    stdin = sys.stdin.fileno()
    messages = _one_message(stdin) if whole else _messages(stdin, framing)
    write = _as_json if as_json else _plainly(framing, whole=whole)
    if on_node:
        if expect is not None:
            raise typer.BadParameter("--expect goes without --on-node, which cuts long outputs")
        raise typer.Exit(try_on_node(definition, messages, kind, write, as_json=as_json))
    result = trial.run(definition, messages, content_type=kind, on_output=write)
    if as_json:
        console.put(json.dumps(_summary(result)))
    else:
        _tell(definition, result)
    if expected is not None and result.outputs != expected:
        _compare(expect, expected, result.outputs)
        raise typer.Exit(1)
    if not result.ok:
        raise typer.Exit(1)


def _definition(file: Path) -> ProcessDefinition:
    try:
        return ProcessDefinition.from_document(file.read_bytes())
    except OSError as error:
        raise DefinitionError([f"{file}: {error.strerror}"]) from None
    except DefinitionError as error:
        raise DefinitionError([f"{file}: {problem}" for problem in error.problems]) from None


def _expected(file: Path, framing: Framing, *, whole: bool) -> list[bytes]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StreamsError(f"{file}: {error.strerror}") from None
    if whole:
        return [content] if content else []
    decoder = Decoder(framing)
    messages = decoder.feed(content)
    last = decoder.finish()
    return list(filter(None, [*messages, last]))


def _messages(stdin: int, framing: Framing) -> Iterator[bytes | None]:
    """Yield stdin's messages as they come; None when there is nothing just now."""
    decoder = Decoder(framing)
    while True:
        if not select.select([stdin], [], [], _MOMENT_S)[0]:
            yield None
        elif data := os.read(stdin, _PIECE_BYTES):
            yield from decoder.feed(data)
        else:
            break
    last = decoder.finish()
    if last is not None:
        yield last


def _one_message(stdin: int) -> Iterator[bytes | None]:
    content = bytearray()
    while data := os.read(stdin, _PIECE_BYTES):
        content += data
    yield bytes(content)


# what came out


def _plainly(framing: Framing, *, whole: bool) -> Callable[[bytes], None]:
    """Return what writes a message to stdout; a terminal gets no binary."""
    terminal = sys.stdout.isatty()

    def write(body: bytes) -> None:
        shown = body if whole else encode(framing, body)
        if terminal and console.text_of(body) is None:
            shown = f"({len(body)} bytes that aren't text)\n".encode()
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()

    return write


def _as_json(body: bytes) -> None:
    text = console.text_of(body)
    console.put(json.dumps({"body_hex": body.hex()} if text is None else {"body": text}))


def _summary(result: "Trial") -> dict[str, Any]:
    from agent.judgement import reason

    runs = [
        {
            "exit_status": run.exit.label if run.exit else None,
            "problem": reason(run),
            "seconds": round(run.seconds, 6),
            "stderr": run.stderr,
        }
        for run in result.runs
    ]
    return {
        "ok": result.ok,
        "inputs": result.inputs,
        "outputs": len(result.outputs),
        "seconds": round(result.seconds, 6),
        "held_back": result.held_back,
        "runs": runs,
    }


# what there is to say


def _tell(definition: ProcessDefinition, result: "Trial") -> None:
    from agent.judgement import outcome, reason

    for text in filter(None, dict.fromkeys(run.stderr for run in result.runs)):
        console.say(text.rstrip("\n"))
    failed = [(n, run) for n, run in enumerate(result.runs, start=1) if not run.ok]
    single = definition.process_type is ProcessType.SINGLE and result.inputs > 0
    for number, run in failed[:_MOST_TOLD]:
        where = f"message {number}: " if single else ""
        console.say(f"failed: {where}{reason(run)}: {outcome(definition, run)}")
    if len(failed) > _MOST_TOLD:
        console.say(f"failed: {len(failed) - _MOST_TOLD} more")
    console.say(_timing(result, single=single))
    if result.held_back:
        console.say(f"note: {HELD_BACK}")
    elif _answers_one_to_one(definition, result):
        console.say(f"note: {ONE_TO_ONE}")


def _timing(result: "Trial", *, single: bool) -> str:
    counts = f"{result.inputs} in, {len(result.outputs)} out, {result.seconds:.3f} s"
    statuses = sorted({run.exit.text for run in result.runs if run.exit})
    counts += f"; {', '.join(statuses)}" if statuses else ""
    if not single or not result.runs:
        return counts
    times = sorted(run.seconds * 1000 for run in result.runs)
    return f"{counts}; {times[len(times) // 2]:.1f} ms each, {times[-1]:.1f} ms the longest"


def _answers_one_to_one(definition: ProcessDefinition, result: "Trial") -> bool:
    return (
        definition.process_type is ProcessType.SERVICE
        and definition.replies is Replies.ANY
        and result.ok
        and result.inputs == len(result.outputs) > 1
    )


def _compare(file: Path | None, expected: Sequence[bytes], came: Sequence[bytes]) -> None:
    """Show the difference on stderr."""
    lines = difflib.unified_diff(
        [_line(body) for body in expected],
        [_line(body) for body in came],
        fromfile=str(file),
        tofile="what came",
        lineterm="",
    )
    console.say("failed: not what was expected")
    for line in lines:
        console.say(line)


def _line(body: bytes) -> str:
    return body.decode(errors="backslashreplace").replace("\n", "\\n")
