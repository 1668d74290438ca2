"""`autobatch up` as its users start it."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers.matrix.asking import Asker
from tests.servers.matrix.document import ServerColumn
from tests.servers.model_server import START_S
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.waiting import wait_until


class UpProcess(Process):
    """`autobatch up` on a port.

    Attributes:
        url: Where its clients ask.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(folder, "up", host="127.0.0.1", port=port, **{"batcher_port": 0} | settings)

    def command(self, _folder: Path, _module: str) -> list[str]:
        """The command to run."""
        return [sys.executable, "-P", "-m", "autobatch_console", "up"]

    async def column(self, asker: Asker) -> ServerColumn:
        """Return what each route is, asked as soon as the system is healthy, and check what is answered."""

        async def is_ready() -> bool:
            assert self.is_running, self.output
            return await asker.is_ready()

        await wait_until(is_ready, START_S)
        column = await asker.ask_all()
        await asker.check()
        return column


@asynccontextmanager
async def up_before(folder: Path, inference_url: str, **settings: object) -> AsyncIterator[UpProcess]:
    """Start it before an upstream; stop it in the end."""
    process = UpProcess(folder, inference_url=inference_url, **settings)
    try:
        yield process
    finally:
        process.close()
