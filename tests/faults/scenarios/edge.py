"""A worker or nginx dies or is paused."""

import os
import signal

from tests.faults.campaign import Act, Scenario
from tests.faults.programs import children
from tests.faults.steps import lasts, pause, pids_of_nginx, worker_pid
from tests.faults.world import START_S
from tests.support.waiting import wait_until

VICTIM = 1
PAUSE_S = 2.0


async def kill_worker(act: Act) -> None:
    """Gunicorn starts another one; nginx sends the requests to the other worker, so that they are computed again."""
    pid = worker_pid(act.world, VICTIM)
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: children(act.world.workers[VICTIM].pid) not in ([], [pid]))


async def kill_gunicorn(act: Act) -> None:
    """Master and worker at once, as if a machine were lost; another one replaces it."""
    world = act.world
    master, pid = world.workers[VICTIM], worker_pid(world, VICTIM)
    master.signal(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    master.wait()
    await lasts(1)
    world.workers[VICTIM] = world.start_worker(VICTIM)
    await wait_until(world.is_well, START_S)


async def pause_worker(act: Act) -> None:
    await pause([worker_pid(act.world, VICTIM)], PAUSE_S)


async def kill_nginx(act: Act) -> None:
    """Connected clients see the end of their connection."""
    act.world.nginx.kill()
    act.world.nginx.start()


async def pause_nginx(act: Act) -> None:
    await pause(pids_of_nginx(act.world), PAUSE_S)


SCENARIOS = [
    Scenario("worker: kill -9", kill_worker, runs_max=2),
    Scenario("worker: kill -9 of its gunicorn too", kill_gunicorn, runs_max=2),
    Scenario(f"worker: SIGSTOP for {PAUSE_S} s", pause_worker),
    Scenario("nginx: kill -9 of all of it", kill_nginx, cuts=True),
    Scenario(f"nginx: SIGSTOP for {PAUSE_S} s", pause_nginx),
]
