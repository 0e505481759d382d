"""An exported model behind HTTP: predictions of uploaded images, a page to try it, and figures for monitoring."""

import io
import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from threading import BoundedSemaphore
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, FastAPI, File, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tandem.errors import CorruptImageError, DataError
from tandem.images.scaling import Scale, scale_by_numpy
from tandem.images.transforms import load_transformed
from tandem.inference.exported import ExportedModel, ModelCard
from tandem.inference.predict import as_row, predicted
from tandem.inference.serving.batcher import Batcher


@dataclass(frozen=True)
class ServerLimits:
    """Of one request: max_bytes of its body, max_images in it, max_pixels of each. max_requests: at the same time.

    batch_size: images in one pass of the model. batch_wait_s: for which one waits for others.
    """

    max_bytes: int = 32_000_000
    max_images: int = 16
    max_pixels: int = 25_000_000
    max_requests: int = 16
    batch_size: int = 16
    batch_wait_s: float = 0.005


SERVER_LIMITS = ServerLimits()


class ImagePrediction(BaseModel):
    """Of one image: its most probable class, whether it is left to a person, and the probs of all classes.

    none_of_these: whether its OOD score is so high that it is taken for an image of no class. set: the classes of its
    prediction set, the most probable first.
    """

    name: str
    label: str
    confidence: float
    reject: bool
    none_of_these: bool
    ood_score: float
    set: list[str]
    probs: dict[str, float]


class PredictResponse(BaseModel):
    """Of the images of a request, in their order."""

    predictions: list[ImagePrediction]


class NoQuery(BaseModel):
    """What may follow `?`: nothing, anything there is a mistake."""

    model_config = ConfigDict(extra="forbid")


class PredictQuery(NoQuery):
    """What may follow `?`; anything else there is a mistake."""

    top_k: int | None = Field(None, ge=1, description="Classes to have probs of, the most probable; all without it.")


class HealthResponse(BaseModel):
    """Of a server that answers."""

    status: Literal["ok"] = "ok"


class VersionResponse(BaseModel):
    """What is served: the version of the code, the digest of the model's file, and its card."""

    code: str
    sha256: str
    card: ModelCard


class Problem(BaseModel):
    """What is wrong with a request, in one sentence."""

    detail: str


_BUSY = "too many requests at once; try again in a moment"


def create_app(model: ExportedModel, *, limits: ServerLimits = SERVER_LIMITS, scale: Scale = scale_by_numpy) -> FastAPI:
    """The application."""
    batcher = Batcher(
        model, max_images=limits.batch_size, max_wait_s=limits.batch_wait_s, max_queued=limits.max_requests
    )
    figures, free = _Figures(), BoundedSemaphore(limits.max_requests)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        batcher.close()

    title = f"Tandem: {model.card.model}"
    app = FastAPI(title=title, version=version("tandem"), lifespan=lifespan, responses=_problems(413))
    app.add_middleware(_BodyLimit, max_bytes=limits.max_bytes)
    app.add_exception_handler(RequestValidationError, _say_what_is_missing)

    images = File(alias="files", min_length=1, max_length=limits.max_images)

    @app.post("/predict", responses=_problems(400, 422, 503))
    def predict(
        uploads: Annotated[list[UploadFile], images], query: Annotated[PredictQuery, Query()]
    ) -> PredictResponse:
        """Predict the classes of one or several images, sent as the form field `files`."""
        with _place(free), figures.timed(len(uploads)):
            return _predict(uploads, batcher, model, limits, scale, top_k=query.top_k or len(model.card.class_names))

    app.include_router(_explaining(model, limits, scale))
    app.include_router(_about(model, figures))
    return app


def _explaining(model: ExportedModel, limits: ServerLimits, scale: Scale) -> APIRouter:
    """The address that explains. One explanation asks the model up to a hundred times, so there is one at a time."""
    router, free = APIRouter(), BoundedSemaphore(1)
    drawing: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}

    @router.post("/explain", response_class=Response, responses=drawing | _problems(400, 422, 501, 503))
    def explain(upload: Annotated[UploadFile, File(alias="file")], _query: Annotated[NoQuery, Query()]) -> Response:
        """Draw an image, sent as the form field `file`, and beside it which parts its prediction rests on."""
        pixels = _load(upload, model.card, limits, scale)
        with _place(free):
            try:
                return Response(_explanation(model, pixels), media_type="image/png")
            except DataError as error:
                raise HTTPException(501, str(error)) from None

    return router


