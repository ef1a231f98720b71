"""The HTTP route that Prometheus reads."""

from litestar import Response, Router

from app.auth.model import Scope
from app.http.authorization import needs
from app.http.methods import get
from app.prometheus import reference
from app.prometheus.service import CONTENT_TYPE, MetricsPage


@get(
    "/metrics",
    media_type="text/plain",
    operation_class=reference.METRICS,
    **needs(Scope.ADMIN),
)
async def show_metrics(metrics_page: MetricsPage) -> Response[bytes]:
    """Show metrics.

    They name tenants, so that a key needs the scope `admin`. Workers show their own, and the API
    these ones, without a key where `CRIVO_METRICS_LISTEN` says.
    """
    return Response(await metrics_page.page(), headers={"Content-Type": CONTENT_TYPE})


router = Router(path="/", tags=["health"], route_handlers=[show_metrics])
