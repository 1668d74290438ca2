"""`autobatch top`: the fleet in a terminal."""
