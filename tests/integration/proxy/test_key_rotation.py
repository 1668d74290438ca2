"""API keys change without a restart."""

from pathlib import Path

import pytest

from tests.support.house import House, open_house
from tests.support.waiting import wait_until


async def status(house: House, key: str) -> int:
    async with house.http.get(f"{house.url}/info", headers={"Authorization": f"Bearer {key}"}) as answer:
        return answer.status


async def test_a_changed_file_changes_the_keys(redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\nboth\n")
    async with open_house(redis_url, api_keys_file=str(file)) as house:
        assert [await status(house, key) for key in ("old", "both", "new")] == [503, 503, 401]  # /info is not known yet
        file.write_text("both\nnew\n")

        async def is_new() -> bool:
            return await status(house, "new") == 503

        await wait_until(is_new)
        assert [await status(house, key) for key in ("old", "both")] == [401, 503]


async def test_a_file_that_is_lost_or_emptied_lets_nobody_else_in(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    file.write_text("first\n")
    async with open_house(redis_url, api_keys_file=str(file)) as house:
        file.write_text("")
        await wait_until(lambda: "api_keys_unreadable" in caplog.text)
        file.unlink()
        assert [await status(house, key) for key in ("first", "", "other")] == [503, 401, 401]
        file.write_text("second\n")
        await wait_until(lambda: status_is(house, "second", 503))
        assert await status(house, "first") == 401


async def status_is(house: House, key: str, expected: int) -> bool:
    return await status(house, key) == expected
