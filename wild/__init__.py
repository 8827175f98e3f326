"""Distributions of others, plain and with governess: `make wild`."""
