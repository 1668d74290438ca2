"""What is measured: systems that are started, their upstreams, and what they use."""
