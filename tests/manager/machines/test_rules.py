"""What holds for any history of demand, deaths, budgets and clouds."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from manager.machines.model import CloudRoom, Offer
from manager.model import Instances
from manager.reconcile.plan import Plan, plan
from tests.manager.machines.world import World, offer
from tests.manager.planning import operation

NAMES = ("o0", "o1", "o2", "o3")
PRICES = st.sampled_from([None, 0.0, 1.0])
OFFERS = st.lists(
    st.tuples(
        st.sampled_from("xy"),
        st.sampled_from(["near", "far"]),
        st.integers(1, 3),
        PRICES,
        st.sampled_from([0.0, 20.0, 600.0]),
        st.integers(0, 1),
    ),
    max_size=4,
    unique_by=lambda made: made[:2],
)
ROOMS = st.tuples(st.integers(1, 4), st.sampled_from([None, 2.0, 100.0]))
HISTORY = st.lists(
    st.tuples(
        st.frozensets(st.sampled_from(NAMES)),
        st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)),
        st.sampled_from(["", "", "", "death", "no boot", "takeover", "unknown"]),
        st.sampled_from([2.0, 20.0, 700.0]),
    ),
    max_size=8,
)


def _world(offers: list[tuple[str, str, int, float | None, float, int]]) -> World:
    return World(
        [
            operation(n, f"in-{n}", f"out-{n}", application=a, instances=Instances(1, 3))
            for n, a in zip(NAMES, "xxyy", strict=True)
        ],
        [
            offer(a, c, image=f"{a}-{c}", slots=s, price_per_hour=p, idle_s=i, warm=w, hours=1.0)
            for a, c, s, p, i, w in offers
        ],
    )


@settings(max_examples=30)
@given(OFFERS, ROOMS, ROOMS, HISTORY)
def test_any_history_keeps_the_rules_and_converges(
    offers: list[tuple[str, str, int, float | None, float, int]],
    near: tuple[int, float | None],
    far: tuple[int, float | None],
    history: list[tuple[frozenset[str], dict[str, int], str, float]],
) -> None:
    world = _world(offers)
    world.rooms = [CloudRoom("near", near[0], price_per_day=near[1])]
    world.rooms.append(CloudRoom("far", far[0], price_per_day=far[1]))
    for wanted, instances, happens, step_s in history:
        world.consumed = {f"out-{name}" for name in wanted}
        world.instances = instances
        _happen(world, happens)
        _check(world, world.step(step_s, demand_known=happens != "unknown"))
    world.boots = lambda _machine: True
    world.consumed.clear()
    world.offers = [replace(each, warm=0) for each in world.offers]
    world.step(700.0, times=8)
    assert not world.records


def _happen(world: World, what: str) -> None:
    if what == "death":
        world.killed.update(dict.fromkeys(world.records, world.now_s))
    elif what == "no boot":
        world.boots = lambda _machine: False
    elif what == "takeover":
        world.term += 1
        world.memory.clear()


def _check(world: World, made: Plan) -> None:
    decided = made.machines
    live = Counter(record.cloud for record in world.records.values())
    for room in world.rooms:
        assert live[room.cloud] <= room.machines
        if room.price_per_day is not None:
            assert all(o.price_per_hour is not None for o in _launched(made, room.cloud))
    assert not {e.node for e in decided.drains} & {e.node for e in decided.ends}
    for ending in (*decided.drains, *decided.ends):
        assert ending.why
    for launch in decided.launches:
        assert launch.why
    if not (decided.drains or decided.ends):
        assert not plan(world.observed()).machines.launches, "nothing is launched twice"


def _launched(made: Plan, cloud: str) -> list[Offer]:
    return [each.offer for each in made.machines.launches if each.offer.cloud == cloud]
