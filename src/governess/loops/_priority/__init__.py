"""Loops that run callbacks by priority."""
