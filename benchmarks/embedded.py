"""The same worker inside a FastAPI app, for its memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from benchmarks.tasks import worker


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start and stop the worker with the app."""
    await worker.start()
    yield
    await worker.stop()


app = FastAPI(lifespan=lifespan)
