"""Loops with a limit for their tasks."""