def _about(model: ExportedModel, figures: "_Figures") -> APIRouter:
    """The addresses that say something of the server and its model."""
    router = APIRouter()

    @router.get("/health")
    def health() -> HealthResponse:
        """Whether the server answers."""
        return HealthResponse()

    @router.get("/version")
    def model_version() -> VersionResponse:
        """What is served: the version of the code, the digest of the model's file, and its card."""
        return VersionResponse(code=version("tandem"), sha256=model.sha256, card=model.card)

    @router.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """Figures in the format of Prometheus."""
        return PlainTextResponse(generate_latest(figures.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return files("tandem.inference.serving").joinpath("page.html").read_text(encoding="utf-8")

    return router


@contextmanager
def _place(free: BoundedSemaphore) -> Iterator[None]:
    """One of the requests that are handled at once; where there is none left, the answer is 503."""
    if not free.acquire(blocking=False):
        raise HTTPException(503, _BUSY, {"Retry-After": "1"})
    try:
        yield
    finally:
        free.release()


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI describes answers of these codes."""
    return {code: {"model": Problem} for code in codes}


def _predict(
    uploads: list[UploadFile], batcher: Batcher, model: ExportedModel, limits: ServerLimits, scale: Scale, *, top_k: int
) -> PredictResponse:
    card = model.card
    pixels = [_load(upload, card, limits, scale) for upload in uploads]
    try:
        outputs = batcher.submit(np.concatenate(pixels)).result()
    except queue.Full:
        raise HTTPException(503, _BUSY, {"Retry-After": "1"}) from None
    rows = (
        as_row(predicted(_name(upload), each), card, top_k=top_k) for upload, each in zip(uploads, outputs, strict=True)
    )
    return PredictResponse(predictions=[ImagePrediction(name=row.pop("path"), **row) for row in rows])


def _load(upload: UploadFile, card: ModelCard, limits: ServerLimits, scale: Scale) -> np.ndarray:
    """The views of an image, as the model takes them."""
    try:
        return load_transformed(
            upload.file.read(),
            size_px=card.size_px,
            resize=card.resize,
            interpolation=card.interpolation,
            tta_views=card.tta_views,
            scale=scale,
            max_pixels=limits.max_pixels,
            max_side_px=card.max_side_px,
        )
    except CorruptImageError as error:
        code = 413 if error.reason == "too_large" else 400
        raise HTTPException(code, f"{_name(upload) or 'a file'}: {error}") from None


def _name(upload: UploadFile) -> str:
    """As the file is called: forms send a quote and line ends as these (https://html.spec.whatwg.org, multipart)."""
    return (upload.filename or "").replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _explanation(model: ExportedModel, views: np.ndarray) -> bytes:
    """A PNG of the first view, and of what its most probable class rests on."""
    from tandem.inference.explanation.drawing import draw_explanation  # matplotlib, at the first request
    from tandem.inference.explanation.explain import explanation_map  # and torch

    target = int(model.probs(views)[0].argmax())
    png = io.BytesIO()
    draw_explanation(views[0], explanation_map(model, views[0], target)).save(png, "PNG")
    return png.getvalue()


async def _say_what_is_missing(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    reasons = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors())
    of_query = any(each["loc"][0] == "query" for each in error.errors())
    advice = "correct what follows ? in the address" if of_query else "send images as the form field of that name"
    return JSONResponse({"detail": f"{reasons}; {advice}"}, 422)


class _Figures:
    """What Prometheus may ask for, of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._images = Counter("tandem_images", "Images of requests that were predicted", registry=self.registry)
        self._failed = Counter("tandem_failed_requests", "Requests without a prediction", registry=self.registry)
        self._seconds = Histogram("tandem_request_seconds", "Time of a request", registry=self.registry)

    @contextmanager
    def timed(self, num_images: int) -> Iterator[None]:
        """Of a request with so many images, which has failed where it ends by an error."""
        with self._seconds.time(), self._failed.count_exceptions():
            yield
        self._images.inc(num_images)


class _BodyLimit:
    """Refuses a body that is too large, as soon as that is known, before it is held."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stated = dict(scope.get("headers", ())).get(b"content-length", b"0")
        answer: ASGIApp = self._app
        if stated.isdigit() and int(stated) > self._max_bytes:
            answer = JSONResponse({"detail": self._problem}, 413)
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self._max_bytes:
                raise HTTPException(413, self._problem)
            return message

        await answer(scope, counted, send)

    @property
    def _problem(self) -> str:
        return f"the request is larger than {self._max_bytes} bytes; send fewer or smaller images"
