"""The names of all Redis keys. The braces make them one slot of a Redis Cluster.

| key                 | type   | what                                                                    | ends              |
|---------------------|--------|-------------------------------------------------------------------------|-------------------|
| `jobs`              | list   | waiting jobs, RPUSH and LPOP, oldest first                              | when taken        |
| `jobs:bulk`         | list   | waiting jobs of large requests and of those that asked for it, alike    | when taken        |
| `retry`             | list   | jobs of batchers that died; each is sent in a call of its own           | when taken        |
| `waiting`           | string | inputs in `jobs`                                                        | with `jobs`, TTL  |
| `waiting:bulk`      | string | inputs in `jobs:bulk`                                                   | with it, TTL      |
| `gone`              | string | there while some `gone:<job>` may be                                    | TTL               |
| `gone:<job>`        | string | the job's client has left before it was claimed                         | claimed, TTL      |
| `claimed:<batcher>` | hash   | job id -> frame, while that batcher has it                              | TTL               |
| `leases`            | zset   | batcher -> end of its lease, unix ms of Redis's clock                   | TTL               |
| `attempts:<job>`    | string | batchers that died while they had the job                               | TTL               |
| `reply:<job>`       | string | the answer, a reply frame                                               | when read, TTL    |
| `inbox:<worker>`    | list   | ids of jobs whose reply is ready                                        | when read, TTL    |
| `batchers`          | hash   | batcher -> what it and its upstreams are doing, JSON                    | TTL               |
| `trial`             | string | the batcher that tries alone what an upstream may have died of          | tried, TTL        |
| `dead`              | list   | jobs that two batchers, or the upstream twice, died with, newest first  | capped, TTL       |
| `epoch`             | string | random; another value means that this Redis lost its data               | TTL               |
| `cache:<name>`      | string | one cached row behind its checksum; names are hex digits                | evicted, TTL      |
| `cache:index`       | zset   | `<name>:<bytes>` -> when it was stored, unix ms of Redis's clock        | TTL               |
| `cache:bytes`       | string | the sum of the bytes in `cache:index`                                   | TTL               |

A job id is `<worker>.<number>`: whoever has the id knows whose inbox the reply belongs to.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one namespace."""

    namespace: str

    @property
    def prefix(self) -> str:
        """What every key starts with."""
        return f"{{{self.namespace}}}:"

    @property
    def jobs(self) -> str:
        return self.prefix + "jobs"

    @property
    def bulk(self) -> str:
        return self.prefix + "jobs:bulk"

    @property
    def retry(self) -> str:
        return self.prefix + "retry"

    @property
    def waiting(self) -> str:
        return self.prefix + "waiting"

    @property
    def waiting_bulk(self) -> str:
        return self.prefix + "waiting:bulk"

    @property
    def gone(self) -> str:
        return self.prefix + "gone"

    @property
    def leases(self) -> str:
        return self.prefix + "leases"

    @property
    def batchers(self) -> str:
        return self.prefix + "batchers"

    @property
    def trial(self) -> str:
        return self.prefix + "trial"

    @property
    def dead(self) -> str:
        return self.prefix + "dead"

    @property
    def epoch(self) -> str:
        return self.prefix + "epoch"

    @property
    def cache_index(self) -> str:
        return self.prefix + "cache:index"

    @property
    def cache_bytes(self) -> str:
        return self.prefix + "cache:bytes"

    def claimed(self, batcher: str) -> str:
        return f"{self.prefix}claimed:{batcher}"

    def reply(self, job: str) -> str:
        return f"{self.prefix}reply:{job}"

    def inbox(self, worker: str) -> str:
        return f"{self.prefix}inbox:{worker}"

    def cached(self, name: str) -> str:
        return f"{self.prefix}cache:{name}"
