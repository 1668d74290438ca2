"""What is measured of a server: with which texts, how, and what came of it."""
