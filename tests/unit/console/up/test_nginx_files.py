"""The files for nginx."""

import re
from pathlib import Path

from autobatch_console.up import nginx_files
from autobatch_shared.settings.definitions import ProxySettings

LISTEN = """listen {address} backlog=4096;
client_max_body_size 3048576;
proxy_read_timeout 40000ms;
proxy_next_upstream_timeout 30000ms;
access_log "/run/ab/access.log" access buffer=64k flush=1s;
"""


def listen_conf(host: str) -> str:
    return nginx_files.listen_conf(
        host, 3000, payload_limit=2_000_000, request_timeout_ms=30_000, access_log="/run/ab/access.log"
    )


def test_limits_are_a_little_wider_than_the_workers_own() -> None:
    assert listen_conf("0.0.0.0") == LISTEN.format(address="0.0.0.0:3000")


def test_an_ipv6_address_is_put_in_brackets() -> None:
    assert listen_conf("::1").startswith("listen [::1]:3000 ")


def test_each_worker_is_a_server_line() -> None:
    assert nginx_files.upstream_conf([Path("/run/ab/a.sock"), Path("/run/ab/b.sock")]).splitlines() == [
        'server "unix:/run/ab/a.sock" max_fails=0;',
        'server "unix:/run/ab/b.sock" max_fails=0;',
    ]


def test_the_folder_has_all_that_nginx_needs(tmp_path: Path) -> None:
    nginx_files.write(tmp_path / "nginx", "upstream", "listen")

    names = {file.name for file in (tmp_path / "nginx").iterdir()}
    assert names == {"nginx.conf", "upstream.conf", "listen.conf"}


def test_nginx_runs_in_its_folder_in_the_foreground(tmp_path: Path) -> None:
    argv = nginx_files.argv(("nginx",), tmp_path)

    assert argv[:3] == ("nginx", "-p", f"{tmp_path}/")
    assert argv[-1].startswith("daemon off;")


def test_the_fault_of_an_nginx_is_its_own_complaint(tmp_path: Path) -> None:
    nginx = tmp_path / "nginx"
    nginx.write_text("#!/bin/sh\necho 'nginx: [warn] hm' >&2\necho 'nginx: [emerg] no such directive' >&2\nexit 1\n")
    nginx.chmod(0o755)

    assert nginx_files.fault_of((str(nginx),), tmp_path) == "nginx: [emerg] no such directive"


def test_the_server_line_of_docker_compose_asks_for_new_replicas() -> None:
    assert "server proxy:3000 resolve" in (nginx_files.conf_folder() / "compose" / "upstream.conf").read_text()


def test_two_processes_hold_more_requests_than_a_worker_refuses() -> None:
    """Else a connection is reset where the client should read 429."""
    conf = (nginx_files.conf_folder() / "nginx.conf").read_text()
    connections, files = (
        int(re.findall(rf"{name} (\d+);", conf)[0]) for name in ("worker_connections", "worker_rlimit_nofile")
    )
    requests = connections // 2

    assert 2 * requests >= ProxySettings.model_fields["max_queue_size"].default
    assert connections + requests < files, "each connection, and each body that nginx puts on the disk, is an open file"
