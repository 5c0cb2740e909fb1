"""Synthetic images and the training of the built-in model on them."""
