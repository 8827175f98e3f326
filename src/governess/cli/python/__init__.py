"""`governess python`: a program under a policy, a loop and a watcher of one's choice."""
