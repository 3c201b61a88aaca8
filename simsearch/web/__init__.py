"""The page and the HTTP API.

settings.py     whom a server answers, and every limit
problems.py     errors as problem details and status codes
headers.py      what every answer carries; names in Host and Origin
logs.py         logs that stay short
connections.py  connections with limits of number, time and memory
uploads.py      bodies and forms -> pictures, in memory
isolation.py    a process in which strangers' pictures are decoded, and which can be killed
engine.py       a bounded queue and batches; what comes alone is answered at once
pace.py         how long the answers of an index took last
registry.py     open indexes, reloaded when they change
guard.py        hosts, origins, tokens, limits and headers
monitoring.py   figures for Prometheus
map.py          a gallery in two dimensions
room.py         work beside the searches, and what is kept of it
vectors.py      the HTTP API's vectors and maps
originals.py    the HTTP API's files behind items
mistakes.py     the HTTP API's known mistakes of a gallery
activations.py  the HTTP API's look inside the network
steps.py        the HTTP API's account of how a picture was read
parameters.py   parameters that addresses share
addresses.py    what an address says, read once
api.py          the HTTP API: searches, items, indexes
openapi.py      the OpenAPI document
app.py          the page's files, the API and operations as one app
server.py       running it with uvicorn
static/         the page: HTML, CSS and JavaScript, no build step
"""
