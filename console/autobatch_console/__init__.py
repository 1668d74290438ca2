"""The `autobatch` command for people. Never imported by a server process."""
