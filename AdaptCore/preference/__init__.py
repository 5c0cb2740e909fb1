"""Preference: candidates to pick from, and what a user's picks have taught about the masks that they want (SPA)."""
