"""Prediction: from prompts to masks of planes and volumes."""
