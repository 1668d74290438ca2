"""Numbers for Prometheus that are counted in plain Python and brought over into its metrics when they are asked for."""
