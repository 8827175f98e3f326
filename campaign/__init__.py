"""A campaign against the package: a great many children, faults of the system, and looks for what is left behind."""
