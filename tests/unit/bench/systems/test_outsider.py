"""Programs of others: their commands."""

from autobatch_bench.systems.outsider import Outsider


def test_the_places_of_a_command_are_filled_after_it_was_cut_into_words() -> None:
    outsider = Outsider("x", 'env PORT={port} "/opt/a b/proxy" --to {upstream}')
    assert outsider.argv(3001, "http://h:80") == ("env", "PORT=3001", "/opt/a b/proxy", "--to", "http://h:80")


def test_one_that_is_called_over_grpc_gets_a_second_port() -> None:
    outsider = Outsider("x", "server {grpc_port} {port}")
    assert outsider.has_grpc
    assert outsider.argv(3001, grpc_port=3002) == ("server", "3002", "3001")
