"""The texts of token ids on OpenAI's routes. Pure, once the ranks are read.

Clients of OpenAI's API, langchain's by default, send ids of OpenAI's vocabulary. An upstream takes them for ids of its own
model, and the vectors are then those of other texts, with status 200. So they are refused unless a setting
says whose ids they are.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NoReturn, cast

from autobatch_proxy.requests.asked import Inputs
from autobatch_shared.contract.errors import ForeignTokenIds
from autobatch_shared.settings.named_files import read_ranks

SEND_TEXTS = "Send texts instead: with langchain's OpenAIEmbeddings set check_embedding_ctx_length=False"

#: The text of one list of ids. Raises ForeignTokenIds for ids that have none.
TextOfIds = Callable[[Sequence[int]], str]


def make_text_of_ids(whose: str, ranks_file: str | None) -> TextOfIds | None:
    """Return what the setting OPENAI_TOKEN_IDS means; None: the ids are the model's own.

    Args:
        whose: `refuse`, `model` or `cl100k`.
        ranks_file: Path of `cl100k_base.tiktoken`, for `cl100k`.

    Raises:
        SettingsError: The file is missing, or cannot be read as ranks.
    """
    if whose == "model":
        return None
    if whose == "refuse":
        return _refuse
    return _decoder(read_ranks(ranks_file))


def as_texts(inputs: Inputs, text_of: TextOfIds) -> str | list[str]:
    """Return the same inputs with a text for each list of token ids."""
    if isinstance(inputs, str):
        return inputs
    if isinstance(inputs[0], int):
        return text_of(cast("list[int]", inputs))
    return [item if isinstance(item, str) else text_of(cast("list[int]", item)) for item in inputs]


def largest_id_of(inputs: Inputs) -> int | None:
    """Return the largest token id among inputs, where they have any."""
    if isinstance(inputs, str):
        return None
    ids = chain.from_iterable([item] if isinstance(item, int) else item for item in inputs if not isinstance(item, str))
    return max(ids, default=None)


def refuse_unread() -> NoReturn:
    """Refuse token ids that nothing can be put in the place of.

    Raises:
        ForeignTokenIds: Always.
    """
    raise ForeignTokenIds(
        f"`input` has token ids, which this server does not take in a body that is passed on as it is. {SEND_TEXTS}"
    )


def _refuse(_ids: Sequence[int]) -> NoReturn:
    raise ForeignTokenIds(
        f"`input` has token ids, which this server does not take here: it cannot know of which vocabulary they are. {SEND_TEXTS}"
    )


def _decoder(token_of: dict[int, bytes]) -> TextOfIds:
    def text_of(ids: Sequence[int]) -> str:
        try:
            tokens = [token_of[each] for each in ids]
        except KeyError as exc:
            raise ForeignTokenIds(f"`input` has a token id that is not of cl100k_base: {exc.args[0]}") from exc
        # A client that cuts long texts by tokens may cut a character, too.
        return b"".join(tokens).decode(errors="replace")

    return text_of
