"""The drawing page and the HTTP API; the only part of simsearch that imports FastAPI and uvicorn."""
