# The extension has what ready.py has.
from governess.loops._priority.ready import ReadyHandle as ReadyHandle
from governess.loops._priority.ready import ReadyQueue as ReadyQueue
from governess.loops._priority.ready import TimerHandle as TimerHandle
from governess.loops._priority.ready import call_at as call_at
from governess.loops._priority.ready import call_later as call_later
from governess.loops._priority.ready import call_soon as call_soon
from governess.loops._priority.ready import call_soon_threadsafe as call_soon_threadsafe
