"""Whether token ids are of the model's own vocabulary.

Some clients send the ids of another model's tokenizer. The upstream takes them for its own, and its vectors are then
vectors of other texts: that has to be an error. It is found where an id is beyond the model's vocabulary; the other ids
cannot be told apart. An input that has no other ids decodes to nothing, and a TEI with the ONNX Runtime backend dies of
it; of `/decode`, which has no model in it, nothing dies. So ids that could not be checked go no further: an upstream that
was away when it was asked may be back for the request.
"""

from autobatch_proxy.queue.client import JobClient
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.requests.plan import Plan, PlannedJob
from autobatch_proxy.requests.token_ids import SEND_TEXTS
from autobatch_shared.contract.errors import FAULTS, AutobatchError, ForeignTokenIds, NotComputed, UpstreamUnavailable


class Vocabulary:
    """The vocabulary of the model that answers, as far as it is known.

    Args:
        client: Is asked for the text of an id.
        size: Number of ids in the vocabulary; None: the upstream is asked.
        watcher: Knows which model answers.
    """

    def __init__(self, client: JobClient, size: int | None, watcher: FleetWatcher) -> None:
        self._client = client
        self._size = size
        self._watcher = watcher
        self._known: tuple[str, int] = ("", -1)

    async def check(self, largest_id: int, timeout_s: float) -> None:
        """Check the largest token id of a request.

        Raises:
            ForeignTokenIds: It is not of the model's vocabulary.
            AutobatchError: It could not be checked: what the request would be told for this reason.
        """
        if self._size is not None:
            if largest_id >= self._size:
                raise _foreign()
            return
        served = self._watcher.model
        model = "" if served is None else served.fingerprint
        known_model, known_id = self._known
        if model == known_model and largest_id <= known_id:
            return
        body = b'{"ids":[[%d]],"skip_special_tokens":false}' % largest_id
        decoding = Plan([PlannedJob(1, "verbatim", body, content_type="application/json")], "/decode")
        ((header, text),) = await self._client.ask(decoding, timeout_s)
        if header.fault == NotComputed.code:
            return  # its API has no such route: it says itself what it makes of ids
        if header.fault:
            raise FAULTS.get(header.fault, AutobatchError)(text.decode(errors="replace"))
        if header.status >= 500:
            raise UpstreamUnavailable
        if header.status != 200:
            return  # it has no such route, or says of these ids what it will say of the request's
        if text.strip() == b'[""]':
            raise _foreign()
        known_model, known_id = self._known  # other requests asked meanwhile
        self._known = (model, max(largest_id, known_id) if model == known_model else largest_id)


def _foreign() -> ForeignTokenIds:
    return ForeignTokenIds(
        f"Input validation error: `inputs` has token ids that are not of this model's vocabulary. {SEND_TEXTS}"
    )
