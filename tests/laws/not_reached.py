"""The points that are not reached, each with its figures beside the best fixed policy, and the reason."""

NOT_REACHED: dict[str, str] = {
    "unpadded / closed 256": "0.98 of the goodput, 1.56 times the p99: while settings are tried, texts wait for more calls, or larger ones",
    "unpadded / poisson": "1.00 of the goodput, 1.26 times the p99: while settings are tried, texts wait for two calls",
    "unpadded / bulk": "0.94 of the goodput, 0.30 times the p99: single requests leave before bulk work, in smaller calls: their p99 is a quarter to a half",
    "two at once / closed 4": "0.94 of the goodput, 1.13 times the p99: the fixed policy has four calls at two servers, so that none waits for a round trip; more than two calls gain too little in each pair of trials",
    "two at once / closed 64": "1.04 of the goodput, 1.10 times the p99: long texts wait for companions of their length",
    "two at once / poisson": "0.99 of the goodput, 2.34 times the p99: while settings are tried, texts wait for one call",
    "refusing / closed 64": "1.05 of the goodput, 1.18 times the p99: calls of 24 texts, all that it takes, are slower than those of 16",
    "refusing / closed 256": "0.66 of the goodput, 1.48 times the p99: what it takes is shared by two calls of half the size, which wait for each other",
    "refusing / poisson": "1.00 of the goodput, 1.48 times the p99: calls of 24 texts, all that it takes, are slower than those of 16",
    "refusing / bursts": "1.00 of the goodput, 1.15 times the p99: calls of 24 texts, all that it takes, are slower than those of 16",
    "batches itself / closed 256": "0.90 of the goodput, 0.62 times the p99: calls are kept small, as the passes inside the server are not seen",
    "batches itself / poisson": "0.99 of the goodput, 1.36 times the p99: while settings are tried, texts wait for smaller calls",
    "batches itself / bulk": "0.92 of the goodput, 0.25 times the p99: single requests leave before bulk work, in smaller calls: their p99 is a quarter to a half",
    "serial / poisson": "1.00 of the goodput, 1.17 times the p99: trials of fewer calls make texts wait",
    "four at once / closed 4": "0.79 of the goodput, 1.33 times the p99: half of the clients' calls are tried at once, as two calls of two texts cost less than four of one",
    "four at once / closed 64": "0.93 of the goodput, 1.13 times the p99: eight calls of fewer texts each are no faster at four servers, and cost more of what a call costs whatever it carries",
    "four at once / closed 256": "0.97 of the goodput, 1.20 times the p99: more than two calls lost a trial by chance, and are tried again later",
    "four at once / poisson": "1.00 of the goodput, 20.22 times the p99: two calls are too few, and the backlog of the time until more were tried is worked off slowly",
    "four at once / bulk": "0.95 of the goodput, 0.75 times the p99: eight calls of fewer texts each are no faster at four servers",
    "multiples / closed 256": "0.92 of the goodput, 0.89 times the p99: while larger calls are tried, more of each is padding",
}

#: Of TARGET_P99_MS: what is answered in time, by what the best window answers.
TARGETS_NOT_REACHED: dict[str, str] = {
    "padded / poisson": "1.29 times: one by one with four calls is near to all that this upstream can do in that time",
    "unpadded / poisson": "1.07 times: 32 at once is all that this upstream can do",
    "refusing / poisson": "1.29 times: the best window has two thirds of all that this upstream takes",
    "four at once / poisson": "1.11 times: 16 in each of four calls is near to all that this upstream can do in that time",
}
