"""How many tokens inputs will be, by their number and their bytes, as the last calls show. Pure.

An input has special tokens, whatever its length: of short texts they are half of all. So two numbers are fitted by least squares, tokens
an input and tokens a byte, with older calls counting less. While calls are too much alike to tell the two apart, it is bytes only.
"""

from math import sqrt

from autobatch_shared.contract.capacity import tokens_guessed

FIRST_BYTES_A_TOKEN = (
    2.0  # until the first call is counted: of most texts that is too many tokens, which are given back
)
#: Of any text: equal inputs are called once, and odd counts are not believed.
BYTES_A_TOKEN_MIN, BYTES_A_TOKEN_MAX = 0.5, 16.0
INPUT_TOKENS_MAX = 16.0  # special tokens of one input, and the prompt of a model that has one
OLD_WEIGHT = 0.9
ALIKE = 1e-3  # part of what the determinant would be, were inputs and bytes independent


class TokenGuess:
    """The guess, and how far off it was.

    Attributes:
        an_input: Tokens of an input, whatever its length.
        bytes_a_token: Bytes of a token besides.
        error: Tokens by which a call's guess was off, as a root of the mean square.
    """

    def __init__(self) -> None:
        self.an_input = 0.0
        self.bytes_a_token = FIRST_BYTES_A_TOKEN
        self.error = 0.0
        self._inputs2 = self._inputs_bytes = self._bytes2 = self._inputs_tokens = self._bytes_tokens = 0.0

    def learn(self, tokens: int, inputs: int, size_bytes: int) -> None:
        """Take note of a call's tokens, as the upstream counted them."""
        is_first = not self._bytes2
        tokens_max = size_bytes / BYTES_A_TOKEN_MIN + inputs * INPUT_TOKENS_MAX
        believed = min(max(tokens, size_bytes / BYTES_A_TOKEN_MAX), tokens_max)
        guessed = tokens_guessed(inputs, size_bytes, self.an_input, self.bytes_a_token)
        off = 0.0 if is_first else believed - guessed
        self.error = sqrt(OLD_WEIGHT * self.error**2 + (1 - OLD_WEIGHT) * off**2)
        self._inputs2 = OLD_WEIGHT * self._inputs2 + inputs**2
        self._inputs_bytes = OLD_WEIGHT * self._inputs_bytes + inputs * size_bytes
        self._bytes2 = OLD_WEIGHT * self._bytes2 + size_bytes**2
        self._inputs_tokens = OLD_WEIGHT * self._inputs_tokens + inputs * believed
        self._bytes_tokens = OLD_WEIGHT * self._bytes_tokens + size_bytes * believed
        self._fit()

    def _fit(self) -> None:
        an_input, a_byte = 0.0, self._bytes_tokens / self._bytes2
        independent = self._inputs2 * self._bytes2
        determinant = independent - self._inputs_bytes**2
        if determinant > ALIKE * independent:
            an_input = (self._inputs_tokens * self._bytes2 - self._bytes_tokens * self._inputs_bytes) / determinant
            an_input = min(max(an_input, 0.0), INPUT_TOKENS_MAX)
            a_byte = (self._bytes_tokens - an_input * self._inputs_bytes) / self._bytes2
        self.an_input = an_input
        self.bytes_a_token = (
            min(max(1 / a_byte, BYTES_A_TOKEN_MIN), BYTES_A_TOKEN_MAX) if a_byte > 0 else BYTES_A_TOKEN_MAX
        )
