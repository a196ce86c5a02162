"""easyjobs: background jobs for FastAPI, with no broker to run."""

__version__ = "0.1.0"
