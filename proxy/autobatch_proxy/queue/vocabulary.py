"""Whether token ids are of the model's own vocabulary.

Some clients send the ids of another model's tokenizer. The upstream takes them for its own, and its vectors are then
vectors of other texts: that has to be an error. It is seen where an id is none of the model's; the others cannot be told.
"""

from collections.abc import Callable

from autobatch_proxy.queue.client import Desk
from autobatch_proxy.requests.plan import Piece, Plan
from autobatch_proxy.requests.token_ids import SEND_TEXTS
from autobatch_shared.contract.errors import ForeignTokenIds


class Vocabulary:
    """What one worker knows of the ids that there are.

    Args:
        desk: Where the upstream is asked.
        size: Ids that there are; None: the upstream is asked.
        model: Tells which model answers now.
    """

    def __init__(self, desk: Desk, size: int | None, model: Callable[[], str | None]) -> None:
        self._desk = desk
        self._size = size
        self._model = model
        self._known: tuple[str | None, int] = (None, -1)

    async def check(self, largest_id: int, timeout_s: float) -> None:
        """Refuse ids of which the largest is none of the model's.

        Raises:
            ForeignTokenIds: It is none.
            QueueFull, QueueUnavailable, DeadlineExceeded: As the desk does.
        """
        if self._size is not None:
            if largest_id >= self._size:
                raise ForeignTokenIds(f"`input` has token ids that are not of this model's vocabulary. {SEND_TEXTS}")
            return
        model = self._model()
        known_model, known_id = self._known
        if model == known_model and largest_id <= known_id:
            return
        body = b'{"ids":[[%d]],"skip_special_tokens":false}' % largest_id
        plan = Plan([Piece(1, "verbatim", body, content_type="application/json")], is_bulk=False, route="/decode")
        ((header, text),) = await self._desk.ask(plan, timeout_s)
        if header.status != 200:
            return  # it has no such route, or is away: then it will say so itself
        if text.strip() == b'[""]':
            raise ForeignTokenIds(f"`input` has token ids that are not of this model's vocabulary. {SEND_TEXTS}")
        known_model, known_id = self._known  # others asked meanwhile
        self._known = (model, max(largest_id, known_id) if model == known_model else largest_id)
