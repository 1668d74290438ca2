"""`python -m tests.monitoring [WORDS]`: stage the incidents with these words in their name, each in a world of its own.

First the world is calm: then no alert may fire. Within ALERT_S of the incident its own has to. Exit status 1 if one did not.
CALM_S=3600 makes the calm an hour; PICTURES=folder puts what an operator then sees of each incident into a folder in it that only has a number.
"""

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.world import open_world
from tests.monitoring import calm
from tests.monitoring.incidents import INCIDENTS, USUAL_KEY, Incident, usual_load
from tests.monitoring.pictures import recording
from tests.monitoring.pictures.incident_pictures import Camera, numbers_of, open_camera
from tests.monitoring.prometheus import PROGRAM, watching

ALERT_S = 60.0
LOOK_EVERY_S = 1.0
PICTURES, SHOWN_AFTER_S = os.environ.get("PICTURES", ""), 5.0
NUMBERS = numbers_of([each.name for each in INCIDENTS])
CALM_S = float(os.environ.get("CALM_S", "20"))


async def play(incident: Incident) -> str:
    """Return what was seen: empty if all was as it should be."""
    if not PICTURES:
        return await _play(incident)
    async with open_camera(Path(PICTURES) / str(NUMBERS[incident.name]), USUAL_KEY) as camera:
        return await _play(incident, camera)


async def _play(incident: Incident, camera: Camera | None = None) -> str:
    opened = open_world(
        incident.replicas, worker_settings=incident.worker_settings, batcher_settings=incident.batcher_settings
    )
    async with opened as world, watching(world) as prometheus, usual_load(world) as load:
        shown_since_s, calm_until_s = time.time(), time.monotonic() + CALM_S
        while time.monotonic() < calm_until_s:
            if firing := await prometheus.firing():
                return f"in calm: {', '.join(sorted(firing))}"
            await asyncio.sleep(LOOK_EVERY_S)
        began_s = time.monotonic()
        staged = asyncio.ensure_future(incident.stage(world, load))
        try:
            while time.monotonic() - began_s < ALERT_S:
                firing = await prometheus.firing()
                if incident.alert in firing:
                    others = sorted(firing - {incident.alert})
                    sys.stdout.write(
                        f"{time.monotonic() - began_s:5.0f} s  {incident.name}: {incident.alert}"
                        f"{', besides ' + ', '.join(others) if others else ''}"
                        f"{f'; pictures in {NUMBERS[incident.name]}' if camera is not None else ''}\n"
                    )
                    if camera is not None:
                        await asyncio.sleep(SHOWN_AFTER_S)
                        await camera.take(world, prometheus, shown_since_s)
                    return ""
                await asyncio.sleep(LOOK_EVERY_S)
            if staged.done():
                staged.result()
            return f"only {sorted(firing)} after {ALERT_S:.0f} s"
        finally:
            staged.cancel()
            with suppress(asyncio.CancelledError):
                await staged
            await world.heal()


async def main() -> int:
    """Stage them; return the exit status."""
    if PROGRAM is None:
        sys.stderr.write("prometheus is not on the PATH: apt-get install prometheus\n")
        return 2
    chosen = [each for each in INCIDENTS if all(word in each.name for word in sys.argv[1:])]
    failed = 0
    for incident in chosen:
        if complaint := await play(incident):
            failed += 1
            sys.stdout.write(f"FAILED  {incident.name}: {complaint}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - failed} passed, {failed} failed\n")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    other = {"calm": calm.main, "record": recording.main}.get("".join(sys.argv[1:2]))
    sys.exit(other(sys.argv[2:]) if other else asyncio.run(main()))
