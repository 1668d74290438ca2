"""The fleet, short enough for every run of the tests; `python -m tests.fleet` sends 100,000 requests."""

from tests.fleet.fleet import open_fleet
from tests.fleet.mixing import ask_all

REQUESTS = 3_000


async def test_three_models_and_five_batchers_of_which_two_are_killed_mix_nothing() -> None:
    async with open_fleet() as fleet:
        outcomes = await ask_all(fleet, REQUESTS)
    assert outcomes == {"right": REQUESTS}
