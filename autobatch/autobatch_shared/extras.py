"""What to type for an optional part of this package."""

from importlib.metadata import version

DISTRIBUTION = "autobatch-proxy"  # on the package index `autobatch` is another project


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the installed version.

    With the version in it, which is installed: pip then fetches the extra's packages and leaves this one as it is.
    """
    return f"pip install '{DISTRIBUTION}[{extra}]=={version(DISTRIBUTION)}'"
