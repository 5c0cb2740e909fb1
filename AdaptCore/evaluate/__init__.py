"""Simulated users, metrics, benchmarks and reports."""
