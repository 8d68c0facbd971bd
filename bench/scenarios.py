"""What is measured; each scenario's own file says against whom, and against which limit."""

from bench import (
    archive,
    clouds,
    cold,
    console,
    demand,
    fleet,
    latency,
    objects,
    replay,
    scaling,
    service,
    single,
    sizes,
    starts,
)

#: The shortest and most asked for first.
SCENARIOS = (
    service.SCENARIO,
    single.SCENARIO,
    demand.SCENARIO,
    latency.SCENARIO,
    sizes.SCENARIO,
    scaling.SCENARIO,
    starts.SCENARIO,
    archive.SCENARIO,
    replay.SCENARIO,
    objects.FETCHES,
    objects.UPLOADS,
    fleet.SCENARIO,
    clouds.SCENARIO,
    cold.SCENARIO,
    console.SCENARIO,
)
