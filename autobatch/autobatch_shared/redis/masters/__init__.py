"""How the server that takes the writes is found: one address, Sentinels, or a cluster."""
