"""API keys in a file."""

from hashlib import sha256
from pathlib import Path

import pytest

from autobatch_proxy.access.bearer_keys import Access
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.named_files import read_keys


def test_a_line_is_a_key(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# clients\n\nfirst\n  second  \nschlüssel\n")
    assert read_keys(str(file)) == ("first", "second", "schlüssel")


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# nobody\n", b"\xff\xfe", b"first\nsha256:abc\n"])
def test_a_file_without_a_key_or_with_one_that_cannot_be_meant_prevents_a_start(tmp_path: Path, text: bytes) -> None:
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
