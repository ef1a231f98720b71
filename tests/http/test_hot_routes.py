"""The routes that every execution uses resolve no injected parameters."""

import pytest
from litestar.enums import HttpMethod
from litestar.routes import HTTPRoute

from app.main import create_app
from app.settings import Settings


@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/executions"),
        ("POST", "/scripts/{script:str}/executions"),
        ("GET", "/executions/{execution:str}"),
    ],
)
def test_a_hot_route_has_no_injected_parameters(method: str, path: str) -> None:
    routes = {
        route.path: route for route in create_app(Settings()).routes if isinstance(route, HTTPRoute)
    }

    _, parameters = routes[path].route_handler_map[HttpMethod(method)]

    assert list(parameters.dependency_batches) == []
