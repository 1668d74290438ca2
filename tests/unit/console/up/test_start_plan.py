"""What `autobatch up` decides to run, from the settings and the machine."""

import hashlib
import signal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from autobatch_console.up import start_plan
from autobatch_console.up.parts import Part, Ready, StartPlan
from autobatch_console.up.programs import Program
from autobatch_console.up.settings import UpSettings
from autobatch_console.up.start_plan import Machine
from autobatch_shared.settings.definitions import UP_KEY

RUN_DIR = Path("/run/ab")
REDIS = Program("redis-server", ("/bin/redis-server",), "7.0.15")
TEI = "http://tei"
NGINX = Program("nginx", ("/sbin/nginx", "-p", "/run/ab/nginx/"), "1.22.1")


def made(
    flags: dict[str, str] | None = None,
    machine: dict[str, Any] | None = None,
    tables: list[dict[str, Any]] | None = None,
    **settings: Any,
) -> StartPlan:
    """Plan for a usual machine, except for the test's arguments."""
    found: dict[str, Any] = {
        "run_dir": RUN_DIR,
        "redis": REDIS,
        "nginx": NGINX,
        "workers": 2,
        "embedder_port": 8080,
        "batcher_port": 13000,
    }
    values = {name: field.default for name, field in UpSettings.model_fields.items()} | settings
    models = [UpSettings.model_construct(**values | own) for own in tables or [{}]]
    settings_of_all = UpSettings.model_construct(**values)
    return start_plan.make_plan(settings_of_all, models, flags or {}, Machine(**found | (machine or {})))


def part(of: StartPlan, name: str) -> Part:
    return next(each for each in of.parts if each.name == name)


def test_everything_is_started_in_the_order_of_need() -> None:
    stages = [[part.name for part in stage] for stage in made().stages]
    assert stages == [["redis"], ["embedder"], ["batcher"], ["proxy-1", "proxy-2"], ["nginx"]]
    assert made().notes == ()


def test_workers_read_their_keys_themselves_and_get_that_of_up_apart() -> None:
    """Else the environment would hold all keys, and those of a changed file would not count."""
    plan = made(machine={"own_key": "mine"}, api_keys=SecretStr("theirs"))
    env = part(plan, "proxy-1").env
    assert env[UP_KEY] == f"sha256:{hashlib.sha256(b'mine').hexdigest()}"
    assert "API_KEYS" not in env


def launched(of: StartPlan) -> list[list[str]]:
    """The names of what starts with each stage, those that started already left out."""
    seen: list[str] = []
    together = []
    for number in range(len(of.stages)):
        new = [each.name for stage in of.launched_with(number) for each in stage if each.name not in seen]
        seen += new
        together.append(new)
    return [names for names in together if names]


def test_the_batcher_and_the_workers_behind_nginx_start_with_redis() -> None:
    """Each start of Python takes longer than Redis needs to be there."""
    with_redis, without_redis = made(inference_url=TEI), made(inference_url=TEI, machine={"redis": None})
    assert launched(with_redis) == [["redis", "batcher", "proxy-1", "proxy-2"], ["nginx"]]
    assert launched(without_redis) == [["batcher", "proxy-1", "proxy-2"], ["nginx"]]


def test_an_embedder_has_the_cores_until_it_is_ready() -> None:
    assert launched(made()) == [["redis"], ["embedder"], ["batcher", "proxy-1", "proxy-2"], ["nginx"]]


def test_workers_that_clients_reach_without_nginx_start_when_all_the_rest_is_there() -> None:
    without = {"nginx": None}
    assert launched(made(machine=without)) == [["redis"], ["embedder"], ["batcher"], ["proxy"]]
    assert launched(made(machine=without, inference_url=TEI)) == [["redis", "batcher"], ["proxy"]]


def test_redis_listens_on_a_private_socket_only_and_writes_nothing_to_disk() -> None:
    argv = " ".join(part(made(), "redis").argv)
    assert argv.startswith("/bin/redis-server --port 0 --unixsocket /run/ab/redis.sock --unixsocketperm 700")
    assert "--save  --appendonly no" in argv


@pytest.mark.parametrize("name", ["batcher", "proxy-1", "proxy-2"])
def test_both_ends_of_the_queue_get_the_socket_of_our_redis(name: str) -> None:
    assert part(made(), name).env["REDIS_URL"] == "unix:///run/ab/redis.sock"


def test_each_worker_is_a_process_with_a_socket_of_its_own() -> None:
    envs = [part(made(), name).env for name in ("proxy-1", "proxy-2")]
    assert [env["UDS_PATH"] for env in envs] == ["/run/ab/proxy-1.sock", "/run/ab/proxy-2.sock"]
    assert [env["WEB_CONCURRENCY"] for env in envs] == ["1", "1"]
    # One folder of counters, so that a scrape of any worker counts all of them.
    assert {env["PROMETHEUS_MULTIPROC_DIR"] for env in envs} == {"/run/ab/metrics"}


def test_given_a_redis_and_an_upstream_neither_is_started() -> None:
    redis_url = "redis://me:secret@example.test:6380/1?password=secret"
    upstreams = "http://a.test,http://user:secret@b.test:81"
    pointed = made(machine={"redis": None}, redis_url=SecretStr(redis_url), inference_url=upstreams)

    assert [part.name for part in pointed.parts] == ["batcher", "proxy-1", "proxy-2", "nginx"]
    assert part(pointed, "batcher").env["REDIS_URL"] == redis_url
    assert part(pointed, "batcher").env["INFERENCE_URL"] == upstreams
    assert pointed.notes == (
        "redis: redis://example.test:6380/1 (REDIS_URL)",
        "upstream: http://a.test, http://b.test:81 (INFERENCE_URL)",
    )


