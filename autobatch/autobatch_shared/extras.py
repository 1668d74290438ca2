"""What to type for an optional part of this package."""

from importlib.metadata import version


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the installed version.

    With the version in it, because the index has another project under this name: pip would rather fail than fetch that.
    """
    return f"pip install 'autobatch[{extra}]=={version('autobatch')}'"
