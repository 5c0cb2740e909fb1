"""The commands of `adaptseg`, one module each."""
