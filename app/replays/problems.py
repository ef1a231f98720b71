"""Define the problems of requests for replays by filter."""

from app.errors import Problem


class NothingToReplay(Problem):
    """No execution that matches has its input."""

    status = 409
    code = "nothing-to-replay"
    title = "No execution can be replayed"


class TooManyToReplay(Problem):
    """More executions match than a batch may have items."""

    status = 409
    code = "too-many-to-replay"
    title = "Too many executions match"
