"""What the steps of a request take beside its call, where nothing else is asked. Pure.

Together they are 1.1 ms: what one request at a time takes more through the proxy than at the upstream itself (`make bench`), shared
among the steps by what each took of it.
"""

PUSH_S = 0.0003  # from a request's arrival until its job can be claimed
WAKE_S = 0.0001  # until a waiting batcher knows of it
CLAIM_S = 0.00015
CALL_S = 0.0002  # of a call beside what the upstream computes
REPLY_S = 0.0003  # from the answer of a call until the client has its own
