"""Read the files that settings name, keys, vocabularies and authorities: a process does at its start, and the preflight before it.

Source of the ranks' format: tiktoken's `*.tiktoken` files, a line for each token: its bytes in base64, a space, its id.
"""

import re
import ssl
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from autobatch_shared.settings.definitions import fault_of_keys
from autobatch_shared.settings.files.renewed_files import TlsFiles
from autobatch_shared.settings.loading import SettingsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

HASH_NAMED = re.compile(r"[0-9a-f]{8}\.[0-9]+").fullmatch  # as OpenSSL looks for a certificate in a folder of them
RANKS = dict.fromkeys(range(100_256)).keys()  # no other vocabulary of OpenAI's has this number of them


def read_tokenizer(path: str) -> "Tokenizer":
    """Return the tokenizer of a `tokenizer.json`, which neither cuts nor pads.

    Raises:
        SettingsError: As of `read_own_tokenizer`.
    """
    tokenizer = read_own_tokenizer(path)
    # The file may carry both, tuned for training: MiniLM's cuts at 128 and pads everything to 128.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_own_tokenizer(path: str) -> "Tokenizer":
    """Return the tokenizer of a `tokenizer.json` as it is written there.

    Raises:
        SettingsError: It cannot be read, or the package for it is missing.
    """
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - an optional dependency, and 10 ms
    except ImportError as exc:
        raise SettingsError(["TOKENIZER_FILE: needs the package `tokenizers`, which is not installed"]) from exc
    try:
        return Tokenizer.from_file(path)
    except Exception as exc:  # tokenizers raises plain Exception
        raise SettingsError([f"TOKENIZER_FILE: not a tokenizer: {exc} (got {path!r})"]) from exc


def read_ranks(path: str | None) -> dict[int, bytes]:
    """Return the bytes of each token of `cl100k_base.tiktoken`, by its id.

    Raises:
        SettingsError: There is none, it cannot be read, or it has the ranks of another vocabulary.
    """
    if path is None:
        raise SettingsError(["OPENAI_TOKEN_IDS=cl100k needs CL100K_FILE, the path of a cl100k_base.tiktoken"])
    try:
        lines = Path(path).read_bytes().splitlines()
        pairs = [line.split(b" ") for line in lines if line]
        token_of = {int(rank): b64decode(token, validate=True) for token, rank in pairs}
    except (OSError, ValueError) as exc:
        raise SettingsError([f"CL100K_FILE: not a tiktoken file of ranks: {exc} (got {path!r})"]) from exc
    if token_of.keys() != RANKS:
        raise SettingsError(
            [f"CL100K_FILE: not cl100k_base, which has {len(RANKS)} ranks: {len(token_of)} (got {path!r})"]
        )
    return token_of


def read_keys(path: str) -> tuple[str, ...]:
    """Return the keys of a file; empty lines and those that begin with `#` are none.

    Raises:
        SettingsError: It cannot be read, holds no key, or one that cannot be meant.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError([f"API_KEYS_FILE: cannot be read: {type(exc).__name__} (got {path!r})"]) from exc
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise SettingsError([f"API_KEYS_FILE: holds no key: all would be let in (got {path!r})"])
    if fault := fault_of_keys(keys):
        raise SettingsError([f"API_KEYS_FILE: {fault} (got {path!r})"])
    return keys


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


def trust_of(ca_file: str | None, alpn: Sequence[str] = ()) -> TlsFiles:
    """Return what checks each new connection's certificate by what the files have then; nothing is read before the first.

    Args:
        ca_file: That of authorities besides this machine's.
        alpn: What the connections offer to speak.
    """

    def made() -> ssl.SSLContext:
        context = trusting(ca_file) or ssl.create_default_context()
        context.set_alpn_protocols(alpn)
        return context

    return TlsFiles(made, () if ca_file is None else (ca_file,))


def own_authorities() -> bytes:
    """Return the certificates of this machine's authorities in PEM, for gRPC, which does not look for them; empty: there are none.

    Source: OpenSSL's X509_LOOKUP_hash_dir: a file, and a folder whose files are named for their hashes.
    """
    own = ssl.get_default_verify_paths()
    files = [Path(own.cafile)] if own.cafile else []
    if own.capath:
        files += sorted(file for file in Path(own.capath).iterdir() if HASH_NAMED(file.name))
    found = []
    for file in files:
        with suppress(OSError):  # OpenSSL passes over it, too
            found.append(file.read_bytes())
    return b"\n".join(found)
