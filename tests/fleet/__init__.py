"""Three models behind one address, as processes: nothing is mixed when batchers are killed, and no model slows another."""
