"""All faults, in the order of the table."""

from tests.faults.scenarios import (
    batchers,
    clients,
    clocks,
    edge,
    masters,
    models,
    network,
    poison,
    redis,
    restarts,
    upstreams,
)

SCENARIOS = [
    *batchers.SCENARIOS,
    *edge.SCENARIOS,
    *redis.SCENARIOS,
    *masters.SCENARIOS,
    *restarts.SCENARIOS,
    *upstreams.SCENARIOS,
    *models.SCENARIOS,
    *poison.SCENARIOS,
    *network.SCENARIOS,
    *clocks.SCENARIOS,
    *clients.SCENARIOS,
]
