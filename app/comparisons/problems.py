"""Define the problems of requests for comparisons."""

from app.errors import Problem


class ComparisonNotFound(Problem):
    """The tenant has no comparison with this id."""

    status = 404
    code = "comparison-not-found"
    title = "There is no such comparison"


class NothingToCompare(Problem):
    """No execution of the sample has an input."""

    status = 409
    code = "nothing-to-compare"
    title = "The sample has no inputs"


class SampleTooLarge(Problem):
    """The inputs of the sample have more bytes than a batch may have."""

    status = 409
    code = "sample-too-large"
    title = "The sample has too many bytes"
