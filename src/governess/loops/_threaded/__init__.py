"""Loops that live and run each in a thread of its own."""
