"""The manager of the demo: a FastAPI app of four lines. `uvicorn manager:app`, with EASYJOBS_SECRET set."""

from fastapi import FastAPI

from easyjobs import EasyJobsManager

manager = EasyJobsManager()
app = FastAPI(title="Standard library report", lifespan=manager.lifespan)
