"""The HTTP API: routes, the gate before them, problems, the OpenAPI page, the websocket endpoint."""
