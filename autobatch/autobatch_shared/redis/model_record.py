"""The record in Redis of the namespace's model: read by all, set by one step, so that it moves once."""

from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.keys import MODEL_TTL_MS, Keys
from autobatch_shared.contract.models import ServedModel, decode_model, encode_model
from autobatch_shared.redis.commands import Commands, Script


class ModelRecord:
    """The record of one namespace.

    Args:
        link: The connection for commands that return at once.
        keys: The names of the namespace's keys.
    """

    def __init__(self, link: Commands, keys: Keys) -> None:
        self._link = link
        self._script = Script("model", (keys.model, keys.model_counted), (MODEL_TTL_MS,))

    async def agree(
        self,
        proposed: ServedModel | None,
        instead_of: ServedModel | None = None,
        *,
        after_ms: int = 0,
        counted: ServedModel | None = None,
    ) -> ServedModel | None:
        """Prolong the record and return it; None while there is none.

        Args:
            proposed: Is set where Redis has no record; None: nothing is.
            instead_of: The record that `proposed` replaces, if Redis still has exactly this one; None: none is replaced.
            after_ms: Milliseconds since an upstream of any batcher last counted for `instead_of`, before which it stays.
            counted: The record for which an upstream of this batcher counts now; None for none.

        Raises:
            QueueUnavailable: Redis is unavailable, or has something else than a record.
        """
        new, old, kept = (b"" if model is None else encode_model(model) for model in (proposed, instead_of, counted))
        record = await self._script.run(self._link, new, old, after_ms, kept)
        model = decode_model(record)
        if record is not None and model is None:
            raise QueueUnavailable("Redis has something else than a model's record")
        return model
