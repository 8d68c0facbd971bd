"""What failures mean, at what pace calls go, and for how long something is waited for."""

import threading
from collections.abc import Callable

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import InvalidCredsError, MalformedResponseError

from provision.calling import Caller, Pace
from provision.classify import classify, failure
from provision.errors import Kind, ProvisionError, WaitTimeoutError
from provision.waiting import Shared, wait_until


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BaseHTTPError(503, "RequestLimitExceeded: slow down"), Kind.RETRY),
        (BaseHTTPError(400, "Throttling: Rate exceeded"), Kind.RETRY),
        (BaseHTTPError(500, "InternalError: sorry"), Kind.RETRY),
        (BaseHTTPError(502, "<html>"), Kind.RETRY),
        (BaseHTTPError(400, "DependencyViolation: in use"), Kind.RETRY),
        (BaseHTTPError(500, "InsufficientInstanceCapacity: full"), Kind.CAPACITY),
        (BaseHTTPError(400, "InstanceLimitExceeded: 20 at most"), Kind.CAPACITY),
        (BaseHTTPError(400, "VcpuLimitExceeded: 32 at most"), Kind.CAPACITY),
        (BaseHTTPError(403, "Quota exceeded for cores"), Kind.CAPACITY),
        (BaseHTTPError(500, "No valid host was found"), Kind.CAPACITY),
        (BaseHTTPError(400, "InvalidInstanceID.NotFound: i-1"), Kind.GONE),
        (BaseHTTPError(400, "InvalidAMIID.Unavailable: ami-1"), Kind.GONE),
        (BaseHTTPError(404, "not here"), Kind.GONE),
        (BaseHTTPError(400, "InvalidAMIID.Malformed: x"), Kind.FATAL),
        (BaseHTTPError(400, "InvalidKeyPair.Format: x"), Kind.FATAL),
        (BaseHTTPError(400, "InvalidParameterValue: x"), Kind.FATAL),
        (BaseHTTPError(403, "no"), Kind.AUTH),
        (BaseHTTPError(400, "UnauthorizedOperation: no"), Kind.AUTH),
        (InvalidCredsError("no"), Kind.AUTH),
        (RateLimitReachedError(), Kind.RETRY),
        (MalformedResponseError("x"), Kind.RETRY),
        (requests.ConnectionError("x"), Kind.RETRY),
        (requests.exceptions.SSLError("x"), Kind.FATAL),
        (TimeoutError(), Kind.RETRY),
        (ProvisionError("x", Kind.CAPACITY), Kind.CAPACITY),
        (ValueError("x"), Kind.FATAL),
    ],
)
def test_each_failure_is_of_a_kind(error: Exception, kind: Kind) -> None:
    assert classify(error) is kind


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("HTTPConnectionPool: /?UserData=hidden&Signature=hidden"),
        requests.Timeout("/?UserData=hidden"),
        requests.exceptions.SSLError("/?UserData=hidden"),
        MalformedResponseError("x", body="hidden"),
    ],
)
def test_an_address_with_its_query_is_never_shown(error: Exception) -> None:
    said = str(failure("moto", "launch m", error))
    assert said.startswith("moto: launch m: ")
    assert "hidden" not in said
    assert "\n" not in said


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    def bug() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        Caller("moto", calls_per_s=100).repeat("look", bug)


def test_what_a_driver_raises_as_plain_exception_is_one_line() -> None:
    def refuse() -> None:
        raise Exception("Failure:\n  no such plan")  # noqa: TRY002 as some of libcloud's do

    with pytest.raises(ProvisionError, match="moto: look: Failure: no such plan"):
        Caller("moto", calls_per_s=100).repeat("look", refuse)


def test_what_doesnt_pass_by_itself_is_asked_once() -> None:
    asked = list[int]()

    def refuse() -> None:
        asked.append(1)
        raise BaseHTTPError(400, "InvalidParameterValue: x")

    with pytest.raises(ProvisionError, match="moto: look: InvalidParameterValue: x"):
        Caller("moto", calls_per_s=100).repeat("look", refuse)
    assert len(asked) == 1


@given(st.floats(0.5, 50), st.integers(1, 200))
def test_no_more_calls_than_the_pace_allows(per_s: float, calls: int) -> None:
    clock = Clock()
    pace = Pace(per_s, clock)
    for _ in range(calls):
        pace.take()
    burst = max(1, per_s)
    assert clock.now >= (calls - burst) / per_s - 1e-6
    assert clock.now <= max(0, (calls - burst + 1) / per_s) + 1e-6


def test_a_wait_looks_a_last_time_at_its_deadline() -> None:
    clock = Clock()
    assert wait_until(
        lambda: True if clock.now >= 10 else None, what="x", timeout_s=10, clock=clock
    )
    with pytest.raises(WaitTimeoutError, match="x: not so after 5 s"):
        wait_until(lambda: None, what="x", timeout_s=5, clock=clock)


def test_threads_that_ask_at_once_share_calls_and_none_gets_an_old_answer() -> None:
    asked = list[int]()
    gate = threading.Event()

    def ask() -> int:
        asked.append(len(asked))
        gate.wait(5)
        return asked[-1]

    shared: Shared[int] = Shared(ask)
    answers = list[int]()
    threads = [threading.Thread(target=_append(answers, shared.get)) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    latest = len(asked)
    assert shared.get() == latest, "a later question is asked anew"


def _append(answers: list[int], get: Callable[[], int]) -> Callable[[], None]:
    return lambda: answers.append(get())
