"""`autobatch up`: decide what to run on this machine, and report what runs."""
