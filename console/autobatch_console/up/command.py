"""`autobatch up`: everything on one machine, supervised, by one command.

This module connects the others: settings, the machine's programs, the plan, the supervisor, signals.
"""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from autobatch_console.preflight import ports
from autobatch_console.preflight.diagnoses import Diagnosis, faults_of, warnings_of
from autobatch_console.preflight.machine_diagnoses import look_at_port
from autobatch_console.supervising import running
from autobatch_console.supervising.first_vector import FirstVectorError, first_vector
from autobatch_console.supervising.running import Running
from autobatch_console.supervising.supervisor import StartError, Supervisor
from autobatch_console.up import nginx_files, programs, run_folder, start_plan, survey
from autobatch_console.up.parts import Part, Stage, StartPlan
from autobatch_console.up.progress import ProgressReport
from autobatch_console.up.run_folder import RunFolder
from autobatch_console.up.settings import UpSettings, flags_as_environment, flags_help
from autobatch_console.up.survey import WaitedFor
from autobatch_shared.cores import cores
from autobatch_shared.settings.files.model_tables import load_models
from autobatch_shared.settings.loading import load
from autobatch_shared.settings.origins import origins_of
from autobatch_shared.settings.remarks import remarks_of

FIRST_VECTOR_MIN_S = 5.0  # for the first vector, however long the start of the parts took
LOGS_LOOK_S = 10.0  # between two checks of the logs' size
SLOW_S = 5.0  # then a line says what `up` is waiting for

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
HELP = f"""Start Redis, the embedder, the batcher, the proxy workers and nginx, and keep them running until Ctrl-C.

What REDIS_URL and INFERENCE_URL name is used, and not started.

Every setting is a flag, an environment variable, a line of `.env` or of `config.toml`:

\b
{flags_help()}
"""


def command(
    ctx: typer.Context,
    *,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder for sockets and logs, kept at the end; unset: a temporary one.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the output of all parts here.")] = False,
    start_timeout: Annotated[float, typer.Option(min=1, help="Seconds until everything must be ready.")] = 120.0,
) -> None:
    """Start everything and supervise it until a signal stops it."""
    settings, models = load(UpSettings, ctx.args), load_models(UpSettings, ctx.args)
    workers = settings.web_concurrency or cores()
    changed = [str(each) for each in origins_of(settings, ctx.args) if each.is_changed]
    report = ProgressReport(settings, models, changed)
    try:
        _check(settings)
        with run_folder.opened(run_dir, workers) as folder:
            has_keys = bool(settings.keys or settings.api_keys_file)
            own_key = secrets.token_urlsafe(32) if has_keys else None
            flags = flags_as_environment(ctx.args)
            prepare = partial(_prepare, settings, models, flags, folder, workers, own_key, verbose=verbose)
            made, diagnoses = asyncio.run(_prepare_and_look(prepare, settings, models))
            said = _refuse_or_warn(diagnoses, report)
            up = Up(
                made,
                [model.served_model_name or "" for model in models],
                folder,
                report,
                WaitedFor(settings, models, said, made.part("batcher").address),
                own_key,
                verbose=verbose,
            )
            status = asyncio.run(up.run(start_timeout))
    except (PreflightError, run_folder.RunFolderError, programs.NotFoundError) as error:
        sys.stderr.write(f"autobatch: {error}\n")
        status = 1
    raise typer.Exit(status)


class PreflightError(Exception):
    """Something that the settings name cannot be used; the text says what, a line each."""


