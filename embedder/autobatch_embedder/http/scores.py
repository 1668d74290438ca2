"""TEI's answers that are made of scores: predictions, ranks, sparse vectors. Pure."""

from collections.abc import Sequence

import numpy as np

from autobatch_embedder import errors
from autobatch_embedder.bodies.requests import RerankRequest
from autobatch_embedder.model.vectors import Vectors


def predictions(scores: Vectors, labels: Sequence[str]) -> list[list[dict[str, object]]]:
    """Return the classes of each input, the best first; of equal ones the last.

    Args:
        scores: (n, classes) float32.
        labels: Of the classes.

    Raises:
        TeiError: A score is NaN.
    """
    return [[{"score": row[place], "label": labels[place]} for place in _best_first(row)] for row in scores]


def ranks(request: RerankRequest, scores: Vectors) -> list[dict[str, object]]:
    """Return the texts of a request to rank, the best first; of equal ones the last.

    Args:
        request: Its texts, and whether they are wanted back.
        scores: (texts, 1) float32.

    Raises:
        TeiError: A score is NaN.
    """
    column = scores[:, 0]
    return [
        {"index": place, **({"text": request.texts[place]} if request.return_text else {}), "score": column[place]}
        for place in _best_first(column)
    ]


def sparse_rows(scores: Vectors) -> list[list[dict[str, object]]]:
    """Return the words of each input that have a score, in the order of their ids.

    Args:
        scores: (n, vocabulary) float32.
    """
    return [[{"index": int(word), "value": row[word]} for word in np.flatnonzero(row)] for row in scores]


def _best_first(row: Vectors) -> list[int]:
    if np.isnan(row).any():
        raise errors.score_is_nan()
    # A stable ascending sort, then reversed, as in TEI.
    order: list[int] = np.argsort(row, kind="stable")[::-1].tolist()
    return order
