"""The dialects of upstreams: what INFERENCE_DIALECT may be, and where the batcher finds each, as `<module>:<class>`.

Places, not classes: every program that reads settings checks the word, and only the batcher imports what it names.
"""

DIALECTS = {
    "tei": "autobatch_batcher.dialects.tei:Tei",
}