SMALL = {"served_model_name": "small", "inference_url": "http://a.test"}
LARGE = {"served_model_name": "org/large", "inference_url": "http://b.test"}
BARE = {"served_model_name": "bare"}


def test_tables_that_all_name_an_upstream_get_one_batcher_and_no_embedder() -> None:
    tabled = made(tables=[SMALL, LARGE])

    assert [part.name for part in tabled.parts] == ["redis", "batcher", "proxy-1", "proxy-2", "nginx"]
    assert "INFERENCE_URL" not in part(tabled, "batcher").env
    assert tabled.notes == (
        "upstream of small: http://a.test (INFERENCE_URL)",
        "upstream of org/large: http://b.test (INFERENCE_URL)",
    )


def test_the_embedder_is_the_upstream_of_a_table_that_names_none() -> None:
    tabled = made(tables=[SMALL, BARE])

    assert [part.name for part in tabled.parts][:3] == ["redis", "embedder", "batcher"]
    assert part(tabled, "batcher").env["INFERENCE_URL"] == "http://127.0.0.1:8080"


def test_flags_count_before_the_tables_in_the_batcher_too() -> None:
    flags = {"MAX_BATCH_SIZE": "16", "PORT": "3001", "REDIS_URL": "redis://other"}
    assert part(made(flags, tables=[SMALL, LARGE]), "batcher").argv[3:] == (
        "autobatch_batcher",
        "--max-batch-size=16",
    )


def test_the_batcher_gets_the_longest_grace_of_its_models() -> None:
    slow = made(tables=[SMALL | {"drain_timeout_ms": 1_000}, LARGE | {"drain_timeout_ms": 50_000}])
    assert part(slow, "batcher").stop_grace_s > 50


def test_other_ports_than_configured_are_used_and_told() -> None:
    moved = made(machine={"embedder_port": 5001, "batcher_port": 5002})

    assert part(moved, "embedder").env["EMBEDDER_PORT"] == "5001"
    assert part(moved, "batcher").env["BATCHER_PORT"] == "5002"
    assert part(moved, "batcher").env["INFERENCE_URL"] == "http://127.0.0.1:5001"
    assert part(moved, "batcher").ready == Ready("http", host="127.0.0.1", port=5002)
    assert moved.notes == (
        "embedder: port 8080 is taken, 5001 instead",
        "batcher: port 13000 is taken, 5002 instead",
    )


def test_port_0_is_a_wish_for_any_port_and_not_worth_a_word() -> None:
    assert made(machine={"embedder_port": 5001, "batcher_port": 5002}, embedder_port=0, batcher_port=0).notes == ()


def test_flags_reach_every_process_but_our_own_addresses_win() -> None:
    flags = {"MAX_BATCH_SIZE": "16", "REDIS_URL": "redis://other", "WEB_CONCURRENCY": "7", "EMBEDDER_PORT": "1"}
    flagged = made(flags)

    assert {part(flagged, name).env["MAX_BATCH_SIZE"] for name in ("embedder", "batcher", "proxy-1")} == {"16"}
    assert part(flagged, "proxy-1").env["REDIS_URL"] == "unix:///run/ab/redis.sock"
    assert part(flagged, "proxy-1").env["WEB_CONCURRENCY"] == "1"
    assert part(flagged, "embedder").env["EMBEDDER_PORT"] == "8080"


def test_without_nginx_gunicorn_gets_the_public_port_and_all_workers() -> None:
    bare = made(machine={"nginx": None}, host="0.0.0.0", port=3001)

    assert [part.name for part in bare.parts] == ["redis", "embedder", "batcher", "proxy"]
    assert part(bare, "proxy").env["WEB_CONCURRENCY"] == "2"
    assert "UDS_PATH" not in part(bare, "proxy").env
    assert part(bare, "proxy").ready == Ready("http", host="127.0.0.1", port=3001)
    assert bare.notes == ("nginx: none that works, so gunicorn serves the public port itself",)


def test_everybody_has_more_time_to_stop_than_they_grant_their_requests() -> None:
    slow = made(drain_timeout_ms=50_000, request_timeout_ms=60_000)

    assert part(slow, "batcher").stop_grace_s > 50
    assert min(part(slow, name).stop_grace_s for name in ("proxy-1", "nginx")) > 60


def test_masters_are_ended_so_that_they_can_take_their_workers_along() -> None:
    assert {part(made(), name).orphan_signal for name in ("proxy-1", "nginx")} == {signal.SIGTERM}
    assert part(made(), "nginx").stop_signal == signal.SIGQUIT


def test_a_folder_of_the_users_is_not_taken_for_our_code() -> None:
    assert part(made(), "proxy-1").argv[1:] == ("-P", "-m", "autobatch_proxy")


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:3000"), ("::", "http://[::1]:3000"), ("10.1.2.3", "http://10.1.2.3:3000")],
)
def test_the_public_address_is_one_that_can_be_reached(host: str, address: str) -> None:
    assert part(made(host=host), "nginx").address == address
