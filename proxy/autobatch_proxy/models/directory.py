"""Which model a request is for, among those that batchers have announced. Pure.

1. A request that names a model is computed by that one or refused: vectors of two models must never mix.
2. One that names none is for the default; else for the model that is the only one. A default that has gone leaves its place
   empty: no other model takes its requests.
3. A name means one model. An alias that two of them have is refused.
"""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence

from autobatch_proxy.dialects.model_check import is_name_of, unknown
from autobatch_shared.contract.errors import InvalidRequest, ModelNotNamed, NoBatcher, UnknownModel
from autobatch_shared.contract.model_names import Announcement, may_be_in_path, spellings

#: A model is known for so long after its last batcher reported: meanwhile its requests get 503, later 404.
KNOWN_MS = 60_000
UNNAMED = ""


class Directory:
    """The models of a namespace that have names, and the unnamed one beside them.

    Attributes:
        names: Those that are known now, in order.
        words: By which a path may begin: the names of the models, and of their aliases those that are like names.
        clashes: What two of them claim, a sentence each: such requests are refused until a batcher gives it up.

    Args:
        announcements: What batchers announce, or did a while ago.
        now_ms: The time of that, unix milliseconds.
        served: Name of the unnamed model; empty while its upstreams do not say; None where no batcher has it.
        aliases: The unnamed model's further names.
    """

    def __init__(
        self,
        announcements: Sequence[Announcement] = (),
        now_ms: int = 0,
        served: str | None = None,
        aliases: Collection[str] = (),
    ) -> None:
        known = [said for said in announcements if now_ms - said.at < KNOWN_MS]
        self.names = tuple(sorted({said.name for said in known}))
        self._served = served
        self._own_aliases = aliases
        self._aliases: dict[str, set[str]] = {}
        for said in known:
            for alias in said.aliases:
                self._aliases.setdefault(alias, set()).add(said.name)
        own = (served, served.rpartition("/")[2], *aliases) if served else ()
        self.words = frozenset((*self.names, *filter(may_be_in_path, (*self._aliases, *own))))
        self._defaults = {said.name for said in known if said.is_default}
        self._had_defaults = {said.name for said in announcements if said.is_default}
        self.clashes = tuple(_clashes(self._aliases, self._defaults, set(self.names)))
        self._ever = {said.name for said in announcements} | ({UNNAMED} if served is not None else set())

    def named(self, name: str) -> str | None:
        """Return the model of this name or alias, or else of one that Ollama takes for the same; None where there is none.

        Raises:
            UnknownModel: Several models have this alias.
        """
        return next((model for each in spellings(name) if (model := self._named(each)) is not None), None)

    def _named(self, name: str) -> str | None:
        if name in self.names:
            return name
        owners = self._aliases.get(name, ())
        if len(owners) > 1:
            raise UnknownModel(f"The model `{name}` does not exist: it is an alias of {_listed(owners)}")
        if owners:
            return next(iter(owners))
        is_own = self._served is not None and is_name_of(self._served, name, self._own_aliases)
        return UNNAMED if is_own else None

    def default(self) -> str:
        """Return the model of a request that names none.

        Raises:
            ModelNotNamed: There are several, and none of them or more than one is the default.
            NoBatcher: The default has no batcher.
        """
        if len(self._defaults) == 1:
            return next(iter(self._defaults))
        if not self._defaults:
            if self._had_defaults:
                raise NoBatcher(f"The default model {_listed(self._had_defaults)} has no batcher; name another one")
            if self._served is not None:
                return UNNAMED
            if len(self._ever) == 1:
                return next(iter(self._ever))
        raise ModelNotNamed(
            f"Several models are served: {_listed(self.names)}; name one in the path, as in /NAME/embed, "
            "in the header x-model, or in the body of a route that has `model`"
        )

    def chosen(self, outside: Iterable[str], inside: str | None, *, is_checked: bool) -> str:
        """Return the model that a request is for.

        Args:
            outside: The names in its path and its headers.
            inside: The `model` of its body; None where it has none.
            is_checked: Whether `model` must be a name of the model, where that is chosen already.

        Raises:
            UnknownModel: It names a model that is not known.
            InvalidRequest: It names two.
            ModelNotNamed, NoBatcher: As `default` does.
        """
        models = [self._known(name) for name in outside]
        meant = None if inside is None else self.named(inside)
        if inside is not None and meant is None and (is_checked or not (models or len(self._ever) == 1)):
            raise unknown(inside)
        if meant is not None:
            models.append(meant)
        if len(set(models)) > 1:
            raise InvalidRequest("The request names two models: in its path, its header x-model or its body")
        return models[0] if models else self.default()

    def _known(self, name: str) -> str:
        model = self.named(name)
        if model is None:
            raise unknown(name)
        return model


def _clashes(aliases: Mapping[str, set[str]], defaults: Iterable[str], names: Container[str]) -> Iterator[str]:
    """The defaults and the aliases of several models; a model's own name counts before another one's alias."""
    if len(defaults := set(defaults)) > 1:
        yield f"several models are the default: {_listed(defaults)}"
    for alias, owners in sorted(aliases.items()):
        if len(owners) > 1 and alias not in names:
            yield f"`{alias}` is an alias of several models: {_listed(owners)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"
