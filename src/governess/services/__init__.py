"""Programs kept alive: started in order, watched, started again after their deaths, stopped in the reverse order."""

from governess.services._conditions import Exec, Fd, Health, Http, LogLine, Notify, Question, Ready, Tcp
from governess.services._events import ServiceEvent
from governess.services._reload import Change
from governess.services._restarts import Restart
from governess.services._service import Command, Log, Service, ServiceError
from governess.services._states import State
from governess.services._status import CopyStatus
from governess.services._supervisor import Supervisor

__all__ = [
    "Change",
    "Command",
    "CopyStatus",
    "Exec",
    "Fd",
    "Health",
    "Http",
    "Log",
    "LogLine",
    "Notify",
    "Question",
    "Ready",
    "Restart",
    "Service",
    "ServiceError",
    "ServiceEvent",
    "State",
    "Supervisor",
    "Tcp",
]
