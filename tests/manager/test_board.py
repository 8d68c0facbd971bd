"""What changed, for those who are told."""

from manager.board import Board


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
