"""The span of each batch, and of the time that its jobs waited for it.

    POST /embed             in the worker: the parent of what follows
      queue                 from the job's push until its batch leaves, linked to the batch
      process autobatch     the batch, linked to the requests of all its jobs; in the trace of the oldest
        embeddings MODEL    a call: `call_spans`

Names and attributes are OpenTelemetry's, as of any consumer of messages:
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

import time
from collections.abc import Sequence

from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, get_current_span, use_span

from autobatch_batcher.calling.outcomes import AnsweringBatches, Early, JobOutcome
from autobatch_batcher.jobs import Job
from autobatch_batcher.upstreams.slots import Slot
from autobatch_shared.redis.clock import RedisClock
from autobatch_shared.tracing.spans import parent_in


class TracedCaller:
    """Answers batches as another one does, in a span where a request of theirs has one.

    Args:
        caller: Answers them.
        tracer: Starts spans.
        clock: Redis's clock, by which the arrival of jobs is known.
        queue: The name of the queue, as spans have it.
    """

    def __init__(self, caller: AnsweringBatches, tracer: Tracer, clock: RedisClock, queue: str) -> None:
        self._caller = caller
        self._tracer = tracer
        self._clock = clock
        self._attributes = {
            "messaging.system": "redis",
            "messaging.destination.name": queue,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
        }
        self._name = f"process {queue}"

    async def answer(self, jobs: Sequence[Job], slot: Slot, *, early: Early | None = None) -> list[JobOutcome]:
        """Return one outcome a job, in the same order."""
        traced = [job for job in jobs if job.header.trace]
        if not traced:
            return await self._caller.answer(jobs, slot, early=early)
        span = self._begin(jobs, traced)
        with use_span(span, end_on_exit=True):
            outcomes = await self._caller.answer(jobs, slot, early=early)
            failed = sum([outcome.is_failure for outcome in outcomes])
            if failed:
                span.set_attribute("autobatch.batch.jobs_failed", failed)
                span.set_status(StatusCode.ERROR)
            return outcomes

    def _begin(self, jobs: Sequence[Job], traced: Sequence[Job]) -> Span:
        """Start the span of a batch, and write those of the time before it."""
        parents = [parent_in(job.header.trace) for job in traced]
        requests = [get_current_span(parent).get_span_context() for parent in parents]
        now_ns, now_ms = time.time_ns(), self._clock.exact_ms()
        span = self._tracer.start_span(
            self._name,
            parents[0],
            SpanKind.CONSUMER,
            {
                **self._attributes,
                "messaging.batch.message_count": len(jobs),
                "autobatch.batch.inputs": sum([job.header.n for job in jobs]),
                "autobatch.route": jobs[0].header.route,
            },
            list({request.span_id: Link(request) for request in requests}.values()),
            now_ns,
        )
        link = Link(span.get_span_context())
        for job, parent in zip(traced, parents, strict=True):
            # From the end of the millisecond that the job names: it shall not begin before the request that made the job.
            waited_ns = int(max(0.0, now_ms - job.header.at - 1) * 1_000_000)
            waiting = self._tracer.start_span(
                "queue",
                parent,
                attributes={"messaging.message.id": job.header.id, "autobatch.job.inputs": job.header.n},
                links=[link],
                start_time=now_ns - waited_ns,
            )
            waiting.end(now_ns)
        return span
