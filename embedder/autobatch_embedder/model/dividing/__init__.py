"""How the cores are divided among forward passes."""
