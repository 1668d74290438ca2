"""The points that are not reached, each with its figures beside the best fixed policy, and the reason."""

NOT_REACHED: dict[str, str] = {
    "knee / bursts": "0.99 of the goodput, 1.19 times the p99: lengths that chance may explain count as alike, and so calls of a burst are fuller",
    "refusing / closed 64": "1.04 of the goodput, 1.12 times the p99: calls of 24 texts, all that it takes, are slower than those of 16",
    "batches itself / closed 256": "0.97 of the goodput, 0.57 times the p99: companions come from the older third of what waits, not from all of it",
    "serial / poisson": "1.00 of the goodput, 1.11 times the p99: trials of fewer calls make texts wait",
    "halves / bulk": "0.96 of the goodput, 0.27 times the p99: which trials run as it changes is chance, the mean of eight other seeds is 0.98",
    "multiples / closed 256": "0.94 of the goodput, 0.81 times the p99: while larger calls are tried, more of each is padding",
    "unsaid passes / closed 256": "0.88 of the goodput, 0.63 times the p99: calls are kept small, as the passes inside the server are not seen",
    "unsaid passes / poisson": "1.00 of the goodput, 1.54 times the p99: while settings are tried, texts wait for smaller calls",
    "unsaid passes / bulk": "0.96 of the goodput, 0.21 times the p99: single requests leave before bulk work, in smaller calls: their p99 is a fifth",
    "many at once / closed 64": "0.98 of the goodput, 1.73 times the p99: a place that becomes idle takes up to three of the texts that wait, which it computes one after the other",
    "many at once / closed 256": "0.99 of the goodput, 1.14 times the p99: the same",
    "many at once / poisson": "1.00 of the goodput, 2.20 times the p99: the same, where all places were busy for a moment",
    "many at once / after others": "0.81 of the goodput, 3.85 times the p99: lengths were alike before, so that what calls cost is known after three seconds; then the p99 is the best one",
}

#: Of TARGET_P99_MS: what is answered in time, by what the best window answers.
TARGETS_NOT_REACHED: dict[str, str] = {
    "padded / poisson": "1.29 times: one by one with four calls is near to all that this upstream can do in that time",
    "many at once / poisson": "1.08 times: one by one with 32 calls is nine tenths of all that this upstream can do",
    "unpadded / poisson": "1.07 times: 32 at once is all that this upstream can do",
    "four at once / poisson": "1.11 times: 16 in each of four calls is near to all that this upstream can do in that time",
}
