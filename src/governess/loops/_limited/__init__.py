"""Loops that limit how many of their tasks are in progress."""
