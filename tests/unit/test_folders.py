"""The layout of the repository: small folders, and documents that name what exists."""

import re
from collections import Counter
from pathlib import PurePosixPath

import pytest

from tests.support.paths import PRODUCT, ROOT, repository_files

FILES_MAX = 12
VENDORED = re.compile(r"(^|/)swagger-ui$")
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
CODE = re.compile(r"`([^`\s]+)`")

#: A line of the map: a package and its layers.
MAP_LINE = re.compile(r"^(\w+)/autobatch_\w+/ +(.+)$", re.MULTILINE)


def layers() -> dict[str, set[str]]:
    """Return the folders right inside each import package of the product, by the package's top-level folder."""
    found: dict[str, set[str]] = {package: set() for package in PRODUCT}
    for file in repository_files():
        if file.parts[0] in PRODUCT and file.suffix == ".py":
            found[file.parts[0]].update(file.parts[2:-1][:1])
    return found


def paths_named_in(text: str) -> set[str]:
    """Return what a document links to, and its code spans that are paths: `folder/`, `folder/file.py`, `file.py`.

    A route begins with a slash and an address has a colon; neither is a path.
    """
    prose = FENCED.sub("", text)
    spans = (span for span in CODE.findall(prose) if not re.search(r"^/|[:<>{}=$]", span))
    suffixes = {file.suffix for file in repository_files()} - {""}
    paths = {span for span in spans if "/" in span or PurePosixPath(span).suffix in suffixes}
    return paths | set(LINK.findall(prose))


def exists(path: str) -> bool:
    """Whether a path, which may have a `*`, is the end of that of a file or folder of the repository."""
    wanted = path.rstrip("/")
    return any(
        candidate.match(wanted) for file in repository_files() for candidate in (file, *file.parents) if candidate.parts
    )


def test_no_folder_has_more_than_a_dozen_files_of_its_own() -> None:
    sizes = Counter(str(file.parent) for file in repository_files())
    assert {folder: count for folder, count in sizes.items() if count > FILES_MAX and not VENDORED.search(folder)} == {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document: str) -> None:
    named = paths_named_in((ROOT / document).read_text(encoding="utf-8"))
    assert len(named) > 5, "the documents name paths; the test does not see them"
    assert [path for path in sorted(named) if not exists(path)] == []


def test_the_map_names_every_layer() -> None:
    """A layer is a folder of an import package; the words of the map are the folders' names."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert {package: set(names.split()) for package, names in MAP_LINE.findall(text)} == layers()


def test_the_list_of_rooms_names_every_layer() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+(?=/)", text.partition("\n## The rooms\n")[2].partition("\n## ")[0]))
    missing = {package: folders - words for package, folders in layers().items()}
    assert {package: folders for package, folders in missing.items() if folders} == {}


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("see [this](docs/batching.md#x) and [that](https://example.org)", {"docs/batching.md"}),
        ("`proxy/` and `tests/parity/*.py`, `keys.py`", {"proxy/", "tests/parity/*.py", "keys.py"}),
        ("`/embed`, `http://host/x`, `bytes.split`, `KEYS[1]/2=x`, `a b/c`", set()),
        ("```sh\nmake `no/such`\n```\n", set()),
    ],
)
def test_a_path_is_told_from_other_code(text: str, paths: set[str]) -> None:
    assert paths_named_in(text) == paths


@pytest.mark.parametrize("path", ["tests/unit/no_such.py", "no_such/", "uni/", "nit/test_folders.py"])
def test_a_path_that_does_not_exist_is_found(path: str) -> None:
    assert not exists(path)
