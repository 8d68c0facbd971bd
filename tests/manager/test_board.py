"""What changed, for those who are told."""

from datetime import UTC, datetime

from manager.board import Board, Load
from manager.model import OperationState, Operator
from manager.reconcile.verdicts import Verdict
from streams.control import OperatorReport, OperatorState


def _told(board: Board, dead: int, now_s: float) -> list[tuple[str, int, int]]:
    events = board.see_dead_letters({"op": (0, dead)}, now_s=now_s)
    return [(e.name, e.fields["more"], e.fields["dead_letters"]) for e in events]


def test_dead_letters_are_told_of_when_there_are_more_but_not_over_and_over() -> None:
    board = Board()
    assert _told(board, 2, 0.0) == []  # there before this manager began
    assert _told(board, 5, 10.0) == [("op", 3, 5)]
    assert _told(board, 9, 20.0) == []
    assert _told(board, 9, 71.0) == [("op", 4, 9)]
    assert _told(board, 1, 80.0) == []  # some were sent back
    assert _told(board, 2, 200.0) == [("op", 1, 2)]


def test_what_runs_since_before_this_manager_began_is_shown_so() -> None:
    board, started_at = Board(), 1_000_000.0
    report = OperatorReport(
        operation="op", revision=1, state=OperatorState.RUNNING, started_at=started_at
    )
    running = Verdict(OperationState.RUNNING, "")
    board.judge({"op": running}, Load({"op": [Operator("n1", report)]}))
    assert board.statuses["op"].since == datetime.fromtimestamp(started_at, UTC)
    board.judge({"op": Verdict(OperationState.IDLE, "")}, Load())
    board.judge({"op": running}, Load({"op": [Operator("n1", report)]}))
    since = board.statuses["op"].since
    assert since is not None
    assert since.timestamp() > started_at
