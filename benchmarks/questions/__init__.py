"""One file a question; each has a `QUESTION`."""

NAMES = ("rate", "runs", "parts", "lag", "slow_exec", "crowd", "pipes", "policies", "imports", "commands")
