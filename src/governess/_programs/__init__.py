"""What jobs and services share: durations, sizes and pauses as people write them."""
