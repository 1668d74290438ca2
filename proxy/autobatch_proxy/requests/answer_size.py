"""How large the answer to a `POST /embed_all` is, which has a vector for each token. Pure.

39 kB of short texts can make an answer of 478 MB. So it is bounded twice:

1. Before anything is computed, a request is refused whose answer is too large in all likelihood, by how many tokens such
   texts usually have: English has four characters a token. Texts of other languages may have more.
2. The replies to a request of several jobs are counted as they come, and the first that is too much ends the request.
   A worker needs up to four times ANSWER_LIMIT for one answer: its replies, their rows joined, the response around
   them, and what a client has not read yet.
"""

from collections.abc import Sequence

from autobatch_proxy.requests.plan import Allowed, Rules
from autobatch_shared.contract.errors import AnswerTooLarge

ROUTE = "/embed_all"
SPECIAL_TOKENS = 2  # a text has at least these, which begin and end it
NUMBER_BYTES = 12  # of a component and its comma, as TEI writes them
DIMENSION_ASSUMED = 1024  # while no upstream has told: that of most large models
ADVICE = "Send fewer or shorter inputs in a request, or raise ANSWER_LIMIT"


def refuse_too_large(inputs: Sequence[str | list[int]], length: int, rules: Rules, allowed: Allowed) -> None:
    """Refuse inputs of `/embed_all` whose answer would be too large in all likelihood.

    Args:
        inputs: The inputs; token ids are counted, not read.
        length: Of all of them, in the ruler's unit, without what the upstream cuts off.
        rules: How this worker plans its requests.
        allowed: What the upstreams take at the moment.

    Raises:
        AnswerTooLarge: It would have more bytes than ANSWER_LIMIT.
    """
    per_token = rules.ruler.per_token
    tokens_max = allowed.length_max // per_token
    words = sum([min(_words(each), tokens_max) for each in inputs])
    tokens = SPECIAL_TOKENS * len(inputs) + max(length // per_token, words)
    answer_bytes = NUMBER_BYTES * (allowed.dimension or DIMENSION_ASSUMED) * tokens
    if answer_bytes > rules.answer_bytes_max:
        raise AnswerTooLarge(
            f"The answer may have {answer_bytes // 1_000_000} MB, a vector for each token of `inputs`, and the limit is "
            f"{rules.answer_bytes_max // 1_000_000} MB. {ADVICE}"
        )


def too_large(bytes_max: int) -> AnswerTooLarge:
    """Return the failure of a request whose replies have more bytes than they may have."""
    return AnswerTooLarge(f"The answer has more than {bytes_max // 1_000_000} MB, which is the limit. {ADVICE}")


def _words(item: str | list[int]) -> int:
    return item.count(" ") + 1 if isinstance(item, str) else len(item)
