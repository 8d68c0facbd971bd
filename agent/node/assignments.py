"""Which assignments an agent follows, and which trials it makes. Pure, but for `keep_ca`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from streams.control import Assigned, Assignment, TrialAsked, as_object, decode
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


def seen_here(
    assigned: Assigned, services_host: str | None, keep_ca: Callable[[str], Path]
) -> Assigned:
    """Return it with S3 as this machine reaches it.

    On the manager's own computer that is at `services_host`, where it is known; `keep_ca` makes a
    file of a CA.
    """
    objects = assigned.objects
    access = objects.access.seen_from(services_host)
    if objects.ca is not None:
        access = replace(access, ca_file=str(keep_ca(objects.ca)))
    return assigned.model_copy(update={"objects": replace(objects, access=access)})
