"""Read the file of authorities that INFERENCE_CA_FILE names: a batcher does at its start, and the preflight before it."""

import ssl

from autobatch_shared.settings.loading import SettingsError


def trusting(ca_file: str | None) -> ssl.SSLContext | None:
    """Return what checks certificates by the authorities in a file besides this machine's; None without a file.

    Raises:
        SettingsError: The file cannot be read, or has no certificates.
    """
    if ca_file is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as exc:  # which ssl.SSLError is, too
        said = "it has none" if isinstance(exc, ssl.SSLError) else exc.strerror
        raise SettingsError([f"INFERENCE_CA_FILE: not a file of PEM certificates: {said} (got {ca_file!r})"]) from exc
    return context
