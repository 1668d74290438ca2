"""What clients say that their inputs are for, and the prompt of the model for it: INPUT_TYPE_PROMPTS. Pure.

Cohere's clients must name an input type; which of a model's prompts it means, only its operator knows.
"""

from collections.abc import Mapping

from autobatch_shared.contract.errors import InvalidRequest

WORDS_MAX, WORD_MAX = 16, 64  # they are clients' words: a bound for what is kept of them


class InputTypes:
    """The table, and which types were named where there is none.

    Args:
        prompts: The name of the prompt for each input type; none: every type is taken, and means no prompt.
    """

    def __init__(self, prompts: Mapping[str, str]) -> None:
        self._prompts = prompts
        self._unsaid: set[str] = set()
        self._said: set[str] = set()

    def prompt_of(self, input_type: str) -> str | None:
        """Return the name of the prompt; None: without one.

        Raises:
            InvalidRequest: The table does not have the type: with another prompt it would be another vector.
        """
        if not self._prompts:
            self._note(input_type[:WORD_MAX])
            return None
        prompt = self._prompts.get(input_type)
        if prompt is None:
            known = ", ".join(f"`{each}`" for each in self._prompts)
            raise InvalidRequest(f"`input_type` must be one of {known}")
        return prompt

    def take_unsaid(self) -> list[str]:
        """Return the types that were taken without a prompt; each is returned once."""
        kinds, self._unsaid = sorted(self._unsaid), set()
        return kinds

    def _note(self, input_type: str) -> None:
        if input_type not in self._said and len(self._said) < WORDS_MAX:
            self._said.add(input_type)
            self._unsaid.add(input_type)
