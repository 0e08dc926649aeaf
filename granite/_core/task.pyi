from granite._core.exchange import Exchange, Interface

class TaskInterface(Interface):
    """Calls one application, each time in a Task of its own."""

class TaskExchange(Exchange):
    """One request to an application, and the coroutine that the request's Task runs."""

DONE: object
PENDING: object
