"""What a kind of cloud can do, and what we do instead where it can't: chosen here, said aloud."""

from enum import StrEnum


class Capability(StrEnum):
    """One thing that a cloud's interface offers."""

    SNAPSHOT = "snapshot"  # an image from a machine
    TAGS = "tags"  # on machines and images, from the creating call on
    RETAG = "retag"  # tags that can change later
    FILTERS = "filters"  # lists only what is asked for
    CLIENT_TOKEN = "client token"  # noqa: S105 the same creating call twice makes one machine
    LEASE = "lease"  # the cloud itself ends a machine in time
    USER_DATA = "user data"
    STOP = "stop"  # and start again
    KEY_PAIRS = "key pairs"  # a public key that the cloud puts on machines
    FIREWALL = "firewall"  # security groups
    CONSOLE = "console"  # what a machine wrote while it booted


_C = Capability
_EC2 = frozenset(_C) - {_C.LEASE}

LOCAL = frozenset({_C.SNAPSHOT, _C.TAGS, _C.RETAG, _C.USER_DATA, _C.STOP, _C.CONSOLE})
NIMBUS = frozenset({_C.CLIENT_TOKEN, _C.USER_DATA, _C.KEY_PAIRS, _C.LEASE})
#: What cloud-client adds to Nimbus' EC2 front end.
CLOUD_CLIENT = frozenset({_C.SNAPSHOT})
EC2 = _EC2
EUCALYPTUS = _EC2 - {_C.FILTERS, _C.CLIENT_TOKEN}
OPENSTACK = _EC2 - {_C.FILTERS, _C.CLIENT_TOKEN}

#: Said when a cloud lacks something: what happens instead, or what doesn't work.
SUBSTITUTES = {
    _C.SNAPSHOT: "machines can't be saved as images here",
    _C.TAGS: "what is ours is known by its client token or name; leases and tags are kept in"
    " the journal on this computer",
    _C.RETAG: "a lease that changes is kept in the journal on this computer",
    _C.FILTERS: "everything is listed, and what isn't ours is left out here",
    _C.CLIENT_TOKEN: "a launch whose answer was lost is looked for before it is tried again",
    _C.LEASE: "machines end by their own timer and by collect_garbage, not by the cloud",
    _C.USER_DATA: "machines are configured over ssh after they have started",
    _C.STOP: "machines can't be stopped and started again, only terminated",
    _C.KEY_PAIRS: "the ssh key reaches a machine by its user data",
    _C.FIREWALL: "whoever runs the cloud decides from where ssh is let in",
    _C.CONSOLE: "host keys are taken at first contact: the cloud shows no console",
}


def explain(has: frozenset[Capability]) -> list[str]:
    """Return a line for each capability that is missing: what is done instead."""
    instead = dict(SUBSTITUTES)
    if Capability.LEASE in has:
        instead[Capability.RETAG] = "machines keep the lease that they were launched with"
    return [f"no {lack}: {instead[lack]}" for lack in Capability if lack not in has]
