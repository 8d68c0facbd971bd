"""What must come of programs in a sandbox (`sandbox: strict`): the same, with nothing in reach."""

from streams.definition import ProcessDefinition
from tests.agent.cases import Case, Dead, Outcome
from tests.agent.operating import PROGRAMS, defined, program

#: Writes where it may, tries what it may not, and says what came of it.
_TRIES = """
python3 - <<'TRIES'
import os, socket

def said(what, act):
    try:
        return f"{what}: {act()}"
    except OSError as error:
        return f"{what}: {os.strerror(error.errno)}"

def talk(address):
    with socket.create_connection(address, 1):
        return "reached"

def listen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return talk(server.getsockname())

print(said("root", lambda: open("/etc/passwd", "a")))
print(said("home", lambda: open("mine", "w").write("x")))
print(said("tmp", lambda: open("/tmp/mine", "w").write("x")))
print(said("sockets", lambda: os.listdir("/run")))
print(said("broker", lambda: talk(("127.0.0.1", 5672))))
print(said("elsewhere", lambda: talk(("10.0.2.2", 80))))
print(said("itself", listen))
print(said("processes", lambda: len([name for name in os.listdir("/proc") if name.isdigit()]) < 6))
print(said("root's rights", lambda: os.chroot("/")))
TRIES
"""
_TOLD = b"""\
root: Read-only file system
home: 1
tmp: 1
sockets: []
broker: Connection refused
elsewhere: Network is unreachable
itself: reached
processes: True
root's rights: Operation not permitted"""


def walled(exec_: str, **fields: object) -> ProcessDefinition:
    """Return a definition that asks for a sandbox."""
    return defined(exec_, sandbox="strict", **fields)


def ours(name: str, **fields: object) -> ProcessDefinition:
    """Return one of our programs in a sandbox; its folder shows it, wherever the checkout is."""
    return walled(program(name), argv=[], cwd=str(PROGRAMS), **fields)


def service(exec_: str, **fields: object) -> ProcessDefinition:
    """Return a service in a sandbox."""
    return walled(exec_, process_type="service", **{"settle_s": 0.5, **fields})


def our_service(name: str, **fields: object) -> ProcessDefinition:
    """Return one of our programs as a service in a sandbox."""
    return ours(name, process_type="service", **{"settle_s": 0.5, **fields})


def _was_acknowledged(outcome: Outcome) -> None:
    assert outcome.counters.acknowledged == len(outcome.sent)


SANDBOX = [
    Case(
        "in a sandbox there is no network, and nothing to write but its own",
        walled(_TRIES),
        ["x"],
        [_TOLD],
    ),
    Case(
        "what a program leaves in its own folder stays, what it leaves in /tmp goes",
        walled("echo >> kept; echo >> /tmp/gone; cat kept /tmp/gone | wc -l", concurrency=1),
        ["a", "b"],
        [b"2", b"3"],
    ),
    Case(
        "statuses pass through the sandbox",
        walled("read status; exit ${status% *}", retries=0),
        ["65 99", "9 99"],
        dead=[
            Dead(b"65 99", attempts=1, exit_status="65"),
            Dead(b"9 99", attempts=1, exit_status="9"),
        ],
    ),
    Case(
        "death by a signal is named in a sandbox, too",
        ours("dies_by_signal.sh", retries=0),
        ["SEGV", "KILL"],
        dead=[Dead(b"SEGV", "SIGSEGV", attempts=1), Dead(b"KILL", "SIGKILL", attempts=1)],
    ),
    Case(
        "a program in a sandbox may tidy up at the time-out",
        walled("trap 'echo tidy >&2; exit 0' TERM; sleep 60 & wait", timeout=0.5, retries=0),
        ["x"],
        dead=[Dead(b"x", "time", attempts=1, stderr="tidy")],
    ),
    Case(
        "one that ignores every signal in a sandbox is ended",
        ours("ignores_sigterm.py", timeout=1, retries=0),
        ["x"],
        dead=[Dead(b"x", "time", attempts=1)],
    ),
    Case(
        "a daemon in a sandbox ends with its program",
        ours("double_forks.py"),
        ["a", "b"],
        [b"answer", b"answer"],
    ),
    Case(
        "a command that isn't there, in a sandbox",
        walled("no-such-command-anywhere | cat; exit 127"),
        ["a"],
        failed="127",
        left=1,
    ),
    Case(
        "a service in a sandbox settles, and not by the clock",
        service("tr [a-z] [A-Z]", settle_s=600),
        ["abc", "def"],
        [b"ABC", b"DEF"],
        check=_was_acknowledged,
    ),
    Case(
        "a pipeline in a sandbox settles",
        service("grep --line-buffered a | tr a-z A-Z"),
        ["abc", "nothing", "cba"],
        [b"ABC", b"CBA"],
    ),
    Case(
        "a program in a sandbox that answers from another thread is waited for",
        our_service("threads.py"),
        ["a", "b", "c"],
        [b"A", b"B", b"C"],
    ),
    Case(
        "a poisonous message in a sandbox is found and given up",
        our_service("answers_lines.py", retries=1),
        ["a", "b", "die", "c", "d"],
        [b"A", b"B", b"C", b"D"],
        repeats=True,
        dead=[Dead(b"die", attempts=2)],
    ),
    Case(
        "one answer for each through a sandbox, the poisonous given up",
        our_service("answers_lines.py", replies="one", retries=0),
        ["a", "die-hard", "b"],
        [b"A", b"B"],
        dead=[Dead(b"die-hard", "SIGKILL", attempts=1)],
    ),
    Case(
        "a service in a sandbox that stays after its stdin ended is ended by the drain",
        our_service("never_ends.py"),
        ["a"],
        [b"a"],
        drain_s=1,
    ),
]
