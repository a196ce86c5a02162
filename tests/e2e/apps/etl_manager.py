"""Two processes, the manager's: made when the server starts."""

from fastapi import FastAPI

from easyjobs.manager import EasyJobsManager

server = FastAPI()


@server.on_event("startup")
async def setup() -> None:
    server.job_manager = await EasyJobsManager.create(server, server_secret="abcd1234")
