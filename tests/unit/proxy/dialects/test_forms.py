"""Bodies made of rows: the rows are the upstream's own bytes."""

import pytest

from autobatch_proxy.dialects import forms
from autobatch_shared.contract.errors import UpstreamProtocolError


def test_rows_keep_their_bytes_in_every_shape() -> None:
    one, two = b"[[1.50,2e-7]]", b"[[1.50],[-0.0]]"

    assert forms.only_row(one) == b"[1.50,2e-7]"
    assert forms.one_embedding(one) == b'{"embedding":[1.50,2e-7]}'
    assert forms.all_embeddings(two) == b'{"embeddings":[[1.50],[-0.0]]}'
    assert forms.listed_embeddings(two) == b'[{"embedding":[1.50]},{"embedding":[-0.0]}]'


def test_blanks_around_an_answer_do_no_harm() -> None:
    assert forms.one_embedding(b" [[1]]\n") == b'{"embedding":[1]}'


def test_what_are_no_rows_is_the_upstreams_fault() -> None:
    with pytest.raises(UpstreamProtocolError):
        forms.listed_embeddings(b'{"error":"x"}')
