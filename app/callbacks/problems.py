"""Define the problems of requests for callbacks."""

from app.errors import Problem


class CallbackNotFound(Problem):
    """The execution has no callback with this id."""

    status = 404
    code = "callback-not-found"
    title = "There is no such callback"


class DisabledUrlNotFound(Problem):
    """The tenant has no disabled URL with this id."""

    status = 404
    code = "disabled-url-not-found"
    title = "There is no such disabled URL"


class SecretReplaced(Problem):
    """The secret that the request with this key created has been replaced by later ones."""

    status = 410
    code = "callback-secret-replaced"
    title = "The secret has been replaced by later ones"


class CallbackUrlDisabled(Problem):
    """The callback's URL is disabled, so it cannot be sent again."""

    status = 409
    code = "callback-url-disabled"
    title = "The callback's URL is disabled"
