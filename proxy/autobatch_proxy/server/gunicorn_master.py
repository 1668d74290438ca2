"""The gunicorn master: gunicorn's own, which at SIGHUP replaces its workers only where the settings can be read."""

from gunicorn.arbiter import Arbiter


class GunicornMaster(Arbiter):  # type: ignore[misc]
    """Starts, watches and replaces the workers of one host."""

    def reload(self) -> None:
        """Let new workers take over, and the old ones finish what they have; with faults in the settings nothing happens."""
        if self.app.read_settings_again():
            super().reload()
