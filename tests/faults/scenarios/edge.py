"""A worker or nginx dies or is paused, or a worker's address vanishes."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from autobatch_console.up import nginx_files
from tests.faults.campaign import Act, Scenario
from tests.faults.programs import children
from tests.faults.steps import lasts, pause, pids_of_nginx, worker_pid
from tests.faults.world import PAIR, START_S, World
from tests.support.ports import free_port
from tests.support.servers.relay import Relay
from tests.support.waiting import wait_until

VICTIM = 1
PAUSE_S = 2.0
SILENT_S = 6.0
LEFT_OUT = "max_fails=1 fail_timeout=1s"  # less than in nginx/compose/upstream.conf: the silence is met several times


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


@contextmanager
def silent(port: int) -> Iterator[None]:
    """The address says nothing to who connects: its queue of connections is full."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield


async def use_workers(world: World, upstream: str) -> None:
    """Reload nginx with these `server` lines."""
    (world.folder / "nginx" / "upstream.conf").write_text(upstream)
    before = set(children(world.nginx.pid))
    os.kill(world.nginx.pid, signal.SIGHUP)
    await wait_until(lambda: not before & set(children(world.nginx.pid)))


async def silence_worker(act: Act) -> None:
    """A worker has an address, as in compose and Kubernetes; its container is stopped, and another one has its place."""
    world = act.world
    sockets = [world.folder / f"edge-{index}.sock" for index in PAIR]
    usual, port = nginx_files.upstream_conf(sockets), free_port()
    address = ("127.0.0.1", port)
    addressed = nginx_files.upstream_conf(sockets[:VICTIM]) + f"server 127.0.0.1:{port} {LEFT_OUT};\n"
    relay = Relay(address, sockets[VICTIM])
    await relay.start()
    await use_workers(world, addressed)
    await lasts(0.5)
    await relay.stop()
    with silent(port):
        await lasts(SILENT_S)
    relay = Relay(address, sockets[VICTIM])
    await relay.start()
    await use_workers(world, usual)
    await relay.stop()


async def kill_late(act: Act) -> None:
    """When the time of its requests is nearly over: the other worker has what is left of it, and no new deadline."""
    await act.world.behave("hang")
    await lasts(act.world.deadline_s - 1)
    await kill_worker(act)
    await lasts(act.world.deadline_s / 2)
    await act.world.behave("good")


SCENARIOS = [
    Scenario("worker: kill -9", kill_worker, runs_max=2),
    Scenario("worker: kill -9 while the upstream hangs", kill_late, frozenset({429, 503, 504}), runs_max=2),
    Scenario("worker: kill -9 of its gunicorn too", kill_gunicorn, runs_max=2),
    Scenario(f"worker: its address vanishes for {SILENT_S} s", silence_worker, runs_max=2),
    Scenario(f"worker: SIGSTOP for {PAUSE_S} s", pause_worker),
    Scenario("nginx: kill -9 of all of it", kill_nginx, cuts=True),
    Scenario(f"nginx: SIGSTOP for {PAUSE_S} s", pause_nginx),
]
