"""`python -m tests.servers NAME PORT [HTTP_PORT]`: be one of the servers, as for `autobatch bench beside --upstream-command`.

Its files are kept in `run/servers/NAME`.
"""

import sys

from tests.servers.model_server import SERVERS
from tests.support.paths import ROOT


def main(name: str, port: str, http_port: str = "0") -> None:
    """Start it; PORT is where it is called, HTTP_PORT where one that is called over gRPC has HTTP, too."""
    folder = ROOT / "run/servers" / name
    folder.mkdir(parents=True, exist_ok=True)
    SERVERS[name](folder, (int(port), int(http_port))).become()


if __name__ == "__main__":
    main(*sys.argv[1:])
