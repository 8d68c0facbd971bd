"""Which assignments an agent follows. Pure."""

from streams.control import Assignment, decode
from streams.errors import ControlError


def accepted(raw: bytes, *, node: str, incarnation: str, term: int) -> Assignment | None:
    """Return the assignment if it is for this agent; None if it is for an earlier incarnation.

    Raises:
        ControlError: it can't be understood, or comes from a leader of an older term than `term`,
            the highest seen.
    """
    assignment = decode(Assignment, raw)
    if assignment.node != node or assignment.incarnation != incarnation:
        return None
    if assignment.term < term:
        raise ControlError(
            f"an assignment of term {assignment.term}: refused, term {term} was seen already"
        )
    return assignment
