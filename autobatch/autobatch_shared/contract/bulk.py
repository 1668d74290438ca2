"""The share of bulk work, which the batcher gives it and the workers count on. Pure."""

BULK_SHARE = 0.25  # of the inputs, beside a full queue of other work
