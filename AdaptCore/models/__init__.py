"""Promptable models: the protocol, the built-in one, official SAM, and how they are found and loaded."""
