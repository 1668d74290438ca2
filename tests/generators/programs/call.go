// One call with the client that openapi-generator made: a URL and a text in, the vector as JSON out.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	autobatch "example.org/autobatch"
)

func main() {
	url, text := os.Args[1], os.Args[2]
	settings := autobatch.NewConfiguration()
	settings.Servers = autobatch.ServerConfigurations{{URL: url}}
	request := autobatch.NewEmbedRequest(autobatch.Inputs{String: &text})
	request.SetTruncationDirection(autobatch.LEFT)
	client := autobatch.NewAPIClient(settings)
	answer, _, err := client.TEIAPI.Embed(context.Background()).EmbedBody(autobatch.EmbedBody{EmbedRequest: request}).Execute()
	if err != nil {
		log.Fatal(err)
	}
	vectors := *answer.ArrayOfArrayOfFloat32
	if len(vectors) != 1 {
		log.Fatalf("%d vectors", len(vectors))
	}
	if err := json.NewEncoder(os.Stdout).Encode(vectors[0]); err != nil {
		log.Fatal(err)
	}
}
