"""Parts of the panel that need Qt or words."""
