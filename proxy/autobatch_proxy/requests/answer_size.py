"""How large the answer to a `POST /embed_all` would be, which has a vector for each token: decided before it is asked for. Pure.

39 kB of short texts made an answer of 478 MB, and a worker of 1.4 GB: several times what one call of the upstream may have.

1. What the upstream itself would take in one call is refused only where its answer is too large in all likelihood.
2. A longer list is taken only as an addition to the upstream's own limit: only where its answer has room for certain.
"""

from autobatch_proxy.requests.plan import Allowed, Rules
from autobatch_shared.contract.errors import AnswerTooLarge

SPECIAL_TOKENS = 2  # a text has at least these, which begin and end it
NUMBER_BYTES = 12  # of a component and its comma, as TEI writes them
DIMENSION_ASSUMED = 1024  # while no upstream has told: that of most large models


def refuse_too_large(count: int, length: int, rules: Rules, allowed: Allowed) -> None:
    """Refuse inputs of `/embed_all` whose answer would be too large.

    Args:
        count: Number of inputs.
        length: Of all of them, in the ruler's unit, without what the upstream cuts off.
        rules: How this worker plans its requests.
        allowed: What the upstreams take at the moment.

    Raises:
        AnswerTooLarge: It would have more bytes than ANSWER_LIMIT.
    """
    token_bytes = NUMBER_BYTES * (allowed.dimension or DIMENSION_ASSUMED)
    # No token is shorter than one unit of any ruler.
    units_per_token = 1 if count > allowed.job_inputs_max else rules.ruler.per_token
    answer_bytes = token_bytes * (SPECIAL_TOKENS * count + length // units_per_token)
    if answer_bytes > rules.answer_bytes_max:
        raise AnswerTooLarge(
            f"The answer may have {answer_bytes // 1_000_000} MB, a vector for each token of `inputs`, and the limit is "
            f"{rules.answer_bytes_max // 1_000_000} MB. Send fewer or shorter inputs in a request, or raise ANSWER_LIMIT"
        )
