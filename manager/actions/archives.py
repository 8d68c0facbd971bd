"""Archives of streams, and replays."""

from manager import archives
from manager.actions.noting import note
from manager.model import Archive, User
from manager.replays.request import ReplayRequest
from manager.replays.state import Replay, ReplayState
from manager.roles import must_make, must_own
from manager.services import Services


def begin_archive(
    services: Services, user: User, stream: str, *, passive: bool, keep_days: float | None
) -> bool:
    """Begin to archive a stream, or change how it is archived; say whether it is begun now."""
    must_make(user)
    services.store.get_stream(stream)
    if found := services.store.find_archive(stream):
        must_own(user, found.owner, f"the archive of stream {stream!r}")
    begun = archives.begin(services, stream, user.name, passive=passive, keep_days=keep_days)
    event = "archive.begun" if begun else "archive.changed"
    note(services, user, event, stream, passive=passive, keep_days=keep_days)
    return begun


def stop_archive(services: Services, user: User, stream: str) -> Archive:
    """Stop archiving: what waits is stored, then its state is `stopped`. Segments stay."""
    owner = services.store.get_archive(stream).owner
    must_own(user, owner, f"the archive of stream {stream!r}")
    archives.stop(services, stream)
    note(services, user, "archive.ended", stream)
    return services.store.get_archive(stream)


def create_replay(services: Services, user: User, request: ReplayRequest) -> Replay:
    """Play a stream's archive onto it again, or onto another stream of the user's."""
    services.store.get_stream(request.stream)
    onto = services.store.get_stream(request.onto)
    must_own(user, onto.owner, f"stream {request.onto!r}")
    services.runtime.place.must_hold(request.stream)
    replay = services.store.create_replay(request, user.name)
    note(services, user, "replay.created", request.id, stream=request.stream, onto=request.onto)
    return replay


def ask_replay(
    services: Services, user: User, stream: str, replay: str, state: ReplayState
) -> Replay:
    """Pause a replay, or let it go on where it was."""
    must_own(user, services.store.get_replay(stream, replay).owner, f"replay {replay}")
    changed = services.store.ask_replay(stream, replay, state)
    note(services, user, f"replay.{_ASKED[state]}", replay, stream=stream)
    return changed


def cancel_replay(services: Services, user: User, stream: str, replay: str) -> None:
    """Cancel a replay, and forget it; what was played stays played."""
    must_own(user, services.store.get_replay(stream, replay).owner, f"replay {replay}")
    services.store.delete_replay(stream, replay)
    note(services, user, "replay.cancelled", replay, stream=stream)


_ASKED = {ReplayState.PAUSED: "paused", ReplayState.RUNNING: "resumed"}
