"""A manager that is nothing else; all that it needs comes from EASYJOBS_* variables."""

from fastapi import FastAPI

from easyjobs import EasyJobsManager

manager = EasyJobsManager()
app = FastAPI(lifespan=manager.lifespan)
