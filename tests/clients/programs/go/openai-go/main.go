// github.com/openai/openai-go: base URL and key; the model is a field of every request.
package main

import (
	"context"
	"errors"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"autobatch/clients/protocol"
)

type client struct{ sdk openai.Client }

func (c client) One(ctx context.Context, text string) ([]float64, error) {
	vectors, err := c.embed(ctx, openai.EmbeddingNewParamsInputUnion{OfString: openai.String(text)})
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

func (c client) List(ctx context.Context, texts []string) ([][]float64, error) {
	return c.embed(ctx, openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts})
}

func (c client) embed(ctx context.Context, input openai.EmbeddingNewParamsInputUnion) ([][]float64, error) {
	answer, err := c.sdk.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: openai.EmbeddingModelTextEmbedding3Small,
		Input: input,
	})
	if err != nil {
		return nil, err
	}
	vectors := make([][]float64, len(answer.Data))
	for index, item := range answer.Data {
		vectors[index] = item.Embedding
	}
	return vectors, nil
}

func (c client) Refusal(err error) *protocol.Refusal {
	var refused *openai.Error
	if !errors.As(err, &refused) {
		return nil
	}
	return &protocol.Refusal{Class: "openai.Error", Status: refused.StatusCode, Message: refused.Message}
}

func main() {
	protocol.Answer(func(baseURL string) protocol.Client {
		return client{openai.NewClient(option.WithBaseURL(baseURL), option.WithAPIKey("unused"))}
	})
}
