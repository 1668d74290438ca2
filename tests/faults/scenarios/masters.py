"""The master moves: by plan, while the old one lives on, and by its death; behind one address, with Sentinels, in a cluster.

What was pushed to a master and had not reached its replica is lost with it: such requests are pushed again. Those that come
while there is no master get `503` once that has lasted for two seconds.
"""

from tests.faults.campaign import Act, Scenario
from tests.faults.steps import lasts
from tests.support.servers.masters import GROUPS, ServerGroup

OLD_MASTER_S = 1.0  # in which it would answer reads, and with Sentinels take writes


def group_of(act: Act) -> ServerGroup:
    assert act.world.group is not None
    return act.world.group


async def switch(act: Act) -> None:
    await group_of(act).switch()
    await lasts(OLD_MASTER_S)


async def kill_and_revive(act: Act) -> None:
    await group_of(act).kill_master()
    await group_of(act).revive()


SCENARIOS = [
    scenario
    for servers in GROUPS
    for scenario in (
        Scenario(f"Redis, {servers}: kill -9 of the master", kill_and_revive, frozenset({503}), 2, servers=servers),
        Scenario(f"Redis, {servers}: the master is moved", switch, frozenset({503}), 2, servers=servers),
    )
]
