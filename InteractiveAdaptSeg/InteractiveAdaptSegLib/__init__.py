"""What the scripted module does: scene logic and view-model without Qt, and the installation of what it needs."""
