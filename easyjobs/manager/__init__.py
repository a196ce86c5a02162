"""The manager: hub, API and an embedded worker, put together for a FastAPI application."""

from easyjobs.manager.manager import EasyJobsManager

__all__ = ["EasyJobsManager"]
