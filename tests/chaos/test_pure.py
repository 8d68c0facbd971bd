"""A seed is a schedule, and the checker sees what is wrong."""

from dataclasses import replace

import pytest

from tests.chaos.checker import Figures, Journal, problems
from tests.chaos.schedule import Fault, Schedule, Stage, schedule
from tests.chaos.soak import BOUNDS, Samples, too_steep
from tests.traffic import Came, body

_PREFIX, _NUMBER, _CALM = "s1-", 40, 30
_KEPT = Schedule(1, (Stage("one", 1),), _NUMBER, (Fault(1.0, "kill", "manager"),))
_ROUGH = replace(_KEPT, faults=(Fault(1.0, "kill", "operator"),))


def _came(*numbers: int) -> list[Came]:
    return [Came(f"{_PREFIX}id-{n}", body(n, _PREFIX), 100.0 + at) for at, n in enumerate(numbers)]


def _journal(outputs: list[Came], **fields: object) -> Journal:
    times = {n: 100.0 + n for n in range(_NUMBER)}
    made = Journal(
        prefix=_PREFIX,
        published_s=times,
        confirmed_s=times,
        outputs=outputs,
        archived=[body(n, _PREFIX) for n in range(_NUMBER)],
        dead=[],
        calm=_CALM,
        mended_s=[105.5],
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def test_a_seed_is_always_the_same_schedule_and_another_seed_another() -> None:
    assert schedule(17) == schedule(17)
    assert str(schedule(17)) == str(schedule(17))
    assert len({schedule(seed).faults for seed in range(200)}) == 200


def test_among_200_seeds_everybody_is_killed_stopped_and_cut_off() -> None:
    faults = [fault for seed in range(200) for fault in schedule(seed).faults]
    everybody = {"program", "operator", "agent", "manager", "archiver", "broker", "s3", "database"}
    for deed in ("kill", "stop"):
        assert {fault.victim for fault in faults if fault.deed == deed} == everybody
    ways = {fault.way for fault in faults if fault.deed == "cut"}
    assert ways == {"delay", "stall", "reset", "half-open"}


def test_what_is_as_it_should_be_is_no_problem() -> None:
    whole = _journal(_came(*range(_NUMBER)))
    assert problems(_KEPT, whole) == []
    assert whole.recovered_s == [0.5]
    # what came again after somebody was killed is no problem, either
    again = _journal(_came(*range(20), *range(10, _NUMBER)))
    assert problems(_ROUGH, again) == []
    assert again.again == 10


@pytest.mark.parametrize(
    ("schedule_", "journal", "what"),
    [
        (_ROUGH, _journal(_came(*range(1, _NUMBER))), "lost, 1"),
        (_KEPT, _journal(_came(*range(_NUMBER), 3)), "came again, 1"),
        (_ROUGH, _journal(_came(*range(_NUMBER), 99)), "never published"),
        (_KEPT, _journal(_came(1, 0, *range(2, _NUMBER))), "out of order, 1"),
        (_ROUGH, _journal(_came(*range(25)[::-1], *range(25, _NUMBER))), "out of order, 24"),
        (_ROUGH, _journal(_came(*range(38), 39, 38)), "without any fault"),
        (_ROUGH, _journal(_came(*range(_NUMBER)), dead=["exit 1"]), "dead: exit 1"),
        (_ROUGH, _journal(_came(*range(_NUMBER)), archived=[]), "not in the archive, 40"),
        (
            _ROUGH,
            _journal([*_came(*range(_NUMBER)), Came("other", body(3, _PREFIX), 0.0)]),
            "another id, 1",
        ),
    ],
)
def test_the_checker_sees(schedule_: Schedule, journal: Journal, what: str) -> None:
    assert any(what in problem for problem in problems(schedule_, journal))


def test_figures_add_up() -> None:
    figures = Figures()
    figures.add(_ROUGH, _journal(_came(*range(1, _NUMBER))))
    assert (figures.seeds, figures.kills, figures.messages, figures.lost) == (1, 1, 40, 1)
    assert "1 lost" in str(figures)


def test_what_grows_is_seen_and_what_only_wavers_is_not() -> None:
    flat, growing = Samples(), Samples()
    for at in range(360):
        steady = dict.fromkeys(BOUNDS, 50.0 + at % 2)
        flat.add(at * 10.0, steady)
        # a warm-up is no growth; 40 files an hour are
        growing.add(at * 10.0, {**steady, "open files": at / 9, "processes": min(at, 100.0)})
    assert too_steep(flat.slopes()) == []
    assert too_steep(growing.slopes()) == ["open files"]
    assert growing.slopes()["open files"] == pytest.approx(40)
