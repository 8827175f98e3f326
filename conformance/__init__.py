"""CPython's own tests of policies, watchers and children, run on governess: `make conformance`."""
