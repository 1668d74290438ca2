"""What the proxy would gain in front of a server: it is measured without a proxy, and the gain is computed."""
