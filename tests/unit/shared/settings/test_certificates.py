"""The authorities of upstreams' certificates: a file of them, or one clear fault at the start."""

import ssl
from pathlib import Path

import pytest
import trustme

from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import own_authorities, trusting


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


def test_this_machines_authorities_are_those_of_its_file_and_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenSSL reads them: of the folder only what is named for its hash, and what cannot be read not at all."""
    in_file, in_folder, unnamed = (trustme.CA().cert_pem.bytes() for _ in range(3))
    (tmp_path / "own.pem").write_bytes(in_file)
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "0a1b2c3d.0").write_bytes(in_folder)
    (folder / "0a1b2c3d.1").symlink_to("missing")
    (folder / "unnamed.pem").write_bytes(unnamed)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))

    assert own_authorities().split() == (in_file + in_folder).split()


def test_a_machine_without_authorities_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "missing"))

    assert own_authorities() == b""
