"""Judge a Redis by what was seen of it. Pure."""

from collections.abc import Mapping, Sequence

from autobatch_console.preflight.connection_faults import ConnectionFault, ConnectionFaultKind
from autobatch_console.preflight.diagnoses import Diagnosis, DiagnosisState
from autobatch_shared.redis.inspection import RedisSeen

SETTING = "REDIS_URL"
VERSION_MIN = (7, 0)  # BLMPOP
COMMANDS_NAMED_MAX = 5
KNOWS_COMMANDS = "use Redis or Valkey 7.0 or newer, without `rename-command` of what workers and batchers send"

OWN_CERTIFICATE = (
    "if it asks for a client certificate, give one that it trusts as `?ssl_certfile=FILE&ssl_keyfile=FILE`"
)

_ADVICE: dict[ConnectionFaultKind, str] = {
    "unresolved": "correct the name, or the resolver of this machine",
    "refused": "start Redis, or correct the address",
    "silent": "correct the address, or let the firewall between pass it",
    "unreachable": "correct the address, or the routes of this machine",
    "untrusted": "give the authority's file as `?ssl_ca_certs=FILE`",
    "expired": "renew its certificate, or correct this machine's clock",
    "misnamed": "write the name that its certificate is for",
    "asks_certificate": OWN_CERTIFICATE,
    "no_tls": "write redis:// instead of rediss://",
    "hung_up": "write rediss:// instead of redis:// if it speaks TLS only",
    "missing": "start Redis with this `unixsocket`, or correct the path",
    "denied": "let this user open it: `unixsocketperm` of Redis",
}
_TLS_ADVICE: dict[ConnectionFaultKind, str] = {"hung_up": f"correct the port; {OWN_CERTIFICATE}"}

#: What Redis's errors begin with, the first that matches counts; what to change.
_REFUSALS: tuple[tuple[str, DiagnosisState, str], ...] = (
    ("WRONGPASS", "wrong", "correct the user and the password: redis://USER:PASSWORD@HOST"),
    ("NOAUTH", "wrong", "give the password: redis://:PASSWORD@HOST, or redis://USER:PASSWORD@HOST"),
    ("ERR AUTH", "wrong", "leave the password out, it has none"),
    ("ERR invalid password", "wrong", "correct the password"),
    ("ERR Client sent AUTH", "wrong", "leave the password out, it has none"),
    ("DENIED", "wrong", "set a password, or `protected-mode no`, in Redis's configuration"),
    ("LOADING", "loading", "wait: it reads its data"),
    ("MASTERDOWN", "wrong", "give the master's address: this is a replica that has lost its master"),
    ("OOM", "wrong", "raise its `maxmemory`, or free its memory: it takes no writes"),
    ("NOREPLICAS", "wrong", "start its replicas, or lower its `min-replicas-to-write`: it takes no writes"),
    ("MISCONF", "wrong", "free its disk, or let it write its `dir`: it takes no writes, and its log says why"),
    (
        "CLUSTERDOWN",
        "wrong",
        "start the nodes that are missing, or give their slots to others: `redis-cli --cluster fix`",
    ),
    ("ERR DB index", "wrong", "correct the number of the database behind the `/`"),
    ("ERR unknown command", "wrong", KNOWS_COMMANDS),
)


def judge_connection(place: str, fault: ConnectionFault, *, speaks_tls: bool = False) -> Diagnosis:
    """Return the diagnosis of a Redis that could not be asked, with TLS or without."""
    advice = _ADVICE | (_TLS_ADVICE if speaks_tls else {})
    return Diagnosis("wrong", SETTING, fault.sentence(place), advice.get(fault.kind, ""))


def judge_foreign(place: str) -> Diagnosis:
    """Return the diagnosis of a server that speaks another protocol."""
    return Diagnosis("wrong", SETTING, f"what answers at {place} is not Redis", "correct the address or the port")


def judge_redis(place: str, prefix: str, seen: RedisSeen, values: Mapping[str, int]) -> list[Diagnosis]:
    """Return everything that is wrong with it, or that it is right.

    Args:
        place: Its address, which may be shown.
        prefix: What our keys begin with.
        seen: What was seen of it.
        values: The bytes of the largest values that it must take, by the setting that says so.
    """
    wrong = [
        diagnosis
        for diagnosis in (
            _refused(place, seen),
            _too_old(place, seen),
            _not_a_master(place, seen),
            _forbidden(place, prefix, seen),
            _lacking(place, seen),
            _scriptless(place, seen),
            _evicting(place, seen),
            _nearly_full(place, seen, values),
            _too_small(place, seen, values),
        )
        if diagnosis is not None
    ]
    name = "Valkey" if seen.server == "valkey" else "Redis"
    return wrong or [Diagnosis("right", SETTING, f"{name} {seen.version} answers at {place}")]


