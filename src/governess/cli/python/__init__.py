"""`governess python`: run a Python program with a chosen loop and watcher."""
