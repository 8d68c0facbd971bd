"""Which assignments an agent follows, and which trials it makes. Pure."""

from dataclasses import replace

from streams.control import Assigned, Assignment, TrialAsked, as_object, decode
from streams.errors import ControlError


def accepted(
    raw: bytes, *, node: str, incarnation: str, term: int, services_host: str | None = None
) -> Assignment | None:
    """Return the assignment if it is for this agent; None if it is for an earlier incarnation.

    S3 on the manager's own computer is at `services_host`, where that is known.

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
    told = [_seen_from(services_host, assigned) for assigned in assignment.operations]
    return assignment.model_copy(update={"operations": tuple(told)})


def asked_trial(raw: bytes, *, node: str) -> TrialAsked | None:
    """Return the trial that is asked of this node; None: it is something else.

    Raises:
        ControlError: it can't be understood.
    """
    if as_object(raw).get("kind") != "try":
        return None
    asked = decode(TrialAsked, raw)
    if asked.node != node:
        raise ControlError(f"a trial for node {asked.node!r}: refused")
    return asked


def _seen_from(services_host: str | None, assigned: Assigned) -> Assigned:
    access = assigned.objects.access.seen_from(services_host)
    return assigned.model_copy(update={"objects": replace(assigned.objects, access=access)})
