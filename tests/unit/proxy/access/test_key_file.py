"""API keys in a file."""

from hashlib import sha256
from pathlib import Path

import pytest

from autobatch_proxy.access.bearer_keys import Access
from autobatch_proxy.access.key_file import read_keys
from autobatch_shared.settings.loading import SettingsError


def test_a_line_is_a_key(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# clients\n\nfirst\n  second  \nschlüssel\n")
    assert read_keys(str(file)) == ("first", "second", "schlüssel")


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# nobody\n", b"\xff\xfe"])
def test_a_file_without_a_key_lets_nobody_start(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "keys"
    file.write_bytes(text)
    with pytest.raises(SettingsError, match="API_KEYS_FILE"):
        read_keys(str(file))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        read_keys(str(tmp_path / "nowhere"))


def test_a_hashed_key_opens_for_who_has_the_key() -> None:
    written = f"sha256:{sha256(b'first').hexdigest()}"
    access = Access([written.upper().replace("SHA256", "sha256"), "second"])
    assert access.is_granted("Bearer first")
    assert access.is_granted("Bearer second")
    assert not access.is_granted(f"Bearer {written}")


def test_what_only_looks_like_a_digest_is_a_key() -> None:
    assert Access(["sha256:abc"]).is_granted("Bearer sha256:abc")
