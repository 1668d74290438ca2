"""What is said of a Redis, by what was seen of it."""

import pytest

from autobatch_console.preflight.connection_faults import ConnectionFault
from autobatch_console.preflight.redis_diagnoses import judge_connection, judge_foreign, judge_redis
from autobatch_shared.redis.inspection import RedisSeen

PLACE = "queue:6379"
VALUES = {"PAYLOAD_LIMIT": 2_000_000, "ANSWER_LIMIT": 100_000_000}


def seen(**changed: object) -> RedisSeen:
    values = {"server": "redis", "version": "7.0.15", "role": "master", "mode": "standalone"} | changed
    return RedisSeen(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("server", "version", "name"), [("redis", "7.0.0", "Redis 7.0.0"), ("valkey", "9.1.2", "Valkey 9.1.2")]
)
def test_a_master_that_is_new_enough_is_right(server: str, version: str, name: str) -> None:
    (diagnosis,) = judge_redis(PLACE, "{autobatch}:", seen(server=server, version=version), VALUES)
    assert (diagnosis.state, str(diagnosis)) == ("right", f"REDIS_URL: {name} answers at queue:6379")


@pytest.mark.parametrize(
    ("changed", "state", "said", "advice"),
    [
        ({"version": "6.2.14"}, "wrong", "is redis 6.2.14", "7.0 or newer"),
        ({"refusal": "ERR unknown command 'HELLO', with args beginning with: '2' "}, "wrong", "HELLO", "7.0 or newer"),
        (
            {"refusal": "WRONGPASS invalid username-password pair or user is disabled."},
            "wrong",
            "WRONGPASS",
            "USER:PASS",
        ),
        (
            {"refusal": "NOAUTH HELLO must be called with the client already authenticated"},
            "wrong",
            "NOAUTH",
            ":PASSWORD@",
        ),
        (
            {"refusal": "ERR AUTH <password> called without any password configured"},
            "wrong",
            "without",
            "leave the pass",
        ),
        ({"refusal": "LOADING Redis is loading the dataset in memory"}, "loading", "LOADING", "wait"),
        ({"refusal": "DENIED Redis is running in protected mode because"}, "wrong", "protected mode", "set a password"),
        ({"refusal": "ERR DB index is out of range"}, "wrong", "out of range", "number of the database"),
        ({"refusal": "OOM command not allowed when used memory > 'maxmemory'."}, "wrong", "OOM", "`maxmemory`"),
        ({"refusal": "NOREPLICAS Not enough good replicas to write."}, "wrong", "replicas", "`min-replicas-to-write`"),
        ({"refusal": "MISCONF Redis is configured to save RDB snapshots, but"}, "wrong", "MISCONF", "free its disk"),
        ({"refusal": "CLUSTERDOWN Hash slot not served"}, "wrong", "slot not served", "`redis-cli --cluster fix`"),
        ({"refusal": "ERR of a kind that no table has"}, "wrong", "no table has", ""),
        ({"role": "replica"}, "wrong", "is a replica", "the master's address"),
        ({"mode": "sentinel"}, "wrong", "is a Sentinel", "the master's address"),
        ({"refused": ("get", "set")}, "wrong", "may not use get, set on the keys `{ns}:*`", "users.acl"),
        ({"refused": tuple("abcdefg")}, "wrong", "a, b, c, d, e and 2 more", "NAMESPACE"),
        ({"unknown": ("eval", "evalsha")}, "wrong", "does not have the commands eval, evalsha", "`rename-command`"),
        ({"script_refusal": "ERR Lua is disabled"}, "wrong", "runs no scripts: 'ERR Lua is disabled'", "EVAL"),
        ({"refusal": "ERR unknown command 'SET', with args beginning with: "}, "wrong", "'SET'", "`rename-command`"),
        ({"value_bytes_max": 99_999_999}, "risky", "at most 99999999 bytes (proto-max-bulk-len)", "lower ANSWER_LIMIT"),
        ({"value_bytes_max": 1_999_999}, "risky", "less than PAYLOAD_LIMIT and ANSWER_LIMIT", "proto-max-bulk-len"),
        (
            {"memory_max_bytes": 3_000_000, "memory_used_bytes": 1_000_001, "eviction_policy": "noeviction"},
            "risky",
            "has 1999999 of its 3000000 bytes of memory left, less than PAYLOAD_LIMIT",
            "`maxmemory`",
        ),
        ({"memory_max_bytes": 1, "eviction_policy": "volatile-lru"}, "risky", "volatile-lru", "noeviction"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_change(
    changed: dict[str, object], state: str, said: str, advice: str
) -> None:
    (diagnosis,) = judge_redis(PLACE, "{ns}:", seen(**changed), VALUES)
    assert diagnosis.state == state
    assert diagnosis.setting == "REDIS_URL"
    assert said in diagnosis.what
    assert advice in diagnosis.remedy


@pytest.mark.parametrize(
    ("limit", "policy"), [(0, "allkeys-lru"), (1 << 30, "noeviction"), (None, "")], ids=["no limit", "kept", "unknown"]
)
def test_a_policy_that_evicts_nothing_is_right(limit: int | None, policy: str) -> None:
    (diagnosis,) = judge_redis(PLACE, "{ns}:", seen(memory_max_bytes=limit, eviction_policy=policy), VALUES)
    assert diagnosis.state == "right"


def test_everything_that_is_wrong_is_said_at_once() -> None:
    found = judge_redis(PLACE, "{ns}:", seen(version="6.0.1", role="replica", refused=("get",)), VALUES)
    assert len(found) == 3


def test_the_transport_decides_the_advice() -> None:
    assert "rediss://" in judge_connection(PLACE, ConnectionFault("hung_up", "ECONNRESET")).remedy
    assert "instead of rediss://" in judge_connection(PLACE, ConnectionFault("no_tls", "WRONG_VERSION_NUMBER")).remedy
    assert "ssl_ca_certs" in judge_connection(PLACE, ConnectionFault("untrusted", "self-signed certificate")).remedy
    assert "ssl_certfile" in judge_connection(PLACE, ConnectionFault("hung_up", "end of file"), speaks_tls=True).remedy
    assert judge_foreign(PLACE).what == "what answers at queue:6379 is not Redis"
