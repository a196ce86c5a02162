"""Making jobs from outside: the client over the websocket, and its twin for code without asyncio."""

from easyjobs.client.client import EasyJobsClient
from easyjobs.client.sync import SyncEasyJobsClient
from easyjobs.tasks.handle import Call

__all__ = ["Call", "EasyJobsClient", "SyncEasyJobsClient"]
