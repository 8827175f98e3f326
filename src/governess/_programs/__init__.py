"""What jobs and services share: marks of processes, pauses, tables of states, and units as people write them."""
