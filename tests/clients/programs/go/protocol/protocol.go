// Package protocol is how a program talks to the tests: one JSON object on stdin, one JSON line as the last of stdout.
package protocol

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
)

// Client is an SDK that was given a base URL and a key.
type Client interface {
	// One embeds one text in one call of the SDK.
	One(ctx context.Context, text string) ([]float64, error)
	// List embeds all texts in one call of the SDK.
	List(ctx context.Context, texts []string) ([][]float64, error)
	// Refusal says what an error tells if it is the SDK's own type for answers that are errors, and nil otherwise.
	Refusal(err error) *Refusal
}

// Refusal is an answer that is an error, as a user of the SDK sees it.
type Refusal struct {
	Class   string `json:"class"`
	Status  int    `json:"status"`
	Message string `json:"message"`
}

type task struct {
	BaseURL string   `json:"base_url"`
	Mode    string   `json:"mode"`
	Texts   []string `json:"texts"`
}

// Answer asks what stdin says, and prints {"vectors": [[...], ...]}. If the SDK returns an error, the exit code is 1; if
// the error is a Refusal, stdout has {"refused": ...}.
func Answer(connect func(baseURL string) Client) {
	var asked task
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	client := connect(asked.BaseURL)
	vectors, err := embed(context.Background(), client, asked)
	if err == nil {
		print(map[string]any{"vectors": vectors})
		return
	}
	if refusal := client.Refusal(err); refusal != nil {
		print(map[string]any{"refused": refusal})
	}
	fail(err)
}

func embed(ctx context.Context, client Client, asked task) ([][]float64, error) {
	switch asked.Mode {
	case "one", "crowd":
		vectors := make([][]float64, len(asked.Texts))
		group, ctx := errgroup.WithContext(ctx)
		for index, text := range asked.Texts {
			group.Go(func() (err error) {
				vectors[index], err = client.One(ctx, text)
				return err
			})
		}
		return vectors, group.Wait()
	case "list":
		return client.List(ctx, asked.Texts)
	default:
		return nil, fmt.Errorf("unknown mode %q", asked.Mode)
	}
}

func print(result any) {
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
