"""One class name has one meaning: in the whole repository, and a private one in its package."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from tests.support.paths import ROOT, product_folder, repository_files

CLASS = re.compile(r"^class (\w+)", re.MULTILINE)
ALIAS = re.compile(r"^([A-Z]\w*[a-z]\w*) = ", re.MULTILINE)  # of a type: `Rows = list[bytes]`
#: Modules that several packages have, each in the same role; `tei` and `openai` are dialects of each side.
ROLES = {"__init__", "__main__", "app", "answers", "errors", "metrics", "openai", "routes", "tei"}


def sources() -> dict[PurePosixPath, str]:
    return {file: (ROOT / file).read_text(encoding="utf-8") for file in repository_files() if file.suffix == ".py"}


def repeated(names: Iterable[tuple[str, PurePosixPath]]) -> dict[str, list[str]]:
    """Return every name that stands in more than one place, with its places."""
    places = defaultdict(list)
    for name, file in names:
        places[name].append(str(file))
    return {name: found for name, found in places.items() if len(found) > 1}


def classes(is_meant: Callable[[str], bool]) -> list[tuple[str, PurePosixPath]]:
    return [(name, file) for file, text in sources().items() for name in CLASS.findall(text) if is_meant(name)]


def test_a_public_name_of_a_type_is_used_once() -> None:
    """The tests' own classes count, too: a fake of an `Upstream` is a `FakeUpstream`."""
    public = classes(lambda name: not name.startswith("_"))
    aliases = [(name, file) for file, text in sources().items() if product_folder(file) for name in ALIAS.findall(text)]
    assert repeated(public + aliases) == {}


def test_a_private_class_name_is_used_once_in_its_package() -> None:
    private = classes(lambda name: name.startswith("_"))
    assert repeated((f"{file.parts[0]}: {name}", file) for name, file in private) == {}


def test_a_module_name_is_used_once_in_the_product() -> None:
    """But for those of a role that each package has, such as its metrics."""
    modules = [(file.stem, file) for file in sources() if product_folder(file) and file.stem not in ROLES]
    assert repeated(modules) == {}


def test_a_repeated_name_is_found() -> None:
    one, other = PurePosixPath("a.py"), PurePosixPath("b.py")
    assert repeated([("Plan", one), ("Job", one), ("Plan", other)]) == {"Plan": ["a.py", "b.py"]}
