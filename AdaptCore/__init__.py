"""AdaptCore: interactive segmentation of medical images that learns from its user."""

__version__ = "0.1.0"
