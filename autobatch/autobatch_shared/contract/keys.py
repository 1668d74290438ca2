"""The names of all Redis keys, and how long they live. The braces make them one slot of a Redis Cluster.

The keys of a model that has a name begin with `m:<name>:`; those of the namespace's unnamed model have nothing before them. Only
`models`, `activities` and `activity:<id>` are the same for all.

| key                 | type   | what                                                                    | ends              |
|---------------------|--------|-------------------------------------------------------------------------|-------------------|
| `jobs`              | list   | waiting jobs, RPUSH and LPOP, oldest first                              | when taken        |
| `jobs:bulk`         | list   | waiting jobs of large requests and of those that asked for it, alike    | when taken        |
| `jobs:v<version>`   | list   | jobs of another version of the frames, for the batchers that read it    | when taken, TTL   |
| `retry`             | list   | jobs of batchers that died or stopped; they are taken first             | when taken        |
| `suspects`          | list   | jobs that two batchers died with; each is sent in a call of its own     | when taken        |
| `bell`              | list   | one element if jobs wait: who takes it, of the idle batchers, claims    | taken, TTL        |
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
| `model`             | string | the namespace's model, JSON: fingerprint, name, identity, since         | TTL               |
| `model:counted`     | string | when an upstream last counted for `model`, unix ms of Redis's clock     | TTL               |
| `pace:<upstream>`   | string | what was used of its minute's budget, and when; numbers of `claim.lua`  | TTL               |
| `learnt:<upstream>` | string | what a batcher on duty has learnt of its calls last, and of which model  | TTL               |
| `trial`             | string | its life in ms, and who tries alone what an upstream may have died of   | tried, TTL        |
| `dead`              | list   | jobs that three batchers, or the upstream twice, died with              | capped, TTL       |
| `epoch`             | string | unique; another value means that this Redis lost its data               | TTL               |
| `preflight`         | string | empty: written before a start to learn whether this Redis takes writes  | unlinked, TTL     |
| `models`            | hash   | batcher -> the name of the model that it serves, its aliases, JSON      | TTL               |
| `activities`        | zset   | worker or batcher -> when it said what it did, unix ms of Redis's clock | TTL               |
| `activity:<id>`     | string | what that worker or batcher did in the last minute, JSON                | TTL               |
| `cache:<name>`      | string | one cached row behind its checksum; names are hex digits                | evicted, TTL      |
| `cache:index`       | zset   | `<name>:<bytes>` -> when it was stored, unix ms of Redis's clock        | TTL               |
| `cache:bytes`       | string | the sum of the bytes in `cache:index`                                   | TTL               |

A job id is `<worker>.<number>`: its part before the stop names the inbox that the reply belongs to.

The scripts know no number and no name of their own: both are passed in from here.
"""

WAITING_TTL_MS = 86_400_000
GONE_TTL_MS = 600_000  # as long as the longest request may wait
CLAIM_TTL_MS = (
    86_400_000  # of `claimed:`, `leases` and `attempts:`: longer than any lease, or an hour's step of the clock
)
RENEWED_WITHIN_MS = 4_000  # a live batcher renews its lease once a second, however long it is
DEAD_JOBS_MAX, DEAD_TTL_MS = 100, 604_800_000
EPOCH_TTL_MS = 86_400_000
REPORTS_TTL_MS = 60_000
ACTIVITY_TTL_MS = 60_000  # so long one that died is shown as silent
ANNOUNCED_TTL_MS = 86_400_000  # so long requests for a model that has gone are refused, and not given to another one
PREFLIGHT_TTL_MS = 1_000  # it is unlinked at once; this is for a connection that breaks between the two
PACE_MINUTES = 2  # after one without a claim the budget is whole again, as if it had never been touched
MODEL_TTL_MS = 604_800_000  # a batcher that starts after a week's outage finds the model that was served before
LEARNT_TTL_MS = MODEL_TTL_MS  # it was learnt of that model

ALWAYS_TAKEN_BYTES = 1_000_000  # a value that every Redis takes: `proto-max-bulk-len` is 1 MiB at least
BYTES_PER_INPUT = 8192  # a job weighs one input for each of these, or its inputs if they are more: so bytes are bounded


class Keys:
    """The keys of one model of a namespace. A method with an empty argument gives what its names begin with.

    Args:
        namespace: The namespace.
        model: The model's name, as `contract.model_names` allows it: without a colon. Empty: the unnamed model.
    """

    def __init__(self, namespace: str, model: str = "") -> None:
        common = f"{{{namespace}}}:"
        self.models = common + "models"
        self.activities = common + "activities"
        self._activity = common + "activity:"
        self.prefix = prefix = f"{common}m:{model}:" if model else common
        self.jobs = prefix + "jobs"
        self.bulk = prefix + "jobs:bulk"
        self.retry = prefix + "retry"
        self.suspects = prefix + "suspects"
        self.bell = prefix + "bell"
        self.waiting = prefix + "waiting"
        self.waiting_bulk = prefix + "waiting:bulk"
        self.gone = prefix + "gone"
        self.leases = prefix + "leases"
        self.batchers = prefix + "batchers"
        self.model = prefix + "model"
        self.model_counted = prefix + "model:counted"
        self.trial = prefix + "trial"
        self.dead = prefix + "dead"
        self.epoch = prefix + "epoch"
        self.preflight = prefix + "preflight"
        self.cache_index = prefix + "cache:index"
        self.cache_bytes = prefix + "cache:bytes"

    def activity(self, process: str) -> str:
        return self._activity + process

    def pace(self, upstream: str) -> str:
        return f"{self.prefix}pace:{upstream}"

    def learnt(self, upstream: str) -> str:
        return f"{self.prefix}learnt:{upstream}"

    @property
    def is_unnamed(self) -> bool:
        """Whether they are those of the unnamed model."""
        return self.models.startswith(self.prefix)

    def of_version(self, version: int) -> str:
        return f"{self.jobs}:v{version}"

    def claimed(self, batcher: str) -> str:
        return f"{self.prefix}claimed:{batcher}"

    def attempts(self, job: str) -> str:
        return f"{self.prefix}attempts:{job}"

    def reply(self, job: str) -> str:
        return f"{self.prefix}reply:{job}"

    def inbox(self, worker: str) -> str:
        return f"{self.prefix}inbox:{worker}"

    def cached(self, name: str) -> str:
        return f"{self.prefix}cache:{name}"
