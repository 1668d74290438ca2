"""`autobatch up`: decide what runs here, and say what does."""
