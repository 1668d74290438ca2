"""Jobs that wait for another call are told something just before their deadline, and only once."""

from autobatch_batcher.calling.outcomes import JobOutcome, unanswered
from autobatch_batcher.claiming.waiting import SAY_BEFORE_S, WaitingRoom
from autobatch_batcher.forming.lanes import Lanes
from autobatch_batcher.jobs import Job
from autobatch_shared.contract.errors import UpstreamOverloaded
from tests.unit.builders import make_job


def words(job: Job) -> JobOutcome:
    return unanswered(job, UpstreamOverloaded(), 0, may_wait=True)


def filled(*jobs: Job) -> tuple[WaitingRoom, Lanes]:
    lanes = Lanes(lambda _options: 0)
    room = WaitingRoom(lanes)
    for job in jobs:
        room.enter(job, words(job))
    return room, lanes


def test_jobs_that_wait_are_in_their_lanes_in_the_order_of_arrival() -> None:
    early, late = make_job("early", at=1), make_job("late", at=2)
    room, lanes = filled(late, early)

    assert [early, late] == list(lanes)
    assert not room.is_empty


def test_a_job_is_told_just_before_its_deadline() -> None:
    hurried, patient = make_job("hurried", deadline=1_000), make_job("patient", deadline=9_000)
    room, lanes = filled(hurried, patient)

    assert 1.0 - SAY_BEFORE_S == room.due_mono_s
    assert [] == room.take_due(1.0 - SAY_BEFORE_S - 0.001)
    assert [words(hurried)] == room.take_due(1.0 - SAY_BEFORE_S)
    assert [patient] == list(lanes)
    assert [] == room.take_due(1.0)


def test_no_step_of_rediss_clock_ends_a_wait() -> None:
    """The deadline of the frame is a time of that clock; the job's own is not."""
    job = make_job("a", deadline=1_000)
    room, _ = filled(Job(job.header, job.body, ends_mono_s=7.0))

    assert 7.0 - SAY_BEFORE_S == room.due_mono_s


def test_a_job_that_is_called_again_has_left() -> None:
    job = make_job("a", deadline=1_000)
    room, _ = filled(job)
    room.leave([job])

    assert room.is_empty
    assert [] == room.take_due(10.0)


def test_a_job_that_went_with_the_lease_is_told_nothing() -> None:
    """Another batcher has it now."""
    room, lanes = filled(make_job("a", deadline=1_000))
    lanes.clear()

    assert [] == room.take_due(10.0)
    assert room.is_empty
