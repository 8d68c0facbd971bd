"""Leases are arithmetic: every rule is a row."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision import leases
from provision.errors import ProvisionError
from provision.leases import TAIL, Lease, Stage, stage
from provision.machine import lease_of, lease_tags

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = Lease("ops", "fleet", NOW, NOW + timedelta(hours=48))


def _granted(hours: float) -> Lease:
    return leases.granted(owner="ops", purpose="fleet", hours=hours, now=NOW, longest_hours=336)


@pytest.mark.parametrize(
    ("before_the_end", "expected"),
    [
        (timedelta(hours=48), Stage.FRESH),
        (timedelta(hours=24, seconds=1), Stage.FRESH),
        (timedelta(hours=24), Stage.LAST_DAY),
        (timedelta(hours=1, seconds=1), Stage.LAST_DAY),
        (timedelta(hours=1), Stage.LAST_HOUR),
        (timedelta(seconds=1), Stage.LAST_HOUR),
        (timedelta(0), Stage.ENDED),
        (-TAIL + timedelta(seconds=1), Stage.ENDED),
        (-TAIL, Stage.OVERDUE),
        (timedelta(days=-400), Stage.OVERDUE),
    ],
)
def test_a_lease_goes_through_its_stages(before_the_end: timedelta, expected: Stage) -> None:
    assert stage(LEASE, LEASE.ends_at - before_the_end) is expected


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_a_lease_never_gets_younger(first_s: int, later_s: int) -> None:
    earlier, later = sorted((first_s, later_s))
    at = [NOW + timedelta(seconds=s) for s in (earlier, later)]
    assert stage(LEASE, at[0]) <= stage(LEASE, at[1])


@pytest.mark.parametrize("hours", [0, -1, float("inf"), float("nan"), 336.1])
def test_a_lease_without_a_length_or_over_the_limit_is_refused(hours: float) -> None:
    with pytest.raises(ProvisionError, match=r"^hours: "):
        _granted(hours)


def test_a_lease_over_the_limit_says_where_the_limit_is() -> None:
    with pytest.raises(ProvisionError, match=r"744 is more than the 336 .* in the inventory"):
        _granted(744)


def test_a_renewed_lease_counts_from_now_and_keeps_its_start() -> None:
    later = NOW + timedelta(hours=47)
    renewed = leases.renewed(LEASE, hours=10, now=later, longest_hours=336)
    assert (renewed.starts_at, renewed.ends_at) == (NOW, later + timedelta(hours=10))
    with pytest.raises(ProvisionError):
        leases.renewed(LEASE, hours=337, now=later, longest_hours=336)


@given(st.floats(0.01, 336), st.sampled_from([None, "my-operation"]))
def test_tags_keep_a_lease(hours: float, save_as: str | None) -> None:
    lease = leases.granted(
        owner="ops", purpose="fleet", hours=hours, now=NOW, longest_hours=336, save_as=save_as
    )
    kept = lease_of(lease_tags(lease), NOW)
    assert kept is not None
    assert lease.ends_at - kept.ends_at < timedelta(seconds=1)
    assert (kept.owner, kept.purpose, kept.save_as) == ("ops", "fleet", save_as)


def test_a_machine_without_a_legible_end_has_no_lease() -> None:
    assert lease_of({}, NOW) is None
    assert lease_of({"streamboss:lease-until": "tomorrow"}, NOW) is None


def test_the_announcement_names_start_shutdown_and_termination() -> None:
    lines = leases.announcement(LEASE).splitlines()
    assert [line.partition(":")[0].strip() for line in lines] == [
        "Start time",
        "Shutdown time",
        "Termination time",
    ]


def test_the_soonest_end_is_when_somebody_has_to_look() -> None:
    other = leases.renewed(LEASE, hours=1, now=NOW, longest_hours=336)
    assert leases.soonest([LEASE, other]) == NOW + timedelta(hours=1)
    assert leases.soonest([]) is None
