"""How long programs look at a photo with a trained network on a CPU, and the memory they need for it."""
