"""Some points again, with real processes and an upstream that sleeps: how true the simulation is."""