def _refused(place: str, seen: RedisSeen) -> Diagnosis | None:
    if not seen.refusal:
        return None
    for begin, state, remedy in _REFUSALS:
        if seen.refusal.startswith(begin):
            return Diagnosis(state, SETTING, f"{place} answers {_short(seen.refusal)!r}", remedy)
    return Diagnosis("wrong", SETTING, f"{place} answers {_short(seen.refusal)!r}")


def _too_old(place: str, seen: RedisSeen) -> Diagnosis | None:
    major_minor = tuple(int(part) for part in seen.version.split(".")[:2] if part.isdigit())
    if not major_minor or major_minor >= VERSION_MIN:
        return None
    return Diagnosis("wrong", SETTING, f"{place} is {seen.server} {seen.version}", "use Redis or Valkey 7.0 or newer")


def _not_a_master(place: str, seen: RedisSeen) -> Diagnosis | None:
    if seen.mode == "sentinel":
        return Diagnosis("wrong", SETTING, f"{place} is a Sentinel, which holds no data", "give the master's address")
    if seen.role in ("replica", "slave"):
        return Diagnosis("wrong", SETTING, f"{place} is a replica, which takes no writes", "give the master's address")
    return None


def _forbidden(place: str, prefix: str, seen: RedisSeen) -> Diagnosis | None:
    if not seen.refused:
        return None
    return Diagnosis(
        "wrong",
        SETTING,
        f"the user may not use {_named(seen.refused)} on the keys `{prefix}*` of {place}",
        "give it the permissions of deploy/redis/users.acl, or set NAMESPACE to the one that it has",
    )


def _lacking(place: str, seen: RedisSeen) -> Diagnosis | None:
    if not seen.unknown or _too_old(place, seen) is not None:
        return None
    return Diagnosis("wrong", SETTING, f"{place} does not have the commands {_named(seen.unknown)}", KNOWS_COMMANDS)


def _scriptless(place: str, seen: RedisSeen) -> Diagnosis | None:
    if not seen.script_refusal or seen.refusal:
        return None
    return Diagnosis(
        "wrong",
        SETTING,
        f"{place} runs no scripts: {_short(seen.script_refusal)!r}",
        "let it run Lua scripts: workers and batchers send EVAL and EVALSHA",
    )


def _named(commands: Sequence[str]) -> str:
    """The first of some commands, and how many more there are."""
    more = len(commands) - COMMANDS_NAMED_MAX
    return ", ".join(commands[:COMMANDS_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def _evicting(place: str, seen: RedisSeen) -> Diagnosis | None:
    if not seen.memory_max_bytes or seen.eviction_policy in ("", "noeviction"):
        return None
    return Diagnosis(
        "risky",
        SETTING,
        f"{place} evicts keys when its memory is full ({seen.eviction_policy}), and requests then wait in vain",
        "set `maxmemory-policy noeviction`",
    )


def _nearly_full(place: str, seen: RedisSeen, values: Mapping[str, int]) -> Diagnosis | None:
    """A small write may still go well where the first large request would be refused; one that evicts makes room."""
    if seen.refusal or not seen.memory_max_bytes or seen.memory_used_bytes is None or not values:
        return None
    free_bytes = seen.memory_max_bytes - seen.memory_used_bytes
    setting, needed_bytes = min(values.items(), key=lambda each: each[1])
    if free_bytes >= needed_bytes or seen.eviction_policy not in ("", "noeviction"):
        return None
    return Diagnosis(
        "risky",
        SETTING,
        f"{place} has {max(free_bytes, 0)} of its {seen.memory_max_bytes} bytes of memory left, less than {setting}",
        "raise its `maxmemory`, or free its memory",
    )


def _too_small(place: str, seen: RedisSeen, values: Mapping[str, int]) -> Diagnosis | None:
    """It ends the connection on which a larger value comes: that of the job or reply and of all others beside it."""
    largest = seen.value_bytes_max
    exceeding = [setting for setting, value_bytes in values.items() if largest is not None and value_bytes > largest]
    if not exceeding:
        return None
    return Diagnosis(
        "risky",
        SETTING,
        f"{place} takes values of at most {largest} bytes (proto-max-bulk-len), less than {' and '.join(exceeding)}",
        f"raise its `proto-max-bulk-len`, or lower {' and '.join(exceeding)}",
    )


def _short(refusal: str) -> str:
    """The first sentence of an error."""
    return refusal.split(". ", maxsplit=1)[0].splitlines()[0][:120]
