// github.com/sashabaranov/go-openai: base URL and key; the model is a field of every request.
package main

import (
	"context"
	"errors"

	openai "github.com/sashabaranov/go-openai"

	"autobatch/clients/protocol"
)

type client struct{ sdk *openai.Client }

func (c client) One(ctx context.Context, text string) ([]float64, error) {
	vectors, err := c.List(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	return vectors[0], nil
}

func (c client) List(ctx context.Context, texts []string) ([][]float64, error) {
	answer, err := c.sdk.CreateEmbeddings(ctx, openai.EmbeddingRequest{Model: openai.SmallEmbedding3, Input: texts})
	if err != nil {
		return nil, err
	}
	vectors := make([][]float64, len(answer.Data))
	for row, item := range answer.Data {
		vectors[row] = make([]float64, len(item.Embedding))
		for column, number := range item.Embedding {
			vectors[row][column] = float64(number)
		}
	}
	return vectors, nil
}

func (c client) Refusal(err error) *protocol.Refusal {
	var refused *openai.APIError
	if !errors.As(err, &refused) {
		return nil
	}
	return &protocol.Refusal{Class: "openai.APIError", Status: refused.HTTPStatusCode, Message: refused.Message}
}

func main() {
	protocol.Answer(func(baseURL string) protocol.Client {
		config := openai.DefaultConfig("unused")
		config.BaseURL = baseURL
		return client{openai.NewClientWithConfig(config)}
	})
}
