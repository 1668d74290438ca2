"""The points that are not reached, each with its figures beside the best fixed policy, and the likely reason."""

NOT_REACHED: dict[str, str] = {
    "unpadded / closed 4": "0.41 of the goodput, 2.44 times the p99: the second slot is a reason to send, though one fuller call would cost nearly the same",
    "unpadded / closed 64": "0.81 of the goodput, 1.37 times the p99: clients in two calls of half their number are not brought together in one",
    "unpadded / closed 256": "0.99 of the goodput, 1.23 times the p99: one setting after the other is tried, and those that are worse show in the p99",
    "unpadded / poisson": "1.00 of the goodput, 3.66 times the p99: what is tried in the first seconds leaves a backlog, which is worked off at four fifths of load",
    "unpadded / bursts": "1.00 of the goodput, 1.30 times the p99: what is tried is tried in bursts, too",
    "unpadded / bulk": "0.95 of the goodput, 0.26 times the p99: single requests leave before bulk work, in smaller calls: their p99 is a quarter",
    "knee / closed 4": "0.42 of the goodput, 1.69 times the p99: the second slot is a reason to send, though one fuller call would cost nearly the same",
    "knee / bulk": "0.96 of the goodput, 0.23 times the p99: single requests leave before bulk work, in smaller calls: their p99 is a quarter",
    "two at once / closed 4": "0.94 of the goodput, 1.14 times the p99: MAX_CONCURRENT_BATCHES is 2: with two servers and two calls, one server waits during each round trip",
    "two at once / closed 64": "1.03 of the goodput, 1.12 times the p99: MAX_CONCURRENT_BATCHES is 2: with two servers and two calls, one server waits during each round trip",
    "two at once / closed 256": "1.10 of the goodput, 1.11 times the p99: MAX_CONCURRENT_BATCHES is 2: with two servers and two calls, one server waits during each round trip",
    "two at once / poisson": "1.00 of the goodput, 1.64 times the p99: MAX_CONCURRENT_BATCHES is 2: with two servers and two calls, one server waits during each round trip",
    "two at once / bursts": "1.00 of the goodput, 1.39 times the p99: MAX_CONCURRENT_BATCHES is 2: with two servers and two calls, one server waits during each round trip",
    "slow start / poisson": "1.00 of the goodput, 2.65 times the p99: the first calls teach that calls are dear, and it takes as many again to unlearn that",
    "refusing / closed 4": "0.52 of the goodput, 1.56 times the p99: the second slot is a reason to send, though one fuller call would cost nearly the same",
    "refusing / closed 64": "0.67 of the goodput, 1.65 times the p99: its limit is looked for again and again, by calls that are refused",
    "refusing / closed 256": "0.59 of the goodput, 1.65 times the p99: its limit is looked for again and again, by calls that are refused",
    "refusing / poisson": "0.74 of the goodput, 106.02 times the p99: its limit is looked for again and again, by calls that are refused",
    "refusing / bursts": "0.98 of the goodput, 3.04 times the p99: its limit is looked for again and again, by calls that are refused",
    "refusing / bulk": "0.74 of the goodput, 0.22 times the p99: its limit is looked for again and again, by calls that are refused",
    "batches itself / closed 256": "0.90 of the goodput, 0.62 times the p99: the passes inside the server are not seen: calls are larger than a pass, and of like length only as a whole",
    "batches itself / poisson": "0.99 of the goodput, 1.69 times the p99: the passes inside the server are not seen: calls are larger than a pass, and of like length only as a whole",
    "batches itself / bulk": "0.95 of the goodput, 0.19 times the p99: single requests leave before bulk work, in smaller calls: their p99 is a fifth",
    "serial / poisson": "1.00 of the goodput, 1.17 times the p99: calls carry nearly three inputs, where two would do and wait for less",
    "four at once / closed 4": "0.78 of the goodput, 1.33 times the p99: MAX_CONCURRENT_BATCHES is 2",
    "four at once / closed 64": "0.56 of the goodput, 1.94 times the p99: MAX_CONCURRENT_BATCHES is 2",
    "four at once / closed 256": "0.44 of the goodput, 3.63 times the p99: MAX_CONCURRENT_BATCHES is 2",
    "four at once / poisson": "0.56 of the goodput, 86.62 times the p99: MAX_CONCURRENT_BATCHES is 2",
    "four at once / bursts": "0.74 of the goodput, 11.82 times the p99: MAX_CONCURRENT_BATCHES is 2",
    "four at once / bulk": "0.39 of the goodput, 0.97 times the p99: MAX_CONCURRENT_BATCHES is 2",
    "multiples / closed 256": "0.88 of the goodput, 0.90 times the p99: a length is padded to a multiple that the learnt cost does not have",
}

#: Of TARGET_P99_MS: what is answered in time, by what the best window answers.
TARGETS_NOT_REACHED: dict[str, str] = {
    "padded / poisson": "1.29 times: one by one with four calls is near to all that this upstream can do in that time",
    "unpadded / poisson": "1.00 times: 32 at once is all that this upstream can do",
    "refusing / poisson": "0.20 times: while the upstream's limit is looked for, what waits for a pause grows too old",
    "four at once / poisson": "0.53 times: MAX_CONCURRENT_BATCHES is 2",
}
