"""One call with the client that openapi-python-client generated: takes a URL and a text, prints the vector as JSON.

Run with the folder of the generated package `generated` on the path.
"""

import importlib
import json
import pkgutil
import sys

generated = importlib.import_module("generated")
for module in pkgutil.walk_packages(generated.__path__, "generated."):
    importlib.import_module(module.name)

models = importlib.import_module("generated.models")
embed = importlib.import_module("generated.api.tei.embed")
url, text = sys.argv[1:]
with generated.Client(base_url=url, raise_on_unexpected_status=True) as client:
    request = models.EmbedRequest(inputs=text, truncation_direction=models.TruncationDirection.LEFT)
    (vector,) = embed.sync(client=client, body=request)
json.dump(vector, sys.stdout)
