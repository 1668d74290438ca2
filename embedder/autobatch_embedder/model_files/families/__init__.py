"""The families of networks: how the config.json of each is read, and which names its weights have."""