class Up:
    """One run of a plan, from its first process to its last.

    Args:
        made: The plan.
        names: The models' names; the empty one is that of the unnamed model.
        folder: Has the logs.
        report: Is told what happens.
        waited_for: Knows what is wrong with the servers that the settings name.
        own_key: With which the first vectors are asked for; None: without one.
        verbose: Whether the parts print here, not into the logs.
    """

    def __init__(
        self,
        made: StartPlan,
        names: Sequence[str],
        folder: RunFolder,
        report: ProgressReport,
        waited_for: WaitedFor,
        own_key: str | None,
        *,
        verbose: bool,
    ) -> None:
        self._plan = made
        self._names = names
        self._folder = folder
        self._report = report
        self._waited_for = waited_for
        self._own_key = own_key
        self._verbose = verbose
        self._supervisor = Supervisor(self._start_part, report.event)
        self._told_to_stop = asyncio.Event()

    async def run(self, start_limit_s: float) -> int:
        """Start everything, wait for a signal, stop everything. Return the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                loop.add_signal_handler(number, self._on_signal, number)
        serving = asyncio.create_task(self._serve(start_limit_s))
        stopping = asyncio.create_task(self._told_to_stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():  # it ends only with an error
                serving.result()
        except (StartError, FirstVectorError) as error:
            self._explain(error)
            return 1
        else:
            return 0
        finally:
            stopping.cancel()
            serving.cancel()
            await self._supervisor.stop()

    async def _serve(self, start_limit_s: float) -> None:
        """Start the stages in order, then keep the logs small until cancelled."""
        deadline_mono_s = time.monotonic() + start_limit_s
        for note in self._plan.notes:
            self._report.say(f"  {note}")
        naming = asyncio.create_task(self._waited_for.name_changes(self._report.waits_for))
        try:
            for number, stage in enumerate(self._plan.stages):
                for launched in self._plan.launched_with(number):
                    self._supervisor.launch(launched)
                await self._start_stage(stage, max(deadline_mono_s - time.monotonic(), 0.0))
        finally:
            naming.cancel()
        self._supervisor.all_are_up()
        served = {}
        for name in self._names:
            left_s = max(deadline_mono_s - time.monotonic(), FIRST_VECTOR_MIN_S)
            served[name] = await first_vector(self._plan.address, self._own_key, left_s, self._report.waits_for, name)
        self._report.ready(served, self._plan.parts, self._folder, verbose=self._verbose)
        while True:
            await asyncio.sleep(LOGS_LOOK_S)
            self._folder.bound_logs()

    async def _start_stage(self, stage: Stage, left_s: float) -> None:
        """Start some parts, and say when that takes long."""
        patience = asyncio.get_running_loop().call_later(SLOW_S, self._report.waiting, stage, left_s)
        try:
            for started in await self._supervisor.start(stage, left_s):
                self._report.started(started.part, started.pid)
        finally:
            patience.cancel()

    async def _start_part(self, part: Part) -> Running:
        if self._verbose:
            return await running.start(part, os.environ, None)
        with self._folder.log(part.name).open("ab") as output:
            return await running.start(part, os.environ, output)

    def _on_signal(self, number: signal.Signals) -> None:
        if not self._told_to_stop.is_set():
            self._told_to_stop.set()
            self._report.say("stopping; Ctrl-C again kills")
        elif number == signal.SIGINT:
            self._supervisor.kill()

    def _explain(self, error: StartError | FirstVectorError) -> None:
        """Say what ended the start, and last, after what a part had to say, what it waited for."""
        longer = "; --start-timeout gives it longer" if isinstance(error, StartError) and error.is_late else ""
        sys.stderr.write(f"autobatch: {error}{longer}\n")
        if not self._verbose:
            self._folder.is_kept = True
            tail = self._folder.tail(error.part.name if isinstance(error, StartError) else "batcher")
            sys.stderr.write(f"{tail}\nautobatch: all logs are in {self._folder.path}\n")
        for reason in self._waited_for.reasons:
            sys.stderr.write(f"autobatch: {reason}\n")


def _check(settings: UpSettings) -> None:
    """Refuse settings that cannot work, before anything is started."""
    if settings.uds_path:
        raise run_folder.RunFolderError("UDS_PATH: leave it unset, `autobatch up` gives each worker its own")
    diagnosis = look_at_port(settings.host, settings.port)
    if diagnosis.state == "wrong":
        raise PreflightError(str(diagnosis))


async def _prepare_and_look(
    prepare: Callable[[], StartPlan], settings: UpSettings, models: Sequence[UpSettings]
) -> tuple[StartPlan, list[Diagnosis]]:
    """Return the plan, and what is true of what the settings name: this machine's programs and the servers are asked side by side."""
    looking = asyncio.create_task(survey.look_around(settings, models))
    made = await asyncio.to_thread(prepare)
    return made, await looking


def _refuse_or_warn(diagnoses: Sequence[Diagnosis], report: ProgressReport) -> list[str]:
    """Refuse what cannot work, report the rest that is not right, and return that."""
    if faults := faults_of(diagnoses):
        raise PreflightError("\nautobatch: ".join(faults))
    warnings = warnings_of(diagnoses)
    for warning in warnings:
        report.waits_for(warning)
    return warnings


def _prepare(
    settings: UpSettings,
    models: Sequence[UpSettings],
    flags: Mapping[str, str],
    folder: RunFolder,
    workers: int,
    own_key: str | None,
    *,
    verbose: bool,
) -> StartPlan:
    """Inspect the machine, write nginx's files, and return what to start."""
    path = programs.search_path()
    redis = survey.redis_to_start(settings, models, path)
    shutil.rmtree(start_plan.metrics_folder(folder.path), ignore_errors=True)  # an earlier run's counters are not ours
    start_plan.metrics_folder(folder.path).mkdir()
    prefix = folder.path / "nginx"
    nginx_files.write(
        prefix,
        nginx_files.upstream_conf(start_plan.worker_sockets(folder.path, workers)),
        nginx_files.listen_conf(
            settings.host,
            settings.port,
            payload_limit=settings.payload_limit,
            request_timeout_ms=settings.request_timeout_ms,
            access_log="/dev/stdout" if verbose else str(folder.log("access")),
        ),
    )
    nginx, faults = programs.find_nginx(path, lambda argv: nginx_files.fault_of(argv, prefix))
    embedder_port = ports.choose(settings.embedder_host, settings.embedder_port, {settings.port})
    made = start_plan.make_plan(
        settings,
        models,
        flags,
        start_plan.Machine(
            run_dir=folder.path,
            redis=redis,
            nginx=nginx and replace(nginx, argv=nginx_files.argv(nginx.argv, prefix)),
            workers=workers,
            embedder_port=embedder_port,
            own_key=own_key,
            batcher_port=ports.choose(settings.batcher_host, settings.batcher_port, {settings.port, embedder_port}),
        ),
    )
    return replace(made, notes=(*remarks_of(settings), *(f"nginx: {fault}" for fault in faults), *made.notes))
