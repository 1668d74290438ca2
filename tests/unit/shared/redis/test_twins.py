"""A number or a name that two languages or two scripts share has one home, in Python, and is passed into the scripts."""

import ast
import re
from collections.abc import Mapping
from itertools import chain
from math import prod
from typing import TypeGuard

import pytest

from autobatch_shared.contract.keys import Keys
from tests.support.paths import ROOT

SMALL_MAX = 15  # places of arguments, steps, and what is added or taken away
MEANT_DIFFERENTLY = {1000.0: "milliseconds in a second"}

PRODUCT = ("autobatch/autobatch_shared", "proxy/autobatch_proxy", "batcher/autobatch_batcher")
SCRIPTS = {path.name: path.read_text() for path in (ROOT / PRODUCT[0] / "redis" / "scripts").glob("*.lua")}
MODULES = {
    str(path.relative_to(ROOT)): path.read_text() for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")
}


def code_of(script: str) -> str:
    """A Lua script without its comments."""
    return re.sub(r"--.*", "", script)


def lua_numbers(script: str) -> set[float]:
    without_strings = re.sub(r"'[^']*'", "''", code_of(script))
    return {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e\d+)?", without_strings)}


def lua_constants(script: str) -> set[str]:
    return set(re.findall(r"\blocal ([A-Z][A-Z0-9_]*) *=", code_of(script)))


def lua_strings(script: str) -> set[str]:
    return set(re.findall(r"'([^']*)'", code_of(script)))


def python_numbers(module: str) -> set[float]:
    """Its literals, and products of literals such as `60 * 60`."""
    found = set()
    for node in ast.walk(ast.parse(module)):
        factors = [node.left, node.right] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) else [node]
        values = [float(each.value) for each in factors if isinstance(each, ast.Constant) and is_number(each.value)]
        if len(values) == len(factors):
            found.add(prod(values))
    return found


def is_number(value: object) -> TypeGuard[float]:
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def python_constants(module: str) -> set[str]:
    return set(re.findall(r"^([A-Z][A-Z0-9_]*)\b", module, re.MULTILINE))


def twins(scripts: Mapping[str, str], modules: Mapping[str, str]) -> set[str]:
    """The numbers and names of constants that stand in a script and also in another script or in a module."""
    found = set()
    numbers_in_modules = set(chain(*map(python_numbers, modules.values())))
    constants_in_modules = set(chain(*map(python_constants, modules.values())))
    for name, script in scripts.items():
        others = [other for other_name, other in scripts.items() if other_name != name]
        numbers = numbers_in_modules.union(*map(lua_numbers, others))
        shared = {number for number in lua_numbers(script) & numbers if number > SMALL_MAX or not number.is_integer()}
        constants = constants_in_modules.union(*map(lua_constants, others))
        found |= {f"{name}: {number:.15g}" for number in shared - MEANT_DIFFERENTLY.keys()}
        found |= {f"{name}: {constant}" for constant in lua_constants(script) & constants}
    return found


def test_no_number_and_no_constant_has_a_twin() -> None:
    assert set() == twins(SCRIPTS, MODULES)


@pytest.mark.parametrize("number", MEANT_DIFFERENTLY)
def test_what_is_excepted_is_there(number: float) -> None:
    assert sum(number in lua_numbers(script) for script in SCRIPTS.values()) > 1


def test_no_script_makes_up_the_name_of_a_key() -> None:
    """Each key is passed in, or what it begins with."""
    keys = Keys("n")
    plain = {value for name, value in vars(keys).items() if name != "prefix"}
    begun = {make("") for make in (keys.claimed, keys.attempts, keys.reply, keys.inbox, keys.cached)}
    parts = {part for key in plain | begun for part in key.removeprefix(keys.prefix).split(":") if part}

    assert {"jobs", "bulk", "claimed", "reply", "cache"} <= parts
    made_up = {
        (name, text) for name, script in SCRIPTS.items() for text in lua_strings(script) if parts & set(text.split(":"))
    }
    assert set() == made_up


@pytest.mark.parametrize(
    ("scripts", "modules", "expected"),
    [
        ({"a": "local x = 8192", "b": "if y > 8192 then end"}, {}, {"a: 8192", "b: 8192"}),
        ({"a": "redis.call('PEXPIRE', k, 604800000)"}, {"p": "TTL_MS = 604_800_000"}, {"a: 604800000"}),
        ({"a": "local x = 3600 -- s"}, {"p": "def f(): return 60 * 60"}, {"a: 3600"}),
        ({"a": "local x = 0.25 * 100"}, {"p": "x = 100.0"}, {"a: 100"}),
        ({"a": "local x = 0.25"}, {"p": "SHARE = 0.25"}, {"a: 0.25"}),
        ({"a": "local DEAD_MAX = 1", "b": "local DEAD_MAX = 2"}, {}, {"a: DEAD_MAX", "b: DEAD_MAX"}),
        ({"a": "local DEAD_MAX = ARGV[1]"}, {"p": "DEAD_MAX = 100"}, {"a: DEAD_MAX"}),
        ({"a": "local x = ARGV[2] -- 8192"}, {"p": "x = 8192"}, set()),
        ({"a": "local x = '8192'"}, {"p": "x = 8192"}, set()),
        ({"a": "local x2048 = y - 1"}, {"p": "x = 2048"}, set()),
        ({"a": "local x = time[1] * 1000"}, {"p": "x = 1000"}, set()),
        ({"a": "local x = 8192"}, {"p": "x = 8193"}, set()),
    ],
)
def test_a_twin_is_found(scripts: dict[str, str], modules: dict[str, str], expected: set[str]) -> None:
    assert expected == twins(scripts, modules)
