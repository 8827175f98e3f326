"""The commands that read a journal: `governess ps`, `governess logs` and `governess report`."""
