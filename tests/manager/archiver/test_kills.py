"""SIGKILL between any two steps: nothing lost, nothing doubled."""

from random import Random

import pytest

from streams.message import Message
from tests.manager.archiver.hurried import STEPS
from tests.manager.archiver.recording import Recording
from tests.streams.archive.messages import ON_THE_WIRE

_SEED = 20261125


def _batch(number: int) -> list[Message]:
    """Messages of every kind, each batch with some of its own."""
    return [
        Message(b"with an id %d" % number, message_id=f"id-{number}", headers=ON_THE_WIRE),
        Message(b"without %d" % number),
        *[Message(b"tick")] * 3,
        Message(b"", message_id=f"empty-{number}"),
    ]


def _kill_at(recording: Recording, steps: list[tuple[str, int]], chance: Random) -> None:
    recording.begin("s")
    sent: list[Message] = []

    def publish() -> None:
        batch = _batch(len(sent))
        recording.publish("s", batch)
        sent.extend(batch)

    for step, times in steps:
        publish()
        # one that has something stored comes to each step again and again
        doomed = recording.hurried(step, times)
        assert doomed.process is not None
        while doomed.process.poll() is None:
            publish()
            recording.session.connection.sleep(chance.uniform(0.05, 0.4))
        assert doomed.process.returncode == -9, step
    survivor = recording.hurried()
    publish()
    recording.wait_stored("s", len(sent))
    recording.finish(survivor)
    assert [r.body for r in recording.records("s")] == [m.body for m in sent]
    assert [r.body for r in recording.replayed("s")] == [m.body for m in sent]
    assert recording.tally("s").messages == len(sent)
    assert recording.tally("s").segments == len(recording.keys("s"))
    recording.check_order("s")


def test_a_kill_at_some_steps_loses_and_doubles_nothing(recording: Recording) -> None:
    chance = Random(_SEED)  # noqa: S311 - a seeded choice, no secret
    # the second has just found that it needn't store what the first has stored
    known = [("stored", 1), ("acknowledging", 1)]
    _kill_at(recording, [*known, (chance.choice(sorted(STEPS)), 2)], chance)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_every_step_loses_and_doubles_nothing(recording: Recording, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - a seeded choice, no secret
    steps = chance.sample(sorted(STEPS), len(STEPS))
    _kill_at(recording, [(step, chance.choice([1, 2])) for step in steps], chance)
