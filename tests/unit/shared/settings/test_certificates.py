"""The authorities of upstreams' certificates: a file of them, or one clear fault at the start."""

import ssl
from pathlib import Path

import pytest
import trustme

from autobatch_shared.settings.certificates import trusting
from autobatch_shared.settings.loading import SettingsError


def test_a_file_of_authorities_is_trusted_besides_this_machines(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))

    trust = trusting(str(file))
    assert isinstance(trust, ssl.SSLContext)
    assert trust.verify_mode is ssl.CERT_REQUIRED
    assert trusting(None) is None


@pytest.mark.parametrize("text", [None, "", "nonsense"])
def test_a_file_without_authorities_is_refused(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match="INFERENCE_CA_FILE: not a file of PEM certificates"):
        trusting(str(file))
