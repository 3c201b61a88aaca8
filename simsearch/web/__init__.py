"""The page and the HTTP API.

settings.py     whom a server answers, and every limit
problems.py     errors as problem details and status codes
connections.py  connections that do not wait for ever
pages.py        the page's files, read once
uploads.py      bodies and forms -> pictures, in memory
engine.py       a bounded queue and batches, off the event loop
registry.py     open indexes, reloaded when they change
guard.py        hosts, origins, tokens, limits and headers
monitoring.py   figures for Prometheus
map.py          a gallery in two dimensions
room.py         work beside the searches, and what is kept of it
vectors.py      the HTTP API's vectors and maps
activations.py  the HTTP API's look inside the network
api.py          the HTTP API
openapi.py      schemas of the OpenAPI document
app.py          the page, the API and operations as one app
server.py       running it with uvicorn
static/         the page: HTML, CSS and JavaScript, no build step
"""
