"""How fast children start, how late the loop is meanwhile, and what each costs: `python -m benchmarks --help`."""
