"""Settings that are read again: what a process takes over, what needs a restart, and what a fault changes."""

import logging
from pathlib import Path

import pytest

from autobatch_shared.settings.definitions import PROCESSES, BatcherSettings, ProxySettings
from autobatch_shared.settings.loading import read
from autobatch_shared.settings.read_again import Reload, compared, log_reload, read_again, taken_over

pytestmark = pytest.mark.usefixtures("nothing_is_set")


def batcher(text: str, *argv: str) -> BatcherSettings:
    Path("config.toml").write_text(text)
    return read(BatcherSettings, argv)


def test_what_may_change_is_taken_over_and_all_else_stays() -> None:
    before = batcher("max_wait_time_ms = 10\nlease_ms = 2000\n")
    after = batcher("max_wait_time_ms = 20\nlease_ms = 3000\n")

    assert compared(before, after) == Reload(taken=("max_wait_time_ms",), left=("lease_ms",))
    now = taken_over(before, after)
    assert (now.max_wait_time_ms, now.lease_ms) == (20, 2000)
    assert compared(before, before) == Reload((), ())


def test_a_flag_counts_before_a_file_that_has_changed() -> None:
    before = batcher("", "--max-wait-time-ms", "5")
    after = batcher("max_wait_time_ms = 20\n", "--max-wait-time-ms", "5")
    assert compared(before, after) == Reload((), ())


def test_a_fault_is_logged_and_nothing_is_returned(caplog: pytest.LogCaptureFixture) -> None:
    assert read_again(lambda: batcher("max_wait_time_ms = -1\n")) is None
    (record,) = caplog.records
    assert record.message == "reload_refused"
    assert "MAX_WAIT_TIME_MS" in record.__dict__["faults"][0]


def test_the_log_has_new_values_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Path("config.toml").write_text('api_keys = "hunter2"\nredis_url = "redis://:hunter2@h"\nmax_queue_size = 7\n')
    log_reload(
        ProxySettings.model_construct(**{n: f.default for n, f in ProxySettings.model_fields.items()}),
        read(ProxySettings, []),
    )

    told, warned = caplog.records
    assert told.__dict__["changed"] == {"API_KEYS": "***", "MAX_QUEUE_SIZE": 7}
    assert warned.__dict__["settings"] == ["REDIS_URL"]
    assert "hunter2" not in str([record.__dict__ for record in caplog.records])


def test_only_settings_of_a_process_are_marked() -> None:
    for cls in PROCESSES.values():
        assert cls.reloaded <= cls.model_fields.keys()
